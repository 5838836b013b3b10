"""Are colours of photos told rightly, by pixels and through the model?

    python -m benchmarks.photos.colours --data DIR [--split val] [--json]

Garments have colours that a person read off 72 photos of each split (`garment_colours.csv`;
several where people would differ), groceries their typical colours, drawings the exact ones.
"Pixels" is the palette alone, "answer" what the bundled vl gives through its engine, "decoder" what
it gives without a second look. 95% intervals are Wilson's.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.parts.catalog_rows import COLOURS, TYPICAL_COLOUR
from orchestra.core.call import Call, Reply
from orchestra.core.stats import wilson
from orchestra.images.intake import normalise
from workers.loading.checkpoint import read_config
from workers.onnx.engine import OnnxEngine
from workers.onnx.vision import OnnxVisionModel
from workers.synthetic.drawn import KINDS, RESERVED_SEED, draw_product
from workers.vision.palette import palette_of

CHECKPOINT = Path(__file__).parents[2] / "workers" / "checkpoints" / "vl"
LABELS = Path(__file__).parent / "garment_colours.csv"
FIELD = "colour"
SCHEMA = {
    "type": "object",
    "properties": {FIELD: {"enum": [*COLOURS, None]}},
    "required": [FIELD],
}
Coloured = tuple[Image.Image, frozenset[str]]


@dataclass(frozen=True, slots=True)
class ColourScore:
    """How many of a set were told rightly in one way."""

    name: str
    way: str
    right: int
    count: int

    def line(self) -> str:
        """As a row of a Markdown table."""
        low, high = wilson(self.right, self.count) or (0.0, 1.0)
        share = self.right / max(self.count, 1)
        return f"| {self.name} | {self.way} | {self.count} | {share:.1%} [{low:.0%}, {high:.0%}] |"


def garments(data: Path, split: str) -> list[Coloured]:
    """Photos of garments whose colours a person has read off."""
    rows = _table(LABELS)
    mine = [row for row in rows if row["image"].startswith(f"images/{split}/")]
    return [
        (normalise(data / "clothing" / row["image"]), frozenset(row["colours"].split()))
        for row in mine
    ]


def groceries(data: Path, split: str, most: int) -> list[Coloured]:
    """Photos of groceries with a typical colour."""
    rows = [r for r in _table(data / "grocery" / f"{split}.csv") if r["name"] in TYPICAL_COLOUR]
    step = max(1, len(rows) // most)
    return [
        (normalise(data / "grocery" / row["image"]), frozenset((TYPICAL_COLOUR[row["name"]],)))
        for row in rows[::step]
    ]


def drawn() -> list[Coloured]:
    """One drawing of each garment in each colour, of seeds that nothing was fitted to."""
    looks = [(kind, colour) for kind in KINDS if kind.islower() for colour in COLOURS]
    return [
        (draw_product(kind, colour, seed=RESERVED_SEED + at), frozenset((colour,)))
        for at, (kind, colour) in enumerate(looks)
    ]


def by_pixels(rows: Sequence[Coloured]) -> int:
    """How many palettes begin with a true colour."""
    return sum(next(iter(palette_of(photo).basics())) in truth for photo, truth in rows)


def by_engine(rows: Sequence[Coloured], *, looks_again: bool) -> int:
    """How many answers of the bundled vl are true, with its second look or without."""
    model = OnnxVisionModel.load(CHECKPOINT, read_config(CHECKPOINT), 1)
    model.second_look = model.second_look if looks_again else None
    engine, right = OnnxEngine(model), 0
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        calls = [Call("Describe the product shown.", images=(p,), schema=SCHEMA) for p, _ in part]
        replies = engine.generate(calls)
        right += sum(
            isinstance(reply, Reply) and reply.value[FIELD] in truth
            for reply, (_, truth) in zip(replies, part, strict=True)
        )
    return right


def measure(data: Path, split: str) -> list[ColourScore]:
    """Every set in every way."""
    sets = {
        f"garments, {split}": garments(data, split),
        f"groceries, {split}": groceries(data, split, 150),
        "drawn garments": drawn(),
    }
    found = []
    for name, rows in sets.items():
        found += [
            ColourScore(name, "decoder", by_engine(rows, looks_again=False), len(rows)),
            ColourScore(name, "pixels", by_pixels(rows), len(rows)),
            ColourScore(name, "answer", by_engine(rows, looks_again=True), len(rows)),
        ]
    return found


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description="Are colours of photos told rightly?")
    parser.add_argument("--data", type=Path, required=True, help="folder of grocery/, clothing/")
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    scores = measure(given.data, given.split)
    if given.json:
        told: list[dict[str, Any]] = [
            {"set": s.name, "way": s.way, "right": s.right, "count": s.count} for s in scores
        ]
        print(json.dumps(told))
        return
    print("| Set | Way | n | right (95%) |\n|---|---|---|---|")
    print("\n".join(score.line() for score in scores))


if __name__ == "__main__":
    main()
