"""Decisions of many fields at once: the records that single ones are, and all or none of them."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.book.book import Book
from orchestra.book.decisions import NewDecision
from orchestra.book.messages import FinishRow
from orchestra.core.errors import InvalidDecision
from tests.unit.book.book_process import python

ROWS = 3000
# It approves all rows as one group and takes that back, again and again, and says each once.
PERSON = """
import itertools, sys
from pathlib import Path
from orchestra.book.book import Book
book = Book.open(Path(sys.argv[1]), exclusive=False)
places = list(range(1, 3001))
print("ready", flush=True)
for n in itertools.count(int(sys.argv[3])):
    now = {"versions": book.versions, "by": "ana", "group": f"g{n}"}
    book.decide_alike("approve", {"colour": places}, **now)
    print(f"g{n}", flush=True)
    book.undo_alike(book.span_of(f"g{n}"), by="ana", group=f"u{n}")
    print(f"u{n}", flush=True)
"""


def make_book(path: Path, rows: int) -> Path:
    with Book.open(path) as book, book.transaction():
        for n in range(1, rows + 1):
            end = FinishRow(f"k{n}", n, f"R{n}", "review", "{}", source="s", names=("colour",))
            book.do(end)
    return path


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(make_book(tmp_path / "book.sqlite", 5)) as book:
        yield book


def test_a_group_is_the_records_that_single_decisions_would_be(book: Book) -> None:
    book.decide_alike(
        "approve",
        {"colour": [2, 4], None: [5]},
        versions=book.versions,
        by="ana",
        group="a",
        why="w",
    )
    single = [NewDecision(row, "approve", field="colour") for row in ("R2", "R4")]
    single.append(NewDecision("R5", "approve"))
    book.decide(single, by="ana", group="b", why="w")
    many, one_by_one = book.group("a"), book.group("b")
    assert [replace(one, id=0, at="", group="") for one in many] == [
        replace(one, id=0, at="", group="") for one in one_by_one
    ]
    assert [one.id for one in many] == [1, 2, 3]
    again = book.decide_alike("approve", {}, versions=0, by="ana", group="a")  # heard no answer
    assert (again, book.state) == (3, 6)


def test_a_group_is_taken_back_once_and_what_took_it_back_too(book: Book) -> None:
    book.decide_alike("skip", {None: [1, 2]}, versions=book.versions, by="ana", group="a")
    span = book.span_of("a")
    assert span is not None
    assert book.undo_alike(span, by="ben", group="u") == 2
    assert book.undone(span) == {1, 2}
    with pytest.raises(InvalidDecision, match="taken back already"):
        book.undo_alike(span, by="ben", group="v")
    undo = book.span_of("u")
    assert undo is not None and undo.is_undo
    book.undo_alike(undo, by="ben", group="w")
    assert book.undone(span) == set()
    assert [(one.first, one.last) for one in book.spans()] == [(5, 6), (3, 4), (1, 2)]


@pytest.mark.parametrize(
    ("rows", "versions", "said"),
    [
        ({"colour": [1]}, 4, "Open the page again"),
        ({"colour": [1, 77]}, 5, "only 1 have a result"),
        ({"taste": [1]}, 5, "No row has a field 'taste'"),
    ],
)
def test_what_cannot_be_decided_is_not_decided_in_part(
    book: Book, rows: dict[str | None, list[int]], versions: int, said: str
) -> None:
    with pytest.raises(InvalidDecision, match=said):
        book.decide_alike("approve", rows, versions=versions, by="ana", group="a")
    assert book.state == 0


def test_what_was_answered_is_kept_over_a_sigkill_and_nothing_is_kept_in_part(
    tmp_path: Path,
) -> None:
    path, draw, first = make_book(tmp_path / "book.sqlite", ROWS), random.Random(3), 0
    said: list[str] = []
    for _ in range(3):
        with subprocess.Popen(
            [*python(PERSON, path), str(first)], stdout=subprocess.PIPE, text=True
        ) as person:
            assert person.stdout is not None
            assert person.stdout.readline() == "ready\n"
            said.append(person.stdout.readline().strip())
            threading.Timer(draw.uniform(0.05, 0.2), person.kill).start()
            said += [line.strip() for line in person.stdout if line.endswith("\n")]
        with Book.open(path, exclusive=False) as book:
            spans = list(book.spans())
        assert {span.size for span in spans} <= {ROWS}
        assert {span.group for span in spans} >= set(said)
        first += 1000
