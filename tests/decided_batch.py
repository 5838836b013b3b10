"""A small batch with scripted models, for tests of what people decide of it."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path

from graphs.listing import build
from orchestra.book.book import Book
from orchestra.book.decisions import NewDecision
from tests.scripted import scripted_fleet

ROWS = (
    ("S1", "Brand1", "A red apple from Italy."),
    ("S2", "Brand2", "A red apple from Italy."),
    ("S3", "Brand3", "A green apple from Spain."),
    ("S4", "Brand4", "A red apple from Italy."),
)


def table(path: Path, rows: tuple[tuple[str, ...], ...] = ROWS) -> Path:
    """A product table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "name", "description"), *rows])
    return path


def batch(source: Path, out: Path) -> int:
    """Run it into `out`; how many calls were made."""

    async def run() -> int:
        fleet, engines = scripted_fleet()
        async with fleet:
            await fleet.batch(build, source, out=out)
        return sum(len(engine.calls) for engine in engines.values())

    return asyncio.run(run())


def decide(out: Path, *decisions: NewDecision, by: str = "ana", why: str = "") -> None:
    """Keep decisions in the batch's book."""
    with Book.open(out / "book.sqlite", exclusive=False) as book:
        book.decide(decisions, by=by, why=why)


def products(out: Path) -> dict[str, dict[str, str]]:
    """The lines of products.csv by id."""
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}
