"""Streams a long text table through the listing graph with a stub model: rows/s and peak RSS.

    python benchmarks/batch_stream.py --rows 1000000

The model is a stub that answers at once, so what is measured is Orchestra itself: reading,
planning, LangGraph, the book, and the exports. After 1,000 rows and after each `--every` it prints
the rate since the last time, by the clock and by the process's own time, which other work on the
machine leaves as it is, and the memory held now and at its peak. Neither may depend on how many
rows went before.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import resource
import tempfile
import time
from pathlib import Path

from graphs.listing import build
from orchestra.app import Fleet
from orchestra.batch.progress import Progress
from orchestra.batch.spec import DEFAULT_IN_FLIGHT
from orchestra.clients.inprocess import InProcessClient
from orchestra.testing import ScriptedEngine
from tests.scripted import first_allowed

FIRST = 1_000
KINDS = ("apple", "lemon", "pear", "tomato", "kiwi", "plum", "mango", "onion", "shirt", "skirt")
PLACES = ("Italy", "Spain", "Sweden", "France", "Chile", "Kenya", "Peru", "Greece", "Poland")
COLOURS = ("red", "green", "yellow", "blue", "white", "brown")
TASTES = ("Sweet and firm", "Best before May", "Packed by hand", "Grown without haste", "Our best")


class Watch(Progress):
    """Prints rate and memory after the first thousand rows and after `every` further ones."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.rows = self.last = 0
        self.clock = self.own = 0.0

    def start(self, total: int | None, done: int) -> None:
        self.clock, self.own = time.perf_counter(), time.process_time()

    def row(self, spent_micro: int) -> None:
        self.rows += 1
        if self.rows != FIRST and self.rows % self.every:
            return
        clock, own, count = time.perf_counter(), time.process_time(), self.rows - self.last
        print(
            f"{self.rows:>8} rows  {count / (clock - self.clock):7.1f} rows/s  "
            f"{1000 * (own - self.own) / count:6.2f} ms of CPU a row  "
            f"{now_mib():.0f} MiB, peak {peak_mib():.0f} MiB",
            flush=True,
        )
        self.clock, self.own, self.last = clock, own, self.rows

    def say(self, message: str) -> None:
        print(message)


def peak_mib() -> float:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def now_mib() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def write_table(path: Path, rows: int) -> None:
    """A table of `rows` short product texts."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "description", "price"])
        for number in range(rows):
            kind, place = KINDS[number % len(KINDS)], PLACES[number // 7 % len(PLACES)]
            colour, taste = COLOURS[number // 3 % len(COLOURS)], TASTES[number // 11 % len(TASTES)]
            text = f"A {colour} {kind}, lot {number}, from {place}. About 180 g. {taste}."
            writer.writerow([f"{number:07}", f"{kind.title()} {number}", text, "9.90"])


async def stream(rows: int, every: int, folder: Path) -> None:
    """Run the batch and print its rate and memory."""
    table = folder / "products.csv"
    write_table(table, rows)
    engine = ScriptedEngine(first_allowed)
    engine.calls = _Forgetful()
    client = InProcessClient("r1", lambda: engine, max_batch=DEFAULT_IN_FLIGHT)
    began = time.perf_counter()
    print(f"before: peak {peak_mib():.0f} MiB")
    async with Fleet.open("mini", clients={"r1": client}) as fleet:
        summary = await fleet.batch(build, table, out=folder / "out", progress=Watch(every))
    seconds = time.perf_counter() - began
    print(
        f"{summary.rows} rows, {summary.complete} complete, {rows / seconds:.1f} rows/s with "
        f"exports, {seconds:.0f} s, peak {peak_mib():.0f} MiB, in flight {DEFAULT_IN_FLIGHT}"
    )


class _Forgetful(list):
    """The stub's call log, without the log: it would grow with the table."""

    def extend(self, calls: object) -> None:
        """Keep nothing."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--every", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(stream(options.rows, options.every, Path(temporary)))
