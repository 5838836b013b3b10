"""Decisions over a real SIGKILL, of who writes and of a batch beside: none lost, none twice."""

from __future__ import annotations

import random
import subprocess
import threading
from collections import Counter
from pathlib import Path

from orchestra.book.book import Book
from orchestra.book.decisions import live
from orchestra.book.messages import FinishRow
from orchestra.book.tables import Seat
from tests.unit.book.book_process import python

KILLS, ROWS, GROUP = 6, 40, 5

# It says each group once it is written, and writes the last one that was said again: as a page
# does whose answer was lost.
PERSON = """
import itertools, sys
from pathlib import Path
from orchestra.book.book import Book
from orchestra.book.decisions import NewDecision
book = Book.open(Path(sys.argv[1]), exclusive=False)
first = int(sys.argv[3])
print("ready", flush=True)
for n in itertools.count(first):
    rows = [f"R{(n * 5 + k) % 40}" for k in range(5)]
    edits = [NewDecision(row, "edit", field="colour", value=n) for row in rows]
    for _ in range(2):
        book.decide(edits, by="ana", group=f"g{n}")
    if n % 3 == 0:
        book.undo([one.id for one in book.group(f"g{n}")], by="ana", group=f"u{n}")
    print(n, flush=True)
"""
# A batch that takes the book over, and gives all rows new places again and again.
BATCH = """
import itertools, sys
from pathlib import Path
from orchestra.book.book import Book
from orchestra.book.tables import Seat
book = Book.open(Path(sys.argv[1]))
print("ready", flush=True)
for n in itertools.count():
    order = list(range(40)) if n % 2 else list(range(40))[::-1]
    seats = [Seat(at, f"{n}:{at}:{one}", f"R{one}", "s", True) for at, one in enumerate(order, 1)]
    book.seat(f"t{n}.csv", seats, by_id=True)
    print(n, flush=True)
"""


def killed_after(script: str, path: Path, seconds: float, *more: str) -> list[int]:
    """What the process said before it was killed."""
    with subprocess.Popen(
        [*python(script, path), *more], stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "ready\n"
        threading.Timer(seconds, victim.kill).start()
        return [int(line) for line in victim.stdout if line.endswith("\n")]


def test_no_decision_is_lost_or_kept_twice_over_sigkill(tmp_path: Path) -> None:
    path, moments, first, said = tmp_path / "book.sqlite", random.Random(5), 0, set[int]()
    with Book.open(path) as book:
        book.begin_table("t.csv")
        seats = [Seat(n + 1, f"k{n}", f"R{n}", "s", True) for n in range(ROWS)]
        for seat in seats:
            end = FinishRow(seat.key, seat.ordinal, seat.row_id, "review", "{}", source="s",
                            names=("colour",))  # fmt: skip
            book.do(end)
    for _ in range(KILLS):
        batch = threading.Thread(target=killed_after, args=(BATCH, path, moments.uniform(0.1, 0.4)))
        batch.start()
        said |= set(killed_after(PERSON, path, moments.uniform(0.05, 0.3), str(first)))
        batch.join()
        with Book.open(path, exclusive=False) as book:
            every = list(book.decisions())
            groups = Counter(one.group for one in every)
            assert {f"g{n}" for n in said} <= groups.keys()
            assert set(groups.values()) <= {GROUP}
            assert len({one.id for one in every}) == len(every)
            tables = {table.state for table in book.tables()}
            ids = {one.id for one in every}
            assert ids.isdisjoint(tables)
            assert ids | tables == set(range(1, book.state + 1))
            stands = {one.group for one in live(every) if one.undoes is None}
            assert stands.isdisjoint(f"g{n}" for n in said if n % 3 == 0)
            assert [row.ordinal for row in book.rows()] == list(range(1, ROWS + 1))
            first = 1 + max((int((name or "")[1:]) for name in groups), default=-1)
    assert len(said) > KILLS
