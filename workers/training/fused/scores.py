"""Score a `v3` checkpoint on val photos and drawn scenes, through the engine, with 95% intervals.

python -m workers.training.fused.scores --data DIR --checkpoint DIR
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from orchestra.core.call import Call, Reply
from orchestra.core.stats import wilson
from workers.engine import TransformersEngine
from workers.fused.model import FusedModel
from workers.synthetic.scenes import compose, draw_scene
from workers.training.fused.lessons import mute, read_texts
from workers.training.pictures.photos import CLOTHING, COLOURS, IMAGE_PX, read_shots

BATCH = 16
VAL_SCENES, VAL_SCENES_SEED = 200, 500_000
Item = tuple[Call, str]  # with the right value of its only property
INSTRUCTION = "Describe the product shown."


def choice_call(
    key: str,
    choices: Sequence[str],
    image: Image.Image | None,
    text: str | None,
    instruction: str = INSTRUCTION,
) -> Call:
    """A call for one property among `choices`."""
    schema = {"type": "object", "properties": {key: {"enum": list(choices)}}}
    images = () if image is None else (image,)
    return Call(instruction, text=text, images=images, schema=schema, max_tokens=40)


def report(engine: TransformersEngine, model: FusedModel, name: str, items: list[Item]) -> str:
    """One line: the share that is right, the commonest answer's, and what the image weighed."""
    looked, right, weighed = model.looked, 0, 0.0
    for start in range(0, len(items), BATCH):
        part = items[start : start + BATCH]
        for (_, wanted), reply in zip(part, engine.generate([c for c, _ in part]), strict=True):
            if not isinstance(reply, Reply):
                raise reply
            right += next(iter(reply.value.values())) == wanted
            weighed += reply.modality_weights["image"]
    low, high = wilson(right, len(items)) or (0.0, 1.0)
    common = Counter(wanted for _, wanted in items).most_common(1)[0][1] / len(items)
    return (
        f"{name}: {right / len(items):.1%} [{low:.1%}, {high:.1%}] of {len(items)} "
        f"(commonest {common:.1%}); image weighed {weighed / len(items):.2f}, "
        f"tower run for {model.looked - looked}"
    )


def photo_sets(data: Path) -> dict[str, list[Item]]:
    """Category, garment and colour of val photos, from photo, text, and both."""
    texts, rng = read_texts(data), random.Random(0)
    sets: dict[str, list[Item]] = {}
    train = read_shots(data, "train")
    kinds = sorted({shot.category for shot in train if shot.product})
    for shot in read_shots(data, "val"):
        if shot.path is None:
            continue
        with Image.open(shot.path) as opened:
            opened.draft("RGB", (2 * IMAGE_PX, 2 * IMAGE_PX))
            image = opened.convert("RGB")
        if shot.product is None:
            garment = choice_call("category", CLOTHING, image, None)
            sets.setdefault("garment from photo", []).append((garment, shot.category))
            continue
        told = texts.get(shot.product, "")
        ways = {"photo": (image, None), "text": (None, told), "both": (image, told),
                "photo and a text that says nothing": (image, mute(rng))}  # fmt: skip
        for way, given in ways.items():
            call = choice_call("category", kinds, *given)
            sets.setdefault(f"category from {way}", []).append((call, shot.category))
        if shot.colour is not None:
            colour = choice_call("colour", COLOURS, image, None)
            sets.setdefault("colour from photo", []).append((colour, shot.colour))
    return sets


def scene_sets() -> dict[str, list[Item]]:
    """Colour, count and position on drawn scenes that were not trained on."""
    sets: dict[str, list[Item]] = {}
    for seed in range(VAL_SCENES_SEED, VAL_SCENES_SEED + VAL_SCENES):
        things = compose(seed)
        image = draw_scene(things, seed=seed, size=IMAGE_PX)
        numbers = [str(number) for number in range(1, 7)]
        count = choice_call("answer", numbers, image, None, "How many things are there?")
        sets.setdefault("scene count", []).append((count, str(len(things))))
        if len(things) == 1:
            places = sorted({thing.place for at in range(200) for thing in compose(at)})
            where = choice_call("answer", places, image, None, "Where is it?")
            sets.setdefault("scene position", []).append((where, things[0].place))
        if len({thing.colour for thing in things}) == 1:
            colour = choice_call("answer", COLOURS, image, None, "What colour is it?")
            sets.setdefault("scene colour", []).append((colour, things[0].colour))
    return sets


def main() -> None:
    """Parse the command line and print one line a set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = json.loads((given.checkpoint / "config.json").read_text(encoding="utf-8"))
    engine = TransformersEngine.load(given.checkpoint)
    if not isinstance(engine._model, FusedModel):
        parser.error(f"{config['architectures']!r} is no fused model.")
    for name, items in {**scene_sets(), **photo_sets(given.data)}.items():
        print(report(engine, engine._model, name, items), flush=True)


if __name__ == "__main__":
    main()
