"""Transactions a second of the book, in one process and in many, and whether it slows with rows.

    python benchmarks/book.py [--rows 200000] [--processes 16] [--power-safe]

A row is nine operations in six transactions: open a held account, reserve two calls, dispatch
both, then finish the row with two settlements and the account's closing. Rates per CPU-second
say what a machine with an idle core would do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestra.book.book import Book
from orchestra.book.calls import Settlement

RECORD = '{"fields":{}}' + " " * 1500
REPLY = '{"category":"Apple","colour":"red"}'
CALLS_A_ROW = 2
OPERATIONS_A_ROW = 3 + 3 * CALLS_A_ROW
TRANSACTIONS_A_ROW = 2 + 2 * CALLS_A_ROW


def start_row(book: Book, name: str) -> list[int]:
    """Open a row's account and send its calls."""
    book.open_account(name, parent="batch", cost_micro=100, hold=True)
    entries = [
        book.reserve(name, cost_micro=40, tokens=9, node="look", model="vl", key=f"{name}/{call}")
        for call in range(CALLS_A_ROW)
    ]
    for entry in entries:
        book.dispatch(entry)
    return entries


def end_row(book: Book, name: str, ordinal: int, entries: list[int]) -> None:
    """Settle a row's calls and record it."""
    book.finish_row(
        name,
        ordinal=ordinal,
        row_id=name,
        status="complete",
        record_json=RECORD,
        settle=[Settlement(entry, 30, 5, 0.1, {"output_tokens": 5}, REPLY) for entry in entries],
        close=name,
    )


def open_budgets(book: Book) -> None:
    """A tenant without a limit that binds and a batch in it."""
    book.open_account("tenant", cost_micro=10**12)
    book.open_account("batch", parent="tenant", cost_micro=10**11)


def one_process(folder: Path, rows: int, power_safe: bool, group_rows: int) -> None:
    """Print the rate of each tenth of `rows`, so that a slowdown shows."""
    with Book.open(folder / f"one-{group_rows}.sqlite", power_safe=power_safe) as book:
        open_budgets(book)
        tenth = max(1, rows // 10)
        for first in range(0, rows, tenth):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            for start in range(first, min(first + tenth, rows), group_rows):
                run_group(book, range(start, min(start + group_rows, first + tenth, rows)))
            seconds, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
            operations = tenth * OPERATIONS_A_ROW
            print(
                f"  rows {first:>7}+: {tenth / seconds:8.0f} rows/s"
                f" {operations / seconds:8.0f} operations/s"
                f" {operations / cpu_s:8.0f} a CPU-second",
                flush=True,
            )
        begin = time.perf_counter()
        counts = book.counts()
        print(f"  counts {counts} in {1000 * (time.perf_counter() - begin):.1f} ms")


def run_group(book: Book, ordinals: range) -> None:
    """Run some rows; more than one share two commits."""
    if len(ordinals) == 1:
        name = f"row-{ordinals[0]}"
        end_row(book, name, ordinals[0], start_row(book, name))
        return
    with book.transaction():
        started = {ordinal: start_row(book, f"row-{ordinal}") for ordinal in ordinals}
    with book.transaction():
        for ordinal, entries in started.items():
            end_row(book, f"row-{ordinal}", ordinal, entries)


def participate(path: Path, worker: int, rows: int, gate: Any) -> None:
    """One of many processes on one book."""
    with Book.open(path, exclusive=False) as book:
        gate.wait()
        for row in range(rows):
            name = f"row-{worker}-{row}"
            end_row(book, name, worker * rows + row, start_row(book, name))


def many_processes(folder: Path, rows: int, processes: int, power_safe: bool) -> None:
    """Print the rate of `processes` that share one file, and check that the sums are right."""
    path = folder / "many.sqlite"
    with Book.open(path, power_safe=power_safe) as book:
        open_budgets(book)
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
        right = book.spent("tenant").cost_micro == done * CALLS_A_ROW * 30
    failed = sum(worker.exitcode != 0 for worker in workers)
    print(
        f"  {done / seconds:8.0f} rows/s {done * TRANSACTIONS_A_ROW / seconds:8.0f}"
        f" transactions/s, {failed} processes failed, sums right: {right}"
    )


def main() -> None:
    """Run all three."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--processes", type=int, default=16)
    options.add_argument("--group-rows", type=int, default=32)
    options.add_argument("--power-safe", action="store_true", help="wait for the disk")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("one process, each operation a transaction:")
        one_process(folder, chosen.rows, chosen.power_safe, 1)
        print(f"one process, groups of {chosen.group_rows} rows, two commits each:")
        one_process(folder, chosen.rows, chosen.power_safe, chosen.group_rows)
        print(f"{chosen.processes} processes, each operation a transaction:")
        many_processes(folder, chosen.rows // 4, chosen.processes, chosen.power_safe)


if __name__ == "__main__":
    main()
