"""Text model and vision model together against each alone, on the same rows (claim C10).

    python -m benchmarks.combination --data DIR [--fleet mini] [--split val] [--json FILE]

Every row has a text and a photo; its fields are read by the graph `listing` without writing. F1
counts fields: right values, wrong values, and true values that were not given. `r1` sees the text
alone, `vl` the photo alone, a model that takes both sees both in one call, `combined` is the graph
over the fleet, with the models that its plan takes. Intervals of differences: 95%, rows resampled
2,000 times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.parts.catalog_rows import Row, read_rows, same
from graphs.listing import build, default_recipe
from orchestra import Fleet, Job
from orchestra.core.call import Call
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import OrchestraError
from orchestra.core.schema import narrow
from orchestra.core.text_table import aligned
from orchestra.images.intake import normalise

RECIPE = default_recipe().model_copy(update={"write": None})
FIELDS = ("category", "colour", "origin", "quantity")
ATTRIBUTES = FIELDS[1:]
RESAMPLES = 2000
COMBINED = "combined"
AT_ONCE = 16
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tally:
    """Fields that are right, wrong, and true but missed (a wrong value misses the true one)."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.right + other.right, self.wrong + other.wrong, self.missed + other.missed)

    @property
    def f1(self) -> float:
        """2 x right / (given + true); 1 where there was nothing to find and nothing was said."""
        whole = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / whole if whole else 1.0


def tally(row: Row, values: Values, fields: Sequence[str]) -> Tally:
    """The tally of one row. A value is not judged where nobody knows the true one."""
    right = wrong = missed = 0
    for name in fields:
        truth, value = row.truth[name], values.get(name)
        if truth is None:
            continue
        is_right = value is not None and same(name, value, truth)
        right += is_right
        wrong += value is not None and not is_right
        missed += not is_right
    return Tally(right, wrong, missed)


def only(fleet: Fleet, *cards: Card) -> Fleet:
    """`fleet` with these models alone, so that the planner can choose no other."""
    file = FleetFile(name=fleet.file.name, models=tuple(cards))
    clients = {card.name: fleet.client(card.name) for card in cards}
    # One ledger, so that what a model has said alone is not asked again for the combination.
    return Fleet(file, fleet.folder, ledger=fleet.ledger, clients=clients)


async def by_graph(fleet: Fleet, rows: Sequence[Row], *, text: bool, photo: bool) -> list[Values]:
    """What the graph makes of each row's text, photo, or both."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row: Row) -> Values:
        images = (str(row.photo),) if photo else ()
        async with gate:
            job = Job(text=row.text if text else None, images=images)
            result = await fleet.run(lambda: build(RECIPE), job)
        flagged = [name for name, field in result.fields.items() if field.contradiction]
        values = {name: field.value for name, field in result.fields.items() if field.answered}
        failed = "; ".join(f"{error.type}: {error.message}" for error in result.errors)
        return {**values, "flagged": flagged, "failed": failed}

    return list(await asyncio.gather(*(one(row) for row in rows)))


async def in_one_call(fleet: Fleet, card: Card, rows: Sequence[Row]) -> list[Values]:
    """What a model that takes both says of each row's text and photo together."""
    client = fleet.client(card.name)
    found: list[Values] = []
    for row in rows:
        properties = narrow(json.dumps(RECIPE.text_schema()), row.text)["properties"]
        seen = RECIPE.photo_schema()["properties"]
        schema = {"type": "object", "properties": {**properties, **seen}}
        image = normalise(row.photo)
        call = Call("Describe the product shown.", row.text, (image,), schema, 256)
        try:
            reply = await client.complete(call)
        except OrchestraError as error:
            found.append({"failed": f"{error.kind}: {error}"})
            continue
        found.append({name: value for name, value in reply.value.items() if value is not None})
    return found


async def answers(name: str, rows: Sequence[Row]) -> dict[str, list[Values]]:
    """The values of every row by each way of asking: each model alone, then combined."""
    async with Fleet.open(name) as fleet:
        cards = [card for card in fleet.file.models if card.is_hosted]
        both = [card for card in cards if {"text", "vision"} <= set(card.capabilities)]
        texts = [card for card in cards if "text" in card.capabilities and card not in both]
        seers = [card for card in cards if "vision" in card.capabilities and card not in both]
        found: dict[str, list[Values]] = {}
        for card in texts:
            found[card.name] = await by_graph(only(fleet, card), rows, text=True, photo=False)
        for card in seers:
            found[card.name] = await by_graph(only(fleet, card), rows, text=False, photo=True)
        for card in both:
            found[card.name] = await in_one_call(fleet, card, rows)
        if texts and seers:
            found[COMBINED] = await by_graph(fleet, rows, text=True, photo=True)
        return found


def lead(rows: Sequence[Row], one: Sequence[Values], other: Sequence[Values]) -> dict[str, float]:
    """F1 of `one` less that of `other`, with its interval: rows are resampled in pairs."""
    ours = [tally(row, values, FIELDS) for row, values in zip(rows, one, strict=True)]
    theirs = [tally(row, values, FIELDS) for row, values in zip(rows, other, strict=True)]
    draw, leads = random.Random(0), []
    for _ in range(RESAMPLES):
        at = draw.choices(range(len(rows)), k=len(rows))
        leads.append(_f1(ours, at) - _f1(theirs, at))
    leads.sort()
    everything = range(len(rows))
    return {
        "points": _f1(ours, everything) - _f1(theirs, everything),
        "low": leads[round(0.025 * (RESAMPLES - 1))],
        "high": leads[round(0.975 * (RESAMPLES - 1))],
    }


def _f1(tallies: Sequence[Tally], at: Sequence[int]) -> float:
    return sum((tallies[i] for i in at), Tally()).f1


def scored(rows: Sequence[Row], found: Mapping[str, list[Values]]) -> list[dict[str, Any]]:
    """F1 of each way of asking, on each variant and on all rows."""
    variants = [*dict.fromkeys(row.variant for row in rows), "all"]
    table = []
    for variant in variants:
        at = [i for i, row in enumerate(rows) if variant in (row.variant, "all")]
        for name, values in found.items():
            pairs = [(rows[i], values[i]) for i in at]
            scores = {
                label: sum((tally(*pair, fields) for pair in pairs), Tally()).f1
                for label, fields in (
                    ("category", ("category",)), ("attributes", ATTRIBUTES), ("f1", FIELDS),
                    *((field, (field,)) for field in ATTRIBUTES),
                )
            }  # fmt: skip
            counts = {
                label: sum(bool(values.get(label)) for _, values in pairs)
                for label in ("flagged", "failed")
            }
            table.append({"rows": variant, "model": name, "count": len(at), **counts, **scores})
    return table


def shown(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as text."""
    keys = ("category", "colour", "origin", "quantity", "attributes", "f1")
    head = ["rows", "model", "count", *keys, "flagged", "failed"]
    body = [
        [line["rows"], line["model"], str(line["count"]), *(f"{line[key]:.1%}" for key in keys),
         str(line["flagged"]), str(line["failed"])]
        for line in table
    ]  # fmt: skip
    return aligned([head, *body])


def wrongs(rows: Sequence[Row], found: Mapping[str, list[Values]]) -> list[str]:
    """The commonest ways in which the combination is wrong where a model alone is right."""
    kinds: Counter[str] = Counter()
    for at, row in enumerate(rows):
        for name in FIELDS:
            truth, ours = row.truth[name], found[COMBINED][at].get(name)
            if truth is None or (ours is not None and same(name, ours, truth)):
                continue
            for model, values in found.items():
                value = values[at].get(name)
                if value is not None and same(name, value, truth):
                    kinds[f"{row.variant}: {name} {ours!r}, where {model} says {value!r}"] += 1
    return [f"{count:4d}  {kind}" for kind, count in kinds.most_common(20)]


def main() -> None:
    """Parse the command line, print the table and the lead over the best model alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fleet", default="mini")
    parser.add_argument("--split", default="val", choices=("train", "val"))
    parser.add_argument("--every", type=int, default=1, help="take every n-th row only")
    parser.add_argument("--wrong", action="store_true", help="also print what goes wrong")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = list(read_rows(given.data, given.split))[:: given.every]
    found = asyncio.run(answers(given.fleet, rows))
    failures = [
        values["failed"] for way in found.values() for values in way if values.get("failed")
    ]
    if failures:
        print(f"{len(failures)} answers failed, such as {failures[0]}", file=sys.stderr)
    table = scored(rows, found)
    print("\n".join(shown(table)))
    alone = {line["model"]: line["f1"] for line in table if line["rows"] == "all"}
    best = max((name for name in alone if name != COMBINED), key=lambda name: alone[name])
    ahead = lead(rows, found[COMBINED], found[best])
    print(
        f"\nall rows: combined leads {best}, the best model alone, by {100 * ahead['points']:.1f} "
        f"points of F1 [{100 * ahead['low']:.1f}, {100 * ahead['high']:.1f}]"
    )
    if given.wrong:
        print("\n".join(wrongs(rows, found)))
    if given.json:
        document = {"split": given.split, "every": given.every, "fleet": given.fleet}
        document |= {"rows": len(rows), "table": table}
        document |= {"best_alone": best, "lead": ahead}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
