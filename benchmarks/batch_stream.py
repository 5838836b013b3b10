"""Streams a long text table through the listing graph with a stub model: rows/s and peak RSS.

    python benchmarks/batch_stream.py --rows 200000

The model is a stub that answers at once, so what is measured is Orchestra itself: reading,
planning, LangGraph, the book, and the exports. Memory is the process's peak at three points;
it must not grow with the number of rows.
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


class Watch(Progress):
    """Prints rate and peak memory every tenth of the table."""

    def __init__(self) -> None:
        self.total = 0
        self.rows = 0
        self.began = time.perf_counter()

    def start(self, total: int | None, done: int) -> None:
        self.total = total or 0
        self.began = time.perf_counter()

    def row(self, spent_micro: int) -> None:
        self.rows += 1
        if self.rows % max(1, self.total // 10) == 0:
            rate = self.rows / (time.perf_counter() - self.began)
            print(f"{self.rows:>8} rows  {rate:7.1f} rows/s  peak {peak_mib():.0f} MiB", flush=True)

    def say(self, message: str) -> None:
        print(message)


def peak_mib() -> float:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_table(path: Path, rows: int) -> None:
    """A table of `rows` short product texts."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "description", "price"])
        for number in range(rows):
            text = f"A red apple, lot {number}, from Italy. About 180 g. Sweet and firm."
            writer.writerow([f"{number:07}", f"Apple {number}", text, "9.90"])


async def stream(rows: int, folder: Path) -> None:
    """Run the batch and print its rate and memory."""
    table = folder / "products.csv"
    write_table(table, rows)
    engine = ScriptedEngine(first_allowed)
    engine.calls = _Forgetful()
    client = InProcessClient("r1", lambda: engine, max_batch=DEFAULT_IN_FLIGHT)
    began = time.perf_counter()
    print(f"before: peak {peak_mib():.0f} MiB")
    async with Fleet.open("mini", clients={"r1": client}) as fleet:
        summary = await fleet.batch(build, table, out=folder / "out", progress=Watch())
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(stream(options.rows, Path(temporary)))
