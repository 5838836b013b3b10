"""Whether a calibrated threshold keeps its promise on rows that it was not fitted on.

    python -m benchmarks.calibration --data DIR [--rows 500] [--target 0.85] [--json FILE]

Rows are texts and validation photos of the public grocery set (`catalog_rows`), answered by the
graph `listing` without writing, once by each pair of a text and a vision model. They are split in
halves by photo, `--splits` times: one half is calibrated, the other says what the thresholds kept.
Labels that were shuffled are the control: nothing may be claimed from them. Last, a policy of the
first split is used: a cascade answers the held-out half, beside its second models alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.combination import AT_ONCE, FIELDS, RECIPE
from benchmarks.parts.catalog_rows import Row, read_rows
from graphs.listing import build
from orchestra import Fleet, Job, Result
from orchestra.core.card import Card, FleetFile
from orchestra.core.identity import fingerprints
from orchestra.core.stats import wilson
from orchestra.core.values import folded
from orchestra.quality.calibrate import Fitted, calibrate
from orchestra.quality.policy import Policy
from orchestra.quality.readings import Place, Truth, Truths, collect, judge_readings

VARIANTS = ("told", "silent", "other colour")
Results = dict[str, Result]


@dataclass(slots=True)
class Kept:
    """Held-out answers over all splits that a threshold of one place kept."""

    promised: int = 0
    splits: int = 0
    held: int = 0
    within: int = 0
    answers: int = 0
    right: int = 0
    covered: list[float] = field(default_factory=list)


def rows_of(data: Path, count: int, seed: int) -> dict[str, Row]:
    """`count` rows drawn over photos and variants, by id."""
    rows = [row for row in read_rows(data, "val") if row.variant in VARIANTS]
    drawn = random.Random(seed).sample(rows, min(count, len(rows)))
    return {f"R{at:04}": row for at, row in enumerate(drawn)}


def truths_of(rows: Mapping[str, Row]) -> Truths:
    """The true values of rows, as a gold set has them."""
    values = {
        row_id: Truth({name: row.truth[name] or "" for name in FIELDS})
        for row_id, row in rows.items()
    }
    return Truths(values, ("id", *FIELDS))


def shuffled(truths: Truths, rng: random.Random) -> Truths:
    """The same values, given to other rows."""
    values = list(truths.rows.values())
    rng.shuffle(values)
    return Truths(dict(zip(truths.rows, values, strict=True)), truths.columns)


def of_models(fleet: Fleet, names: Sequence[str], policy: Policy | None = None) -> Fleet:
    """`fleet` with these models alone; one that sees is asked about photos only."""
    cards: list[Card] = []
    for name in names:
        card = fleet.file.card(name)
        if {"text", "vision"} <= set(card.capabilities):
            card = card.model_copy(update={"capabilities": ("vision",)})
        cards.append(card)
    file = FleetFile(name=fleet.file.name, models=tuple(cards))
    clients = {name: fleet.client(name) for name in names}
    return Fleet(file, fleet.folder, clients=clients, policy=policy)


async def answer(fleet: Fleet, rows: Mapping[str, Row]) -> Results:
    """The result of every row."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row: Row) -> Result:
        async with gate:
            job = Job(text=row.text, images=(str(row.photo),))
            return await fleet.run(lambda: build(RECIPE), job)

    found = await asyncio.gather(*(one(row) for row in rows.values()))
    return dict(zip(rows, found, strict=True))


def halves(rows: Mapping[str, Row], rng: random.Random) -> tuple[set[str], set[str]]:
    """Ids of two halves; rows of one photo stand in the same."""
    photos = sorted({str(row.photo) for row in rows.values()})
    rng.shuffle(photos)
    mine = set(photos[: len(photos) // 2])
    one = {row_id for row_id, row in rows.items() if str(row.photo) in mine}
    return one, set(rows) - one


def part(batches: Sequence[Results], ids: set[str]) -> list[Results]:
    """Batches of these rows alone."""
    return [{i: result for i, result in batch.items() if i in ids} for batch in batches]


def check(
    fitted: Fitted, held: Sequence[Results], truths: Truths, target: float, kept: dict[Place, Kept]
) -> None:
    """Count what the thresholds of one half kept on the other."""
    recorded = collect(held)
    for place in fitted.fits:
        told = kept.setdefault(place, Kept())
        told.splits += 1
        proven = fitted.proven.get(place)
        if proven is None or place not in recorded:
            continue
        answers = judge_readings(recorded[place], truths.field(place[2]), {}).answers
        above = answers.part(answers.confidence >= proven.threshold)
        interval = wilson(above.share * above.effective, above.effective)
        told.promised += 1
        told.answers += len(above)
        told.right += int(above.right.sum())
        told.covered.append(len(above) / len(answers))
        told.held += above.share >= target
        told.within += interval is not None and interval[1] >= target


def run_splits(
    batches: Sequence[Results], rows: Mapping[str, Row], options: argparse.Namespace, **known: Any
) -> tuple[dict[Place, Kept], dict[str, int], Fitted, set[str]]:
    """Every split: what was kept, what the shuffled control claims, and the first fit."""
    truths, kept = truths_of(rows), {}
    control = {"curves": 0, "curves claimed": 0, "thresholds claimed": 0}
    first: tuple[Fitted, set[str]] | None = None
    for seed in range(options.splits):
        rng = random.Random(seed)
        one, other = halves(rows, rng)
        fitted = calibrate(part(batches, one), truths, target=options.target, seed=seed, **known)
        check(fitted, part(batches, other), truths, options.target, kept)
        first = first or (fitted, other)
        false = calibrate(
            part(batches, one), shuffled(truths, rng), target=options.target, seed=seed, **known
        )
        control["curves"] += len(false.fits)
        control["curves claimed"] += sum(one.refuses is None for one in false.fits.values())
        control["thresholds claimed"] += len(false.proven)
    if first is None:
        raise SystemExit("--splits has to be 1 or more")
    return kept, control, *first


def print_kept(kept: Mapping[Place, Kept], target: float) -> None:
    """A line a place."""
    for place, told in kept.items():
        name = "/".join(place)
        if not told.promised:
            print(f"{name:<22} no promise in {told.splits} splits")
            continue
        coverage = sum(told.covered) / len(told.covered)
        share = told.right / told.answers
        print(
            f"{name:<22} promised in {told.promised} of {told.splits} splits; held out: "
            f"{share:.3f} right of the {coverage:.1%} of answers kept; at {target:g} or more in "
            f"{told.held}, its interval reaches {target:g} in {told.within}"
        )


def scored(results: Results, rows: Mapping[str, Row]) -> str:
    """How right the final fields are, and what they cost."""
    told = []
    for name in ("category", "colour"):
        true = {i: rows[i].truth[name] for i in results if rows[i].truth[name]}
        given = {i: results[i].fields[name] for i in true if results[i].fields[name].answered}
        right = sum(folded(str(f.value)) == folded(true[i] or "") for i, f in given.items())
        low, high = wilson(right, len(given)) or (0.0, 1.0)
        told.append(f"{name} {right}/{len(given)} right [{low:.3f}, {high:.3f}]")
    cost = float(sum(result.cost_usd for result in results.values()))
    clashes = sum(result.contradictions for result in results.values())
    return f"{'; '.join(told)}; {clashes} contradictions; ${cost:f}"


async def main(options: argparse.Namespace) -> dict[str, Any]:
    """Run it all; the numbers printed, as JSON has them."""
    rows = rows_of(options.data, options.rows, 0)
    pairs = [pair.split(",") for pair in options.models]
    async with Fleet.open(options.fleet) as fleet:
        batches = [await answer(of_models(fleet, pair), rows) for pair in pairs]
        known = {"fleet": fleet.file.name, "models": fingerprints(fleet.file, fleet.folder)}
        kept, control, fitted, held = run_splits(batches, rows, options, **known)
        photos = len({str(row.photo) for row in rows.values()})
        print(
            f"{len(rows)} rows, {photos} photos, {options.splits} splits, target {options.target}"
        )
        print_kept(kept, options.target)
        print("shuffled labels:", ", ".join(f"{n} {what}" for what, n in control.items()))
        print(f"cascades of the first split: {len(fitted.policy.cascades)}")
        for one in fitted.policy.cascades:
            rules = {name: (rule.ask, rule.min_confidence) for name, rule in one.fields.items()}
            print(f"  {one.node}: {' > '.join(one.models)}, {one.escalated:.1%} go on, {rules}")
        rest = {row_id: rows[row_id] for row_id in rows if row_id in held}
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        policed = await answer(of_models(fleet, names, fitted.policy), rest)
        print(f"held-out half under the policy: {scored(policed, rows)}")
        for pair, batch in zip(pairs, batches, strict=True):
            alone = {row_id: batch[row_id] for row_id in rest}
            print(f"held-out half by {' and '.join(pair)}: {scored(alone, rows)}")
    places = {"/".join(place): vars_of(told) for place, told in kept.items()}
    return {"target": options.target, "rows": len(rows), "places": places, "control": control}


def vars_of(told: Kept) -> dict[str, Any]:
    """A `Kept` as JSON has it."""
    coverage = sum(told.covered) / len(told.covered) if told.covered else None
    share = told.right / told.answers if told.answers else None
    return {
        "promised": told.promised,
        "splits": told.splits,
        "held": told.held,
        "within": told.within,
        "right": share,
        "coverage": coverage,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fleet", default="mini")
    parser.add_argument("--models", nargs="+", default=["v2,v3", "r1,vl"], help="text,vision pairs")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--target", type=float, default=0.85)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = asyncio.run(main(asked))
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
