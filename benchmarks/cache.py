"""What a cache of replies saves: the time of a hit among 100,000 replies, and a batch run again.

    python -m benchmarks.cache
    python -m benchmarks.cache --rows 200 --entries 100000 --fleet mini

A hit is timed through the whole call (key, look-up, entry in a book of a file), beside the same
call made by the fleet's model, and the bare look-up beside it. The batch is run three times into
new folders: without a cache, with an empty one, and with the one that this filled. Figures are of
one process on this machine; nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphs.listing import build as listing
from orchestra import Fleet, Job
from orchestra.cache.store import ReplyStore

COLOURS = ("red", "blue", "green", "black", "white", "grey", "brown", "yellow")
ORIGINS = ("Italy", "Spain", "Sweden", "Peru", "China", "France", "Ghana", "Chile")
KINDS = ("apple", "cotton shirt", "wool coat", "carton of milk", "leather shoe")
REPLY = json.dumps({"text": "x" * 300, "value": {}, "confidence": {}, "usage": [180, 40, 0]})


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50_ms": round(cuts[49] * 1000, 4), "p99_ms": round(cuts[98] * 1000, 4)}


def text_of(number: int) -> str:
    """The description of a product; no two numbers give the same."""
    colour, origin = COLOURS[number % 8], ORIGINS[number // 8 % 8]
    return f"A {colour} {KINDS[number // 64 % 5]} from {origin}. Lot {number}, 100 g."


def lookups(folder: Path, entries: int, asked: int) -> dict[str, Any]:
    """Fill a cache with `entries` replies; time `asked` look-ups that hit, and as many misses."""
    store = ReplyStore(folder)
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(entries)]
    kept: list[float] = []
    for key in keys:
        began = time.perf_counter()
        store.put(key, REPLY)
        kept.append(time.perf_counter() - began)
    step = max(1, entries // asked)
    hits, misses = [], []
    for key in keys[::step][:asked]:
        began = time.perf_counter()
        found = store.get(key)
        hits.append(time.perf_counter() - began)
        if found is None:
            raise RuntimeError(f"the reply under {key!r} is gone: the bound is too small")
        began = time.perf_counter()
        store.get(key[::-1])
        misses.append(time.perf_counter() - began)
    size = store.size
    store.close()
    return {
        "entries": size.replies,
        "mib": round(size.used_bytes / 2**20, 1),
        "look-up that hits": percentiles(hits),
        "look-up that misses": percentiles(misses),
        "put": percentiles(kept),
    }


async def calls(name: str, cache: Path, folder: Path, jobs: int) -> dict[str, Any]:
    """Times of single calls (the `answer` graph): made by the model, then answered by the cache."""
    from graphs.answer import build

    times: dict[str, list[float]] = {}
    for turn in ("a call", "a hit"):
        async with Fleet.open(name, cache=cache, book=folder / f"{turn}.sqlite") as fleet:
            await fleet.run(build, Job(text="What colour is it? It is red.", cache=False))
            for number in range(jobs):
                result = await fleet.run(build, Job(text=f"{text_of(number)} What colour is it?"))
                if result.cached != (turn == "a hit"):
                    raise RuntimeError(f"{turn} was answered elsewhere: {result.calls!r}")
                times.setdefault(turn, []).append(result.calls[0].seconds)
    return {turn: percentiles(seconds) for turn, seconds in times.items()}


async def batches(name: str, folder: Path, rows: int) -> list[dict[str, Any]]:
    """A batch of `rows` distinct rows: without a cache, filling one, and answered by it."""
    table = folder / "products.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "description"])
        writer.writerows([f"{number:05}", text_of(number)] for number in range(rows))
    runs = []
    for out, cache in (("without", None), ("filling", folder / "c"), ("again", folder / "c")):
        began = time.perf_counter()
        async with Fleet.open(name, cache=cache) as fleet:
            summary = await fleet.batch(listing, table, out=folder / out, yes=True)
        runs.append(
            {
                "cache": out,
                "rows": summary.rows,
                "wall_s": round(time.perf_counter() - began, 2),
                "cost_usd": float(summary.cost_usd),
                "saved_usd": float(summary.saved_usd),
                "calls from the cache": summary.cached,
            }
        )
    return runs


def main() -> None:
    """Run all three parts and print one JSON document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--lookups", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--fleet", default="mini")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        told: dict[str, Any] = {
            "store": lookups(folder / "full", wanted.entries, wanted.lookups),
            "call": asyncio.run(calls(wanted.fleet, folder / "full", folder, wanted.jobs)),
            "batch": asyncio.run(batches(wanted.fleet, folder, wanted.rows)),
        }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
