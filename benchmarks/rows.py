"""Catalog rows a second: Orchestra against its engines alone, and against a plain loop.

    python -m benchmarks.rows --rows 400

One table of drawn photos and made-up texts goes through graph `listing` and fleet `mini`, as
`orchestra batch` runs it. The calls that this made are then made again without Orchestra: by the
same engines side by side, in batches of 16 with one thread each; and one at a time by torch. All
ways run in turn in one process, so that what else the machine does weighs on each.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphs.listing import build
from orchestra.app import Fleet
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call
from orchestra.core.identity import checkpoint_place
from orchestra.fleet.local import local_client
from orchestra.fleet.source import load_fleet, load_worker
from workers.synthetic.drawn import KINDS, draw_product

BATCH = 16
TORCH = "workers.engine:TransformersEngine"
TORCH_CALLS = 60  # of each model: the loop is slow, and its rate steady
WORDS = ("fresh", "organic", "sweet", "soft", "bright", "classic", "light", "firm", "new", "fine")
COUNTRIES = ("Italy", "Spain", "Sweden", "France", "Chile", "Kenya", "Peru", "Turkey")


@dataclass(slots=True)
class Recorded:
    """An engine that notes what it is asked."""

    engine: Any
    calls: list[Call] = field(default_factory=list)

    def generate(self, calls: Sequence[Call], *rest: Any) -> Any:
        """As the engine does."""
        self.calls += calls
        return self.engine.generate(calls, *rest)

    def count_tokens(self, call: Call) -> int:
        """As the engine does."""
        return self.engine.count_tokens(call)


def write_table(folder: Path, rows: int) -> Path:
    """`rows` products, no two alike, each with a photo and a text."""
    kinds = [(kind, colour) for kind in sorted(KINDS) for colour in KINDS[kind]]
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "name", "description", "image"])
        for number in range(rows):
            kind, colour = kinds[number % len(kinds)]
            photo = folder / f"{number}.png"
            draw_product(kind, colour, seed=number).save(photo)
            word, country = WORDS[number % len(WORDS)], COUNTRIES[number // 7 % len(COUNTRIES)]
            text = f"{colour.title()} {kind.lower()}, {word}. Origin: {country}, lot {number}."
            table.writerow([number, f"{word.title()} {kind}", text, photo.name])
    return path


async def enrich(table: Path, out: Path, engines: dict[str, Any]) -> float:
    """Rows a second of a batch, from its first row to its exports."""

    def client(name: str) -> InProcessClient:
        return InProcessClient(name, lambda: engines[name], max_batch=BATCH)

    async with Fleet.open("mini", clients={name: client(name) for name in engines}) as fleet:
        began = time.perf_counter()
        summary = await fleet.batch(build, table, out=out)
        return summary.rows / (time.perf_counter() - began)


def side_by_side(calls: dict[str, list[Call]], engines: dict[str, Any]) -> float:
    """Seconds for `calls` in batches, each engine in a thread of its own."""

    def run(name: str) -> None:
        for at in range(0, len(calls[name]), BATCH):
            engines[name].generate(calls[name][at : at + BATCH])

    threads = [threading.Thread(target=run, args=(name,)) for name in calls]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def one_by_one(calls: dict[str, list[Call]], engines: dict[str, Any]) -> float:
    """Seconds for `calls` at batch 1, worked out from the first of each model."""
    total = 0.0
    for name, asked in calls.items():
        few = asked[:TORCH_CALLS]
        began = time.perf_counter()
        for call in few:
            engines[name].generate([call])
        total += (time.perf_counter() - began) * len(asked) / len(few)
    return total


def measure(rows: int, repeats: int, *, torch: bool) -> dict[str, float]:
    """Rows a second of each way, and the ratios; medians of `repeats` turns."""
    file, place = load_fleet("mini")
    cards = {name: file.card(name) for name in ("r1", "vl")}
    engines = {
        name: local_client(card, place, threads=1).load_engine() for name, card in cards.items()
    }
    slow = {}
    if torch:
        for name, card in cards.items():
            checkpoint = checkpoint_place(card.hosting.checkpoint or "", place)
            slow[name] = load_worker(TORCH).load(checkpoint, threads=1)
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        table = write_table(Path(temporary), rows)
        for turn in range(repeats):
            recorded = {name: Recorded(engine) for name, engine in engines.items()}
            ours = asyncio.run(enrich(table, Path(temporary) / f"out{turn}", recorded))
            calls = {name: one.calls for name, one in recorded.items()}
            alone = rows / side_by_side(calls, engines)
            one = {"ours": ours, "engines": alone, "ours/engines": ours / alone}
            if torch:
                loop = rows / one_by_one(calls, slow)
                one |= {"loop": loop, "ours/loop": ours / loop}
            found.append(one)
    return {name: statistics.median(turn[name] for turn in found) for name in found[0]}


def main() -> None:
    """Parse the command line and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-torch", action="store_true", help="leave the slow loop out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.rows, given.repeats, torch=not given.no_torch)
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:14} {value:8.2f}")


if __name__ == "__main__":
    main()
