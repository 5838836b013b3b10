"""Recovery after a crash, a real SIGKILL, and many threads on one budget."""

import random
import subprocess
import threading
from pathlib import Path

from orchestra.book.book import Book
from orchestra.core.errors import BudgetExceeded
from tests.unit.book.book_audit import discrepancies
from tests.unit.book.book_process import python

KILLS = 8

VICTIM = """
import itertools, sys
from pathlib import Path
from orchestra.book.book import Book
from orchestra.book.calls import Settlement
from orchestra.core.errors import BudgetExceeded

book = Book.open(Path(sys.argv[1]))
book.recover()
book.open_account("tenant", cost_micro=10**9)
book.open_account("batch", parent="tenant", cost_micro=10**8)
first = sum(book.counts().values())
print("ready", flush=True)
for n in itertools.count(first):
    row = f"row-{book.epoch}-{n}"
    book.open_account(row, parent="batch", cost_micro=100, hold=True)
    calls = [book.reserve(row, cost_micro=40, tokens=3, node="look", model="vl", key=f"{row}/{k}")
             for k in range(2)]
    for call in calls:
        book.dispatch(call)
    book.settle(calls[0], cost_micro=11, tokens=2, reply="red")
    book.finish_row(str(n), ordinal=n, row_id=str(n), status="complete", record_json="{}",
                    settle=[Settlement(calls[1], 13, 1)], close=row)
    print(n, flush=True)
"""


def run_until_killed(path: Path, seconds: float) -> int:
    """Run the victim for `seconds` after it is ready; the last row it said it finished."""
    with subprocess.Popen(python(VICTIM, path), stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "ready\n"
        threading.Timer(seconds, victim.kill).start()
        said = [line for line in victim.stdout if line.endswith("\n")]
    return int(said[-1]) if said else -1


def test_sums_hold_and_no_acknowledged_row_is_lost_over_sigkill(tmp_path):
    path = tmp_path / "book.sqlite"
    moments = random.Random(11)
    presumed_micro = 0
    for _ in range(KILLS):
        last = run_until_killed(path, moments.uniform(0.01, 0.2))
        with Book.open(path) as book:
            recovery = book.recover()
            presumed_micro += recovery.cost_micro
            spent, rows = book.spent("tenant"), list(book.rows())
            assert recovery.presumed + recovery.released <= 2
            assert [row.ordinal for row in rows] == list(range(len(rows)))
            assert len(rows) > last
            assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
            assert spent.presumed_micro == presumed_micro
            finished_cost = len(rows) * 24
            assert finished_cost <= spent.cost_micro <= finished_cost + KILLS * 80
            assert book.spent("batch").cost_micro == spent.cost_micro
        assert discrepancies(path) == []


def test_recovery_presumes_what_was_dispatched_and_releases_what_was_not(tmp_path):
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.open_account("batch", cost_micro=100, tokens=50)
        book.open_account("row", parent="batch", cost_micro=60, hold=True)
        sent = book.reserve("row", cost_micro=20, tokens=5, node="look", model="vl")
        book.reserve("row", cost_micro=30, tokens=6, node="read", model="r1")
        book.dispatch(sent)
        assert book.recover().presumed == 0  # its own epoch is at work
    with Book.open(path) as book:
        done = book.recover()
        assert (done.presumed, done.released, done.cost_micro) == (1, 1, 20)
        assert done.closed_accounts == 1
        assert [call.state for call in book.entries("row")] == ["presumed", "released"]
        for account in ("row", "batch"):
            spent = book.spent(account)
            assert (spent.cost_micro, spent.tokens, spent.open_cost_micro) == (20, 5, 0)
            assert (spent.presumed_micro, spent.presumed_entries) == (20, 1)
        again = book.recover()
        assert (again.presumed, again.released, again.closed_accounts) == (0, 0, 0)


def test_a_hold_opened_again_before_recovery_stays_open(tmp_path):
    path = tmp_path / "book.sqlite"

    def open_both(book: Book) -> None:
        book.open_account("batch", cost_micro=100)
        book.open_account("row", parent="batch", cost_micro=60, hold=True)

    with Book.open(path) as book:
        open_both(book)
    with Book.open(path) as book:
        open_both(book)
        entry = book.reserve("row", cost_micro=5, tokens=0, node="n", model="m")
        assert book.recover().closed_accounts == 0
        book.dispatch(entry)
        assert book.spent("batch").open_cost_micro == 60


def test_many_threads_on_one_budget_never_pass_it_and_use_it_up(tmp_path):
    path = tmp_path / "book.sqlite"
    limit, price, threads = 1_000, 7, 64
    settled = []
    with Book.open(path) as book:
        book.open_account("tenant", cost_micro=limit)
        book.open_account("batch", parent="tenant")
        gate = threading.Barrier(threads)

        def spend() -> None:
            gate.wait()
            while True:
                try:
                    entry = book.reserve("batch", cost_micro=price, tokens=1, node="n", model="m")
                except BudgetExceeded:
                    return
                book.dispatch(entry)
                book.settle(entry, cost_micro=price, tokens=1)
                settled.append(entry)

        workers = [threading.Thread(target=spend) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        spent = book.spent("tenant")
        assert len(set(settled)) == len(settled) == limit // price
        assert (spent.cost_micro, spent.open_cost_micro) == (limit // price * price, 0)
    assert discrepancies(path) == []
