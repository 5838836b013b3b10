"""Recovery after a crash, a real SIGKILL, and many threads on one budget."""

import random
import subprocess
import threading
from pathlib import Path

import pytest

from orchestra.book.book import Book
from orchestra.book.messages import OpenAccount, SettleCall
from orchestra.core.errors import BookError, BudgetExceeded
from tests.booked import begun, booked
from tests.unit.book.book_audit import discrepancies
from tests.unit.book.book_process import python

KILLS = 6

# Rows as a batch runs them: a held account, calls begun and settled by messages, and the row's end.
VICTIM = """
import asyncio, itertools, sys
from pathlib import Path
from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import BeginCall, FinishRow, OpenAccount, SettleCall

IN_FLIGHT = int(sys.argv[3])

async def run(send, epoch, n):
    row = f"row-{epoch}-{n}"
    await send(OpenAccount(row, parent="batch", cost_micro=100, hold=True))
    for k, cost in enumerate((11, 13)):
        uid = f"{row}/{k}"
        if await send(BeginCall(uid, row, f"{n}/{k}", "look", "vl", 40, 3)) is None:
            await send(SettleCall(uid, cost, 2, reply="red"))
    end = FinishRow(str(n), n, str(n), "complete", "{}", row, ("colour",))
    assert await send(end)
    print(n, flush=True)

async def main(book):
    send = LocalLedger(book).send
    await send(OpenAccount("tenant", cost_micro=10**9))
    await send(OpenAccount("batch", parent="tenant", cost_micro=10**8))
    done = book.finished_ordinals()
    numbers = (n for n in itertools.count() if n not in done)
    async def worker():
        for n in numbers:
            await run(send, book._epoch, n)
    print("ready", flush=True)
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))

book = Book.open(Path(sys.argv[1]))
book.recover()
asyncio.run(main(book))
"""


def run_until_killed(path: Path, seconds: float, in_flight: int) -> set[int]:
    """Run the victim for `seconds` after it is ready; the rows it said it finished."""
    command = [*python(VICTIM, path), str(in_flight)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "ready\n"
        threading.Timer(seconds, victim.kill).start()
        return {int(line) for line in victim.stdout if line.endswith("\n")}


@pytest.mark.parametrize("in_flight", [1, 8])
def test_sums_hold_and_no_acknowledged_row_is_lost_over_sigkill(tmp_path, in_flight):
    path = tmp_path / "book.sqlite"
    moments = random.Random(11)
    presumed = 0
    for _ in range(KILLS):
        said = run_until_killed(path, moments.uniform(0.01, 0.2), in_flight)
        with Book.open(path) as book:
            left = book.recover()
            presumed += left
            spent, rows = book.spent("tenant"), list(book.rows())
            assert left <= in_flight
            assert said <= {row.ordinal for row in rows}
            assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
            assert (spent.presumed_calls, spent.presumed_micro) == (presumed, presumed * 40)
            settled = spent.cost_micro - spent.presumed_micro
            # A row that runs again takes over the replies it had paid for.
            assert len(rows) * 24 <= settled <= (len(rows) + in_flight) * 24
            assert book.spent("batch").cost_micro == spent.cost_micro
            assert book.field_names() == (["colour"] if rows else [])
        assert discrepancies(path) == []


def test_recovery_presumes_the_calls_on_their_way_and_closes_what_was_held(tmp_path):
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.do(OpenAccount("batch", cost_micro=100, tokens=50))
        book.do(OpenAccount("row", parent="batch", cost_micro=60, hold=True))
        begun(book, "row", 20, 5)
        assert book.recover() == 0  # its own epoch is at work
    with Book.open(path) as book:
        assert book.recover() == 1
        assert [call.state for call in booked(book, "row")] == ["presumed"]
        for account in ("row", "batch"):
            spent = book.spent(account)
            assert (spent.cost_micro, spent.tokens, spent.open_cost_micro) == (20, 5, 0)
            assert (spent.presumed_micro, spent.presumed_calls) == (20, 1)
        with pytest.raises(BookError, match="'row' is closed"):
            begun(book, "row", 20, 5)
        assert book.recover() == 0


def test_a_hold_opened_again_before_recovery_stays_open(tmp_path):
    path = tmp_path / "book.sqlite"

    def open_both(book: Book) -> None:
        book.do(OpenAccount("batch", cost_micro=100))
        book.do(OpenAccount("row", parent="batch", cost_micro=60, hold=True))

    with Book.open(path) as book:
        open_both(book)
    with Book.open(path) as book:
        open_both(book)
        uid = begun(book, "row", 5)
        assert book.recover() == 0
        book.do(SettleCall(uid, 0, 0))
        assert book.spent("batch").open_cost_micro == 60


def test_many_threads_on_one_budget_never_pass_it_and_use_it_up(tmp_path):
    path = tmp_path / "book.sqlite"
    limit, price, threads = 1_000, 7, 64
    settled = []
    with Book.open(path) as book:
        book.do(OpenAccount("tenant", cost_micro=limit))
        book.do(OpenAccount("batch", parent="tenant"))
        gate = threading.Barrier(threads)

        def spend() -> None:
            gate.wait()
            while True:
                try:
                    uid = begun(book, "batch", price, 1)
                except BudgetExceeded:
                    return
                book.do(SettleCall(uid, price, 1))
                settled.append(uid)

        workers = [threading.Thread(target=spend) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        spent = book.spent("tenant")
        assert len(set(settled)) == len(settled) == limit // price
        assert (spent.cost_micro, spent.open_cost_micro) == (limit // price * price, 0)
    assert discrepancies(path) == []
