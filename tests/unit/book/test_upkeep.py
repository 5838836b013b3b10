"""A book is copied while it is written, and old calls are folded into sums that bills still add."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from orchestra.book.book import Book
from orchestra.book.costs import By, correct, costs
from orchestra.book.messages import (
    BeginCall,
    BookHit,
    CloseAccount,
    FinishRow,
    KeepThread,
    OpenAccount,
    SettleCall,
)
from orchestra.book.upkeep import backup, compact
from orchestra.cli.main import main
from orchestra.core.card import Card
from orchestra.core.errors import BookUnavailable, UsageError
from orchestra.core.tags import label_of
from tests.unit.book.book_audit import discrepancies

REPLY = '{"usage": [10, 5, 0]}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A book of a server: a tenant with jobs, one that is open, one that waits, and a row."""
    made = tmp_path / "book.sqlite"
    with Book.open(made) as book:
        book.do(OpenAccount("tenant", cost_micro=10_000))
        for number in range(6):
            tags = label_of({"shop": "shoes" if number % 2 else "shirts"})
            book.do(OpenAccount(f"job:{number}", parent="tenant", label=tags))
            pay(book, f"job:{number}", f"c{number}", 100 + number)
            book.do(OpenAccount(f"job:{number}:unplanned", parent=f"job:{number}"))
            pay(book, f"job:{number}:unplanned", f"u{number}", 7, node="free")
            book.do(CloseAccount(f"job:{number}:unplanned"))
            book.do(CloseAccount(f"job:{number}"))
        book.do(BookHit("hit", "tenant", "kh", "read", "r1", 50, 9, REPLY))
        book.do(OpenAccount("job:open", parent="tenant"))
        pay(book, "job:open", "open", 11)
        book.do(OpenAccount("job:asks", parent="tenant"))
        pay(book, "job:asks", "asks", 13)
        book.do(CloseAccount("job:asks"))
        kept = KeepThread(
            "t", account="job:asks", status="waiting", record="{}", about="{}", photos={},
            by="me", held=False,
        )  # fmt: skip
        book.do(kept)
        book.do(OpenAccount("row:0:1", cost_micro=50, parent="tenant", hold=True))
        pay(book, "row:0:1", "row", 17)
        book.do(FinishRow("k", 0, "sku-1", "complete", "{}", "row:0:1"))
    return made


def pay(book: Book, account: str, uid: str, cost: int, node: str = "read") -> None:
    book.do(BeginCall(uid, account, f"key {uid}", node, "r1", cost, 20))
    book.do(SettleCall(uid, cost, 15, reply=REPLY))


def age(path: Path, days: int, *uids: str) -> None:
    """Have calls be so many days old; all where none is named."""
    with closing(sqlite3.connect(path)) as database, database:
        which = f"WHERE uid IN ({','.join('?' * len(uids))})" if uids else ""
        database.execute(f"UPDATE entries SET day = date('now', '-{days} days') {which}", uids)


def bills(path: Path) -> dict[str, object]:
    with Book.open(path, exclusive=False) as book:
        return {by: costs(book, by).public() for by in get_args(By)}


def ids(path: Path, query: str) -> set[str]:
    with closing(sqlite3.connect(path)) as database:
        return {row[0] for row in database.execute(query)}


@pytest.mark.parametrize("is_in_use", [False, True])
def test_a_fold_changes_no_bill_and_leaves_what_is_open_waits_or_is_a_row(
    path: Path, is_in_use: bool
) -> None:
    age(path, 40)
    age(path, 3, "c5", "u5")
    with Book.open(path) as book:
        card = Card.model_validate(
            {
                "name": "r1", "role": "text", "capabilities": ["text"],
                "price": {"as_of": "2026-11-01", "usd_per_million_output_tokens": 3},
                "hosting": {"memory_gib": 0}, "profile": {"origin": "estimated"},
                "limits": {"context_tokens": 512},
            }
        )  # fmt: skip
        correct(book, card, reason="an old list")
    before = bills(path)
    if is_in_use:
        with Book.open(path) as book:
            done = compact(path, 30)
            assert done.was_in_use
            pay(book, "job:open", "later", 0)  # its owner goes on
        age(path, 0, "later")
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM replies WHERE key = 'key later'")
            database.execute("DELETE FROM entries WHERE uid = 'later'")
    else:
        done = compact(path, 30)
        assert not done.was_in_use
    assert (done.calls, done.accounts) == (10, 10)  # five jobs of the six, with their parts
    assert bills(path) == before
    left = ids(path, "SELECT uid FROM entries")
    assert left == {"c5", "u5", "hit", "open", "asks", "row"}
    accounts = ids(path, "SELECT id FROM accounts")
    assert accounts == {
        "tenant", "job:5", "job:5:unplanned", "job:open", "job:asks", "row:0:1",
    }  # fmt: skip
    assert ids(path, "SELECT key FROM replies") == {
        "key c5", "key u5", "kh", "key open", "key asks", "key row",
    }  # fmt: skip
    assert not [line for line in discrepancies(path) if "broken reference" in line]
    with Book.open(path) as book:
        assert book.spent("tenant").cost_micro == sum(range(100, 106)) + 6 * 7 + 11 + 13 + 17
        assert [row.row_id for row in book.rows()] == ["sku-1"]
    again = compact(path, 30)
    assert (again.calls, again.accounts) == (0, 0)


def test_a_sum_knows_who_paid_for_the_job_and_its_graph(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.do(OpenAccount("key:a@2026-11"))
        book.do(OpenAccount("job:1@listing", parent="key:a@2026-11"))
        book.do(OpenAccount("job:1@listing:unplanned", parent="job:1@listing"))
        pay(book, "job:1@listing:unplanned", "c", 5)
        book.do(CloseAccount("job:1@listing:unplanned"))
        book.do(CloseAccount("job:1@listing"))
    age(path, 40)
    compact(path, 30)
    with Book.open(path) as book:
        (sum_,) = book.expenses()
        assert (sum_.graph, book.places()[sum_.account].id) == ("listing", "key:a@2026-11")
        assert len(book.places()) == 1


def test_totals_only_grow_whatever_is_folded(path: Path) -> None:
    age(path, 40)
    with Book.open(path, exclusive=False) as book:
        before = book.totals()
    compact(path, 30)
    with Book.open(path, exclusive=False) as book:
        assert book.totals() == before and sum(one.calls for one in before) == 16


def test_a_fold_of_many_parts_is_a_fold(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestra.book.folds.PART", 3)
    age(path, 40)
    before = bills(path)
    done = compact(path, 30)
    assert (done.calls, done.accounts) == (12, 12) and bills(path) == before


def test_a_copy_is_whole_while_the_book_is_written(path: Path, tmp_path: Path) -> None:
    with Book.open(path) as book:
        with book.transaction():
            pay(book, "job:open", "half", 1)  # not yet committed
            backup(path, tmp_path / "copy.sqlite")
        pay(book, "job:open", "after", 1)
    uids = ids(tmp_path / "copy.sqlite", "SELECT uid FROM entries")
    assert "c0" in uids and not {"half", "after"} & uids
    assert not discrepancies(tmp_path / "copy.sqlite")
    with Book.open(tmp_path / "copy.sqlite") as copy:
        assert copy.spent("tenant").cost_micro > 0


def test_what_cannot_be_copied_or_folded_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there already"):
        backup(path, path)
    with pytest.raises(BookUnavailable, match="No book"):
        backup(tmp_path / "none.sqlite", tmp_path / "copy.sqlite")
    (tmp_path / "other").write_bytes(b"text" * 2000)
    with pytest.raises(BookUnavailable, match="not a sqlite file"):
        backup(tmp_path / "other", tmp_path / "copy.sqlite")
    with pytest.raises(BookUnavailable, match="No book"):
        compact(tmp_path / "none.sqlite", 30)
    assert not list(tmp_path.glob("copy*"))


def test_the_commands_say_what_they_did(path: Path, tmp_path: Path) -> None:
    age(path, 40)
    told = CliRunner().invoke(main, ["book", "backup", str(path), str(tmp_path / "copy.sqlite")])
    assert told.exit_code == 0 and told.stdout.startswith("copied ")
    told = CliRunner().invoke(main, ["book", "compact", str(path), "--older-than", "30"])
    assert told.exit_code == 0 and "folded 12 calls" in told.stdout
    for days in ("0", "99999999999"):
        wrong = CliRunner().invoke(main, ["book", "compact", str(path), "--older-than", days])
        assert wrong.exit_code == 2 and "give 1 to 36,500" in wrong.stderr
