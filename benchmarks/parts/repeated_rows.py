"""What repeated photos save: rows a second of one table, with replies taken over and without.

    python -m benchmarks.parts.repeated_rows --rows 400 --share 0.8

Rows have a photo each and no text, and `share` of them a photo that an earlier row has as well.
They go through graph `listing` and fleet `mini`, as `orchestra batch` runs them; once as they are,
and once with a name of its own for each call, so that none finds another's reply. Both runs are
made in turn in one process. The tables that they write have to be the same, but for the last
digits of confidences, which depend on what else is in a batch.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import itertools
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.rows import enrich
from orchestra.fleet.local import local_client
from orchestra.fleet.source import load_fleet
from workers.synthetic.drawn import KINDS, draw_product

KEY = "orchestra.graph.caller.call_key"


def write_photos(folder: Path, rows: int, share: float) -> Path:
    """`rows` products without a text, `share` of which have the photo of an earlier one."""
    kinds = [(kind, colour) for kind in sorted(KINDS) for colour in KINDS[kind]]
    path, distinct = folder / "photos.csv", max(1, round(rows * (1 - share)))
    for number in range(distinct):
        kind, colour = kinds[number % len(kinds)]
        draw_product(kind, colour, seed=number).save(folder / f"{number}.png")
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "image"])
        table.writerows([number, f"{number % distinct}.png"] for number in range(rows))
    return path


def without_reuse() -> Any:
    """Have each call a name of its own within the block."""
    numbers = itertools.count()
    return patch(KEY, lambda *_: f"{next(numbers)}")


def differences(one: Path, other: Path) -> list[str]:
    """The cells that two batches wrote differently, by their column."""
    tables = []
    for out in (one, other):
        with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
            tables.append(list(csv.DictReader(file)))
    return [
        f"{name}: {left[name]!r}, {right[name]!r}"
        for left, right in zip(*tables, strict=True)
        for name in left
        if left[name] != right[name] and not _is_near(name, left[name], right[name])
    ]


def _is_near(name: str, left: str, right: str) -> bool:
    is_sure = name.endswith("_confidence") and left and right
    return bool(is_sure) and math.isclose(float(left), float(right), abs_tol=1e-4)


def measure(rows: int, share: float, repeats: int) -> dict[str, float]:
    """Rows a second of both ways, medians of `repeats` turns; raises where their tables differ."""
    file, place = load_fleet("mini")
    engines = {
        name: local_client(file.card(name), place, threads=1).load_engine() for name in ("r1", "vl")
    }
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table = write_photos(folder, rows, share)
        for turn in range(repeats):
            outs = folder / f"reused{turn}", folder / f"alone{turn}"
            began = time.process_time()
            reused = asyncio.run(enrich(table, outs[0], engines))
            middle = time.process_time()
            with without_reuse():
                alone = asyncio.run(enrich(table, outs[1], engines))
            ended = time.process_time()
            if apart := differences(*outs):
                raise SystemExit(f"replies that were taken over are not the same: {apart[:3]}")
            found.append(
                {
                    "reused": reused,
                    "alone": alone,
                    "reused/alone": reused / alone,
                    "CPU ms a row, reused": (middle - began) * 1000 / rows,
                    "CPU ms a row, alone": (ended - middle) * 1000 / rows,
                }
            )
    return {name: statistics.median(turn[name] for turn in found) for name in found[0]}


def main() -> None:
    """Parse the command line and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    for name, value in measure(given.rows, given.share, given.repeats).items():
        print(f"{name:22} {value:8.2f}")


if __name__ == "__main__":
    main()
