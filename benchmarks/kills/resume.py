"""SIGKILLs a batch at random moments, restarts it each time, and counts what that cost.

    python benchmarks/kills/resume.py --rows 300 --kills 10

Runs the real command on the bundled models: once undisturbed, once killed again and again.
Prints unique rows, calls made twice, what was presumed, and the total beside the clean run's.
"""

from __future__ import annotations

import argparse
import csv
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from orchestra.batch.folder import BATCH_ACCOUNT, BOOK
from orchestra.book.book import Book
from orchestra.core.errors import BookError
from orchestra.core.money import dollars

ORCHESTRA = str(Path(sys.executable).parent / "orchestra")
IN_FLIGHT = 16
LONGEST_RUN_S = 900


@dataclass(frozen=True, slots=True)
class Toll:
    """What a batch came to: unique finished rows, spend, and calls by how they ended."""

    rows: int
    cost_micro: int
    presumed: int
    presumed_micro: int
    repeated_calls: int


def command(table: Path, out: Path, fleet: str, options: Sequence[str] = ()) -> list[str]:
    """The batch as a user types it."""
    return [
        ORCHESTRA, "batch", str(table), "--out", str(out), "--fleet", fleet,
        "--in-flight", str(IN_FLIGHT), *options,
    ]  # fmt: skip


def finished(out: Path) -> int:
    """Rows finished so far, read beside the running batch."""
    try:
        with Book.open(out / BOOK, exclusive=False) as book:
            return sum(book.counts().values())
    except BookError:
        return 0


def toll(out: Path) -> Toll:
    """Count a batch that is over."""
    with Book.open(out / BOOK, exclusive=False) as book:
        spent = book.spent(BATCH_ACCOUNT)
        rows = len({row.ordinal for row in book.rows()})
    with closing(sqlite3.connect(f"file:{out / BOOK}?mode=ro", uri=True)) as database:
        calls, kinds = database.execute(
            "SELECT COUNT(*), COUNT(DISTINCT key) FROM entries WHERE state != 'released'"
        ).fetchone()
    return Toll(rows, spent.cost_micro, spent.presumed_calls, spent.presumed_micro, calls - kinds)


def run_killed(
    table: Path,
    out: Path,
    fleet: str,
    rows: int,
    kills: int,
    seed: int,
    *,
    options: Sequence[str] = (),
    kill: Callable[[subprocess.Popen[bytes]], None] = subprocess.Popen.kill,
) -> int:
    """Run with `kills` kills at random row counts; the number of kills that struck.

    `options` are more of the command's, and `kill` does a SIGKILL.
    """
    draw = random.Random(seed)
    moments = sorted(draw.sample(range(1, rows), kills))
    struck = 0
    for moment in moments:
        process = subprocess.Popen(
            command(table, out, fleet, options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + LONGEST_RUN_S
        while process.poll() is None and finished(out) < moment and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.2))
        if process.poll() is None:
            kill(process)
            struck += 1
        process.wait(timeout=30)
        print(f"killed at {finished(out)} finished rows", flush=True)
    run_clean(table, out, fleet, options)
    return struck


def run_clean(table: Path, out: Path, fleet: str, options: Sequence[str] = ()) -> None:
    """Run to the end."""
    subprocess.run(
        command(table, out, fleet, options),
        check=True,
        timeout=LONGEST_RUN_S,
        stdout=subprocess.DEVNULL,
    )


def print_toll(clean: Toll, killed: Toll, struck: int, in_flight: int) -> None:
    """What `struck` kills cost, beside the run without one; `in_flight` rows at once."""
    a_row = clean.cost_micro / clean.rows
    print(f"kills that struck      {struck}")
    print(f"unique rows            {killed.rows} of {clean.rows}")
    most = struck * in_flight
    print(f"calls made twice       {killed.repeated_calls} (in flight at the kills: {most} rows)")
    print(f"presumed calls         {killed.presumed} = {dollars(killed.presumed_micro)}")
    print(f"total clean / killed   {dollars(clean.cost_micro)} / {dollars(killed.cost_micro)}")
    over = (killed.cost_micro - clean.cost_micro) / (a_row * in_flight)
    print(f"excess in in-flight batches of {in_flight} rows: {over:.2f} over {struck} kills")


def write_table(path: Path, rows: int) -> None:
    """Short product texts, each its own."""
    kinds = ("apple", "lemon", "pear", "tomato", "milk", "shirt")
    colours = ("red", "green", "yellow", "blue", "white")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "description"])
        for number in range(rows):
            kind, colour = kinds[number % len(kinds)], colours[number % len(colours)]
            text = f"A {colour} {kind} from Italy, lot {number}. About {100 + number} g."
            writer.writerow([f"{number:05}", f"Brandal {number}", text])


def main() -> None:
    """Parse, run both, print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fleet", default="mini")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table = folder / "products.csv"
        write_table(table, options.rows)
        run_clean(table, folder / "clean", options.fleet)
        struck = run_killed(
            table, folder / "killed", options.fleet, options.rows, options.kills, options.seed
        )
        clean, killed = toll(folder / "clean"), toll(folder / "killed")
    print_toll(clean, killed, struck, IN_FLIGHT)


if __name__ == "__main__":
    main()
