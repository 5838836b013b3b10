"""The book as a file: one writer, takeovers, foreign and damaged files, full disks."""

import os
import resource
import signal
import sqlite3
import subprocess
from contextlib import suppress

import pytest

from orchestra.book.book import Book
from orchestra.book.messages import FinishRow, OpenAccount, SettleCall
from orchestra.book.schema import VERSION
from orchestra.core.errors import (
    BookError,
    BookFormatMismatch,
    BookLocked,
    BudgetExceeded,
    DiskFull,
)
from tests.booked import begun
from tests.unit.book.book_process import python


def finish(book: Book, ordinal: int, record: str = "{}") -> bool:
    return book.do(FinishRow(str(ordinal), ordinal, str(ordinal), "complete", record))


def test_a_second_owner_is_refused_with_the_pid_of_the_first(tmp_path):
    path = tmp_path / "book.sqlite"
    with Book.open(path), pytest.raises(BookLocked, match=rf"book\.sqlite'.*process {os.getpid()}"):
        Book.open(path)
    Book.open(path).close()


def test_each_exclusive_opening_begins_an_epoch_and_readers_do_not(tmp_path):
    path = tmp_path / "book.sqlite"
    with Book.open(path) as first:
        first.do(OpenAccount("batch", cost_micro=5))
        with Book.open(path, exclusive=False) as reader:
            assert (first._epoch, reader._epoch) == (1, 1)
            assert reader.spent("batch").cost_micro == 0
    with Book.open(path) as second:
        assert second._epoch == 2


def test_a_participant_is_fenced_off_once_another_process_owns_the_book(tmp_path):
    path = tmp_path / "book.sqlite"
    with Book.open(path) as first:
        first.do(OpenAccount("batch"))
    with Book.open(path, exclusive=False) as orphan:
        uid = begun(orphan, "batch")
        with Book.open(path) as owner:
            assert owner.recover() == 1
            with pytest.raises(BookLocked, match="taken over"):
                orphan.do(SettleCall(uid, 1, 1))
            for book in (owner, orphan):
                spent = book.spent("batch")
                assert (spent.open_cost_micro, spent.presumed_micro) == (0, 10)


def test_reading_a_book_that_does_not_exist_is_an_error_and_makes_no_file(tmp_path):
    with pytest.raises(BookError, match="No book at"):
        Book.open(tmp_path / "book.sqlite", exclusive=False)
    assert list(tmp_path.iterdir()) == []


def test_foreign_and_damaged_files_are_refused_by_name_and_left_alone(tmp_path):
    foreign = tmp_path / "foreign.sqlite"
    database = sqlite3.connect(foreign)
    database.execute("CREATE TABLE shop (id INTEGER)")
    database.close()
    with pytest.raises(BookError, match=r"foreign\.sqlite' is a sqlite file of another program"):
        Book.open(foreign)
    text = tmp_path / "text.sqlite"
    text.write_text("id,name\n" * 200)
    for _ in range(2):  # and the failure frees the lock
        with pytest.raises(BookError, match="not a sqlite file"):
            Book.open(text)
    assert text.read_text() == "id,name\n" * 200


def test_a_book_is_known_by_its_mark_which_never_changes(tmp_path):
    Book.open(tmp_path / "book.sqlite").close()
    assert (tmp_path / "book.sqlite").read_bytes()[68:72] == b"Orch"  # sqlite's application id


@pytest.mark.parametrize("version", [1, VERSION - 1, VERSION + 1])
@pytest.mark.parametrize("exclusive", [True, False])
def test_a_book_of_another_version_is_named_with_both_versions_and_left_alone(
    tmp_path, version, exclusive
):
    path = tmp_path / "book.sqlite"
    Book.open(path).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(BookFormatMismatch) as raised:
        Book.open(path, exclusive=exclusive)
    told = str(raised.value)
    assert f"{str(path)!r} has format {version}" in told and f"reads format {VERSION}" in told
    assert "Open it with the release that wrote it, or take a new output folder" in told
    assert path.read_bytes() == before


def test_a_missing_folder_is_named_with_the_cure(tmp_path):
    with pytest.raises(BookError, match=r"nowhere.*No such file.*output folder"):
        Book.open(tmp_path / "nowhere" / "book.sqlite")


def test_a_closed_book_says_so(tmp_path):
    book = Book.open(tmp_path / "book.sqlite")
    book.close()
    book.close()
    with pytest.raises(BookError, match="is closed"):
        book.spent("batch")
    with pytest.raises(BookError, match="is closed"):
        book.do(OpenAccount("batch"))


def test_closing_a_second_time_closes_no_file_of_another(tmp_path):
    book = Book.open(tmp_path / "book.sqlite")
    book.close()
    with (tmp_path / "other").open("w"):  # has the number that the lock had
        before = _open_files()
        book.close()
        assert _open_files() == before


def test_an_opening_that_is_refused_leaves_no_file_open(tmp_path):
    with Book.open(tmp_path / "book.sqlite"):
        before = _open_files()
        with pytest.raises(BookLocked):
            Book.open(tmp_path / "book.sqlite")
        assert _open_files() == before


def _open_files() -> set[int]:
    """The numbers of this process's open files."""
    found: set[int] = set()
    for number in range(256):
        with suppress(OSError):
            os.fstat(number)
            found.add(number)
    return found


def test_a_full_disk_is_named_once_and_keeps_everything_finished_before(tmp_path):
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.do(OpenAccount("batch", cost_micro=1000))
        pages = book._database.execute("PRAGMA page_count").fetchone()[0]
        book._database.execute(f"PRAGMA max_page_count = {pages + 10}")
        finished = 0
        with pytest.raises(DiskFull, match="Free space"):
            while finish(book, finished, "x" * 3000):
                finished += 1
        assert finished > 2
        uid = ""
        with pytest.raises(DiskFull), book.transaction():
            uid = begun(book, "batch")
            finish(book, finished, "x" * 100_000)
        assert book.spent("batch").open_cost_micro == 0
        book._database.execute("PRAGMA max_page_count = 100000")
        assert finish(book, finished)
        with pytest.raises(BookError, match=f"No call '{uid}'"):
            book.do(SettleCall(uid, 1, 1))
    with Book.open(path) as book:
        assert [row.ordinal for row in book.rows()] == list(range(finished + 1))


def test_a_file_that_cannot_grow_is_a_full_disk(tmp_path):
    script = """
import sys
from pathlib import Path
from orchestra.book.book import Book
from orchestra.book.messages import FinishRow
from orchestra.core.errors import DiskFull
book, ordinal = Book.open(Path(sys.argv[1])), 0
try:
    while True:
        book.do(FinishRow(str(ordinal), ordinal, "r", "complete", "x" * 9000))
        ordinal += 1
        print(ordinal, flush=True)
except DiskFull as error:
    print(error)
"""

    def allow_only_small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    path = tmp_path / "book.sqlite"
    done = subprocess.run(
        python(script, path),
        preexec_fn=allow_only_small_files,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *finished, message = done.stdout.splitlines()
    assert "cannot be written" in message
    assert "Everything finished before is kept" in message
    with Book.open(path) as book:
        assert len(list(book.rows())) == int(finished[-1]) > 5


def test_a_fork_is_refused_instead_of_sharing_the_connection(tmp_path):
    script = """
import os, sys
from pathlib import Path
from orchestra.book.book import Book
from orchestra.core.errors import BookError
from orchestra.book.messages import OpenAccount
book = Book.open(Path(sys.argv[1]))
if os.fork() == 0:
    try:
        book.do(OpenAccount("batch"))
    except BookError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run(
        python(script, tmp_path / "book.sqlite"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Open it after the fork" in done.stdout


def test_what_another_opening_of_the_book_reserves_counts_here_too(tmp_path):
    path = tmp_path / "book.sqlite"
    with Book.open(path) as owner:
        owner.do(OpenAccount("batch", cost_micro=100))
        begun(owner, "batch", 10)
        with Book.open(path, exclusive=False) as other:
            uid = begun(other, "batch", 80)
            with pytest.raises(BudgetExceeded):
                begun(owner, "batch", 20)
            other.do(SettleCall(uid, 5, 0))
        assert begun(owner, "batch", 85)
