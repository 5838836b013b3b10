"""Are things beyond the trained kinds put into a shop's categories by ImageNet's names?

    python -m benchmarks.photos.things --stamps DIR [--through-vl] [--json]

DIR is the folder `stamps` of Debian's package `tuxpaint-stamps-default`: photos cut out on white.
`stamps.csv` says what 173 of them show; for the things of a shop 108 categories stand to
choose from, half of them shown by none, and 43 for animals. Every other row (the second, the
fourth) is of the half that no number was fitted to; settings of the mapping were seen to work on
both halves.
`--through-vl` asks the bundled vl, which refuses fewer photos than it should.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from orchestra.core.call import Call, Reply
from orchestra.core.stats import wilson
from orchestra.images.intake import normalise
from workers.decoding.answering import AnsweringEngine
from workers.onnx.engine import OnnxEngine
from workers.things.things import shared_things

TABLE = Path(__file__).parent / "stamps.csv"
CHECKPOINT = Path(__file__).parents[2] / "workers" / "checkpoints" / "vl"
# Categories of a shop that no photo shows.
OTHERS = (
    "Sofa", "Lamp", "Umbrella", "Watch", "Wallet", "Perfume", "Candle", "Pillow", "Towel", "Bed",
    "Backpack", "Sunglasses", "Headphones", "Printer", "Monitor", "Keyboard", "Vase", "Bowl",
    "Plate", "Chair", "Table", "Desk", "Scissors", "Screwdriver", "Tent", "Bicycle", "Motorcycle",
    "Helmet", "Piano", "Flute", "Saxophone", "Notebook", "Pencil", "Book", "Phone", "Laptop",
    "Television", "Refrigerator", "Toaster", "Teapot", "Bread", "Cheese", "Chocolate", "Cake",
    "Wine", "Beer", "Soap", "Lipstick", "Necklace", "Ring", "Bucket", "Broom",
)  # fmt: skip


def answered(
    photos: Sequence[Image.Image], choices: tuple[str, ...], engine: AnsweringEngine | None
) -> list[str | None]:
    """The category of each photo, or None."""
    if engine is None:
        found = [shared_things().seen(photo).among(choices) for photo in photos]
        return [one.choice if one else None for one in found]
    schema = {
        "type": "object",
        "properties": {"category": {"enum": [*choices, None]}},
        "required": ["category"],
    }
    calls = [Call("What is this?", images=(photo,), schema=schema) for photo in photos]
    replies = [engine.generate([call])[0] for call in calls]
    return [r.value["category"] if isinstance(r, Reply) else None for r in replies]


def score(name: str, said: Sequence[str | None], truth: Sequence[str]) -> dict[str, Any]:
    """How much was answered, and how much of it rightly."""
    right = sum(one == true for one, true in zip(said, truth, strict=True))
    told = sum(one is not None for one in said)
    return {
        "set": name,
        "count": len(truth),
        "answered": told,
        "right": right,
        "precision": right / max(told, 1),
        "right_of_all": right / max(len(truth), 1),
        "interval": wilson(right, len(truth)),
    }


def measure(stamps: Path, engine: AnsweringEngine | None) -> list[dict[str, Any]]:
    """Shop and animals, of the half that nothing was fitted to and of both."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for name, more in (("shop", OTHERS), ("animals", ())):
        mine = [(at, row) for at, row in enumerate(rows) if row["set"] == name]
        choices = tuple(sorted({row["category"] for _, row in mine} | set(more)))
        photos = [normalise(stamps / row["image"]) for _, row in mine]
        said = answered(photos, choices, engine)
        truth = [row["category"] for _, row in mine]
        later = [i for i, (at, _) in enumerate(mine) if at % 2]
        found.append(score(f"{name}, the other half", [said[i] for i in later],
                           [truth[i] for i in later]))  # fmt: skip
        found.append(score(f"{name}, all", said, truth))
    return found


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description="Are things put into a shop's categories?")
    parser.add_argument("--stamps", type=Path, required=True)
    parser.add_argument("--through-vl", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    engine = OnnxEngine.load(CHECKPOINT, threads=1) if given.through_vl else None
    scores = measure(given.stamps, engine)
    if given.json:
        print(json.dumps(scores))
        return
    for one in scores:
        low, high = one["interval"] or (0.0, 1.0)
        print(
            f"{one['set']}: {one['count']} photos, answered {one['answered']}, right "
            f"{one['right_of_all']:.1%} [{low:.0%}, {high:.0%}] of all, {one['precision']:.1%} of "
            "what it answers"
        )


if __name__ == "__main__":
    main()
