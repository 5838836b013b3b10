"""Rows a second of the book on the path that a batch takes, and whether it slows with rows.

    python benchmarks/book.py [--rows 20000] [--in-flight 32] [--processes 16]

A row is six messages to a ledger: open a held account, begin and settle two calls, and finish the
row, which closes the account. Rows under way at once share transactions. Rates per CPU-second say
what a machine with an idle core would do.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.book.book import Book
from orchestra.book.ledger import Ledger, LocalLedger, RowLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import BeginCall, CloseAccount, FinishRow, OpenAccount, SettleCall
from orchestra.book.shared.remote import Keeper, RemoteLedger

RECORD = '{"fields":{}}' + " " * 1500
REPLY = '{"category":"Apple","colour":"red"}'
MEASURED = {"ms": 12.5, "work": [40, 5, 1], "beside": {"vl": 3}}
CALLS_A_ROW = 2
MESSAGES_A_ROW = 2 + 2 * CALLS_A_ROW
COST_MICRO = 30


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast some rows went."""

    rows: int
    seconds: float
    cpu_s: float

    def __str__(self) -> str:
        a_second, a_cpu_second = self.rows / self.seconds, self.rows / self.cpu_s
        return (
            f"{a_second:8.0f} rows/s {a_second * MESSAGES_A_ROW:8.0f} messages/s"
            f" {a_cpu_second * MESSAGES_A_ROW:8.0f} a CPU-second"
        )


async def pay(ledger: Ledger, name: str) -> None:
    """Open a row's account and make its calls."""
    await ledger.send(OpenAccount(name, parent="batch", cost_micro=100, hold=True))
    for call in range(CALLS_A_ROW):
        uid = f"{name}/{call}"
        await ledger.send(BeginCall(uid, name, uid, "look", "vl", 40, 9))
        await ledger.send(SettleCall(uid, COST_MICRO, 5, 0.1, REPLY, MEASURED))


async def run_row(ledger: RowLedger, ordinal: int) -> None:
    """A row of a batch, to its record."""
    name = f"row:{ordinal}"
    await pay(ledger, name)
    await ledger.send(FinishRow(name, ordinal, name, "complete", RECORD, name))


async def run_job(ledger: Ledger, ordinal: int) -> None:
    """A job without a file."""
    await pay(ledger, f"job:{ordinal}")
    await ledger.send(CloseAccount(f"job:{ordinal}"))


async def open_budgets(ledger: Ledger) -> None:
    """A tenant without a limit that binds and a batch in it."""
    await ledger.send(OpenAccount("tenant", cost_micro=10**12))
    await ledger.send(OpenAccount("batch", parent="tenant", cost_micro=10**11))


async def run_rows(ledger: Any, ordinals: Iterable[int], in_flight: int, run: Any) -> Rate:
    """Run rows, so many at once."""
    waiting, done = iter(ordinals), 0

    async def worker() -> None:
        nonlocal done
        for ordinal in waiting:
            await run(ledger, ordinal)
            done += 1

    begin, begin_cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return Rate(done, time.perf_counter() - begin, time.process_time() - begin_cpu)


def tenths(rows: int) -> Iterator[range]:
    """The rows in ten parts, so that a slowdown shows."""
    tenth = max(1, rows // 10)
    return (range(first, first + tenth) for first in range(0, rows, tenth))


async def one_file(folder: Path, rows: int, in_flight: int) -> None:
    """Print the rate of each tenth of `rows`."""
    with Book.open(folder / f"one-{in_flight}.sqlite") as book:
        ledger = LocalLedger(book)
        await open_budgets(ledger)
        for part in tenths(rows):
            rate = await run_rows(ledger, part, in_flight, run_row)
            print(f"  rows {part.start:>7}+: {rate}", flush=True)
        begin = time.perf_counter()
        counts = book.counts()
        print(f"  counts {counts} in {1000 * (time.perf_counter() - begin):.1f} ms")


async def elsewhere(folder: Path, rows: int, in_flight: int) -> None:
    """Print the rate of a ledger whose messages go to a keeper in bundles, without a network."""
    with Book.open(folder / "far.sqlite") as book:
        ledger = RemoteLedger(Keeper(book).apply)
        await open_budgets(ledger)
        print(f"  {await run_rows(ledger, range(rows), in_flight, run_row)}")


async def in_memory(rows: int, in_flight: int) -> None:
    """Print the rate of a process that keeps no file."""
    ledger = MemoryLedger()
    await open_budgets(ledger)
    print(f"  {await run_rows(ledger, range(rows), in_flight, run_job)}")


def participate(path: Path, worker: int, rows: int, gate: Any) -> None:
    """One of many processes on one book."""
    with Book.open(path, exclusive=False) as book:
        gate.wait()
        mine = range(worker * rows, (worker + 1) * rows)
        asyncio.run(run_rows(LocalLedger(book), mine, 1, run_row))


def many_processes(folder: Path, rows: int, processes: int) -> None:
    """Print the rate of `processes` that share one file, and check that the sums are right."""
    path = folder / "many.sqlite"
    with Book.open(path) as book:
        asyncio.run(open_budgets(LocalLedger(book)))
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(processes + 1)
    share = rows // processes
    workers = [
        context.Process(target=participate, args=(path, worker, share, gate))
        for worker in range(processes)
    ]
    for worker in workers:
        worker.start()
    gate.wait()
    begin = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begin
    done = share * processes
    with Book.open(path) as book:
        right = book.spent("tenant").cost_micro == done * CALLS_A_ROW * COST_MICRO
    failed = sum(worker.exitcode != 0 for worker in workers)
    print(
        f"  {done / seconds:8.0f} rows/s {done * MESSAGES_A_ROW / seconds:8.0f}"
        f" transactions/s, {failed} processes failed, sums right: {right}"
    )


def main() -> None:
    """Run all."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--in-flight", type=int, default=32)
    options.add_argument("--processes", type=int, default=16)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("one row at a time, each message a transaction:")
        asyncio.run(one_file(folder, chosen.rows, 1))
        print(f"{chosen.in_flight} rows at once:")
        asyncio.run(one_file(folder, chosen.rows, chosen.in_flight))
        print(f"{chosen.in_flight} rows at once, by bundles of messages:")
        asyncio.run(elsewhere(folder, chosen.rows // 4, chosen.in_flight))
        print(f"{chosen.in_flight} jobs at once, in memory:")
        asyncio.run(in_memory(chosen.rows // 4, chosen.in_flight))
        print(f"{chosen.processes} processes, each message a transaction:")
        many_processes(folder, chosen.rows // 4, chosen.processes)


if __name__ == "__main__":
    main()
