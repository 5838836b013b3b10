"""How well a wrong photo is found: photos of one catalog are swapped among its rows, and it is run.

    python -m benchmarks.catalogs.verification DATA [--split val] [--swapped 0.2] [--fit] [--json]

DATA holds `grocery/` and `clothing/` with a table of photos for the split. A grocery's text is its
shop's, a garment's is written here. The share of wrong photos that is counted on is `USUAL`; more
are swapped, so that there are enough of them to count, and the precision is told for that share.
A photo is swapped for one of another category: two photos of one are no fault of the photo.

With --fit the two numbers of `orchestra/combine/match.py` are fitted to the run, and printed.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import math
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphs.listing import build
from orchestra import Fleet
from orchestra.batch.output.rows import results_of
from orchestra.combine.match import AT_EVENS, MATCH, SLOPE, YES, is_fault
from orchestra.core.job import Result
from orchestra.core.stats import wilson

USUAL = 0.05  # of a catalog's photos are wrong
SEED = 5
GARMENTS = {
    "dress": ("summer dress", "evening dress", "dress with short sleeves"),
    "hat": ("knitted hat", "baseball cap", "straw hat"),
    "longsleeve": ("longsleeve top", "long sleeve shirt", "sweatshirt"),
    "outwear": ("winter jacket", "rain coat", "bomber jacket"),
    "pants": ("slim jeans", "trousers", "chinos"),
    "shirt": ("button-down shirt", "blouse", "oxford shirt"),
    "shoes": ("running shoes", "leather boots", "sneakers"),
    "shorts": ("denim shorts", "swim shorts", "shorts with pockets"),
    "skirt": ("pleated skirt", "mini skirt", "denim skirt"),
    "t-shirt": ("basic t-shirt", "printed t-shirt", "crew neck tee"),
}


@dataclass(frozen=True, slots=True)
class Sold:
    """One row of the catalog; `is_wrong`: the photo is of another category than `category`."""

    title: str
    description: str
    photo: Path
    category: str
    is_wrong: bool = False


def read_catalog(data: Path, split: str, draw: random.Random) -> list[Sold]:
    """A row for each photo of the split, in an order that is drawn."""
    told = {row["name"]: row for row in _table(data / "grocery" / "products.csv")}
    rows = [
        Sold(
            row["name"],
            told[row["name"]]["description_en"] or told[row["name"]]["information"],
            data / "grocery" / row["image"],
            row["category"],
        )
        for row in _table(data / "grocery" / f"{split}.csv")
    ]
    for row in _table(data / "clothing" / f"{split}.csv"):
        kind = draw.choice(GARMENTS[row["category"]])
        title = f"{draw.choice(('Women', 'Men', 'Kid'))}'s {kind}"
        fabric = f"of {draw.choice(('cotton', 'linen', 'polyester'))}, size {draw.choice('SML')}"
        said = f"A {draw.choice(('soft', 'light', 'classic'))} {kind} {fabric}."
        rows.append(Sold(title, said, data / "clothing" / row["image"], row["category"]))
    draw.shuffle(rows)
    return rows


def swapped(rows: Sequence[Sold], share: float, draw: random.Random) -> list[Sold]:
    """The rows, with photos of about `share` of them passed round among those."""
    picked = draw.sample(range(len(rows)), round(share * len(rows)))
    moved = list(rows)
    for at, other in zip(picked, picked[1:] + picked[:1], strict=True):
        if rows[at].category != rows[other].category:
            moved[at] = replace(rows[at], photo=rows[other].photo, is_wrong=True)
    return moved


async def run(rows: Sequence[Sold]) -> list[Result]:
    """The rows' results through the bundled listing graph."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "catalog.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sku", "title", "description", "image"])
            for at, row in enumerate(rows):
                writer.writerow([f"S{at:05d}", row.title, row.description, str(row.photo)])
        out = Path(folder) / "out"
        async with Fleet.open("mini") as fleet:
            await fleet.batch(build, table, out=out, photo_root="/")  # the data is elsewhere
        found = dict(results_of(out)[0])
    return [found[f"S{at:05d}"] for at in range(len(rows))]


def scored(
    rows: Sequence[Sold], results: Sequence[Result], is_flagged: Callable[[Result], bool]
) -> dict[str, Any]:
    """Recall, and precision where `USUAL` of the photos are wrong."""
    wrong = [is_flagged(result) for row, result in zip(rows, results, strict=True) if row.is_wrong]
    fine = [
        is_flagged(result) for row, result in zip(rows, results, strict=True) if not row.is_wrong
    ]
    recall, alarms = sum(wrong) / len(wrong), sum(fine) / len(fine)
    hits = USUAL * recall
    precision = hits / (hits + (1 - USUAL) * alarms) if hits else 0.0
    return {
        "recall": recall,
        "recall_95": wilson(sum(wrong), len(wrong)),
        "false_alarms": alarms,
        "false_alarms_95": wilson(sum(fine), len(fine)),
        "precision": precision,
    }


def fitted(rows: Sequence[Sold], results: Sequence[Result]) -> tuple[float, float]:
    """(AT_EVENS, SLOPE) by logistic regression on the log odds that the run was judged by."""
    odds, labels, weights = [], [], []
    share = sum(row.is_wrong for row in rows) / len(rows)
    for row, result in zip(rows, results, strict=True):
        match = result.fields[MATCH]
        if match.confidence is None:
            continue
        fault = 1 - match.confidence if match.value == YES else match.confidence
        fault = min(max(fault, 1e-9), 1 - 1e-9)
        odds.append(AT_EVENS + math.log(fault / (1 - fault)) / SLOPE)
        labels.append(float(row.is_wrong))
        weights.append(USUAL / share if row.is_wrong else (1 - USUAL) / (1 - share))
    x_N, y_N, w_N = (np.array(values) for values in (odds, labels, weights))
    parts_N2 = np.stack([np.ones_like(x_N), x_N], axis=1)
    theta = np.zeros(2)
    for _ in range(50):  # Newton's steps, held back a little
        p_N = 1 / (1 + np.exp(-parts_N2 @ theta))
        slope = parts_N2.T @ (w_N * (y_N - p_N)) - 1e-3 * theta
        bend = (parts_N2 * (w_N * p_N * (1 - p_N))[:, None]).T @ parts_N2 + 1e-3 * np.eye(2)
        theta = theta + np.linalg.solve(bend, slope)
    return float(-theta[0] / theta[1]), float(theta[1])


def main(argv: Sequence[str] | None = None) -> int:
    """Run it, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with grocery/ and clothing/")
    parser.add_argument("--split", default="val", help="which table of photos (default: val)")
    parser.add_argument("--swapped", type=float, default=0.2, help="share of rows (default: 0.2)")
    parser.add_argument("--every", type=int, default=1, help="take one row in so many")
    parser.add_argument("--fit", action="store_true", help="fit the two numbers of the match")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    draw = random.Random(SEED)
    rows = swapped(read_catalog(asked.data, asked.split, draw)[:: asked.every], asked.swapped, draw)
    results = asyncio.run(run(rows))
    found: dict[str, Any] = {
        "rows": len(rows),
        "wrong": sum(row.is_wrong for row in rows),
        "compared": sum(result.fields[MATCH].answered for result in results),
        "photo_match": scored(rows, results, lambda result: is_fault(result.fields[MATCH])),
        "review": scored(rows, results, lambda result: result.status == "review"),
    }
    if asked.fit:
        found["fit"] = dict(zip(("AT_EVENS", "SLOPE"), fitted(rows, results), strict=True))
    if asked.json:
        print(json.dumps(found))
        return 0
    print(
        f"{found['rows']} rows, {found['wrong']} with a wrong photo, {found['compared']} compared"
    )
    for name in ("photo_match", "review"):
        one = found[name]
        print(
            f"{name:12} recall {one['recall']:.3f} [{one['recall_95'][0]:.2f}, "
            f"{one['recall_95'][1]:.2f}], false alarms {one['false_alarms']:.3f}, precision at "
            f"{USUAL:.0%} wrong {one['precision']:.3f}"
        )
    if asked.fit:
        print(f"AT_EVENS, SLOPE = {found['fit']['AT_EVENS']:.2f}, {found['fit']['SLOPE']:.2f}")
    return 0


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
