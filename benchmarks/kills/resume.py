"""SIGKILLs a batch at random moments, restarts it each time, and counts what that cost.

    python benchmarks/kills/resume.py --rows 300 --kills 10
    python benchmarks/kills/resume.py --rows 10000 --poisoned 100

Runs the real command on the bundled models: once undisturbed, once killed again and again. Between
kills somebody decides of finished rows. `--poisoned` rows are bad in twenty ways. Prints unique
rows and their ends, answers that differ, decisions that were kept, calls made twice, what was
presumed, and the total beside the clean run's.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.catalogs.poison import table as poisoned_table
from orchestra.batch.folder import BATCH_ACCOUNT, BOOK
from orchestra.book.book import Book
from orchestra.book.decisions import Decision, NewDecision
from orchestra.core.errors import BookError
from orchestra.core.money import dollars

ORCHESTRA = str(Path(sys.executable).parent / "orchestra")
IN_FLIGHT = 16
LONGEST_RUN_S = 1800


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


def said(out: Path) -> Iterator[tuple[int, str, str]]:
    """Each row's place and status, and its values and errors, which are equal in equal runs."""
    with Book.open(out / BOOK, exclusive=False) as book:
        for row in book.rows():
            record = json.loads(row.record_json)
            fields = {name: field["value"] for name, field in (record["fields"] or {}).items()}
            errors = sorted(error["type"] for error in record["errors"] or ())
            yield row.ordinal, row.status, json.dumps([fields, errors], sort_keys=True)


def print_ends(clean: Path, killed: Path) -> None:
    """How rows ended, and how many ended otherwise in the batch that was killed."""
    whole, again = list(said(clean)), list(said(killed))
    for name, rows in (("clean", whole), ("killed", again)):
        print(f"{name:22} {dict(Counter(status for _, status, _ in rows))}")
    print(f"rows that differ       {len(set(whole) ^ set(again))}")


def decide(out: Path, draw: random.Random, made: list[Decision]) -> None:
    """Let a person decide of five of the finished rows."""
    with Book.open(out / BOOK, exclusive=False) as book:
        rows = [row for row in book.rows() if row.status == "complete"]
        chosen = draw.sample(rows, min(5, len(rows)))
        if chosen:
            made += book.decide([NewDecision(row.row_id, "approve") for row in chosen], by="ana")


def kept(out: Path, made: Sequence[Decision]) -> int:
    """How many of the decisions stand in the book as they were made."""
    with Book.open(out / BOOK, exclusive=False) as book:
        return len(set(made) & set(book.decisions()))


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
    made: list[Decision] | None = None,
) -> int:
    """Run with `kills` kills at random row counts; the number of kills that struck.

    `options` are more of the command's, and `kill` does a SIGKILL. With `made` somebody
    decides between kills, which is added to it.
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
        if made is not None:
            decide(out, draw, made)
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
    print(f"excess over the clean  {100 * (killed.cost_micro / clean.cost_micro - 1):.2f}%")
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
    parser.add_argument("--poisoned", type=int, default=0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fleet", default="mini")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table, made = folder / "products.csv", list[Decision]()
        if options.poisoned:
            table, _ = poisoned_table(folder, options.rows, options.poisoned)
        else:
            write_table(table, options.rows)
        began = time.perf_counter()
        run_clean(table, folder / "clean", options.fleet)
        print(f"clean: {options.rows / (time.perf_counter() - began):.1f} rows/s", flush=True)
        struck = run_killed(
            table, folder / "killed", options.fleet, options.rows, options.kills, options.seed,
            made=made,
        )  # fmt: skip
        stand = kept(folder / "killed", made)
        print_ends(folder / "clean", folder / "killed")
        clean, killed = toll(folder / "clean"), toll(folder / "killed")
    print_toll(clean, killed, struck, IN_FLIGHT)
    print(f"decisions kept         {stand} of {len(made)} made between kills")


if __name__ == "__main__":
    main()
