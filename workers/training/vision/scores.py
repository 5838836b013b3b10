"""Score a `vl` checkpoint through its engine: `python -m workers.training.vision.scores`.

Prints a Markdown table for the card: accuracy beside the majority class, 95% intervals, and
how sure the model was. Knows nothing of training.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from pydantic import create_model

from orchestra.core.call import Call, Reply
from orchestra.core.stats import wilson
from workers.engine import TransformersEngine
from workers.synthetic.drawn import KINDS, RESERVED_SEED, draw_nothing, draw_product
from workers.synthetic.lexicon import choices
from workers.synthetic.scenes import MOST, PLACES, compose, draw_scene
from workers.training.pictures.photos import COLOURS, read_shots
from workers.training.pictures.plain_scenes import compose_plain, draw_plain
from workers.training.pictures.shapes import draw_shapes

BATCH = 32
INSTRUCTION = "Describe the product shown."
ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class PictureQuestion:
    """Pictures, the field asked for, its allowed values and the true ones."""

    name: str
    images: Sequence[Image.Image]
    field: str
    values: tuple[str, ...]
    truth: Sequence[str | None]
    asked: str = INSTRUCTION


def photo_questions(data: Path) -> list[PictureQuestion]:
    """The questions about the official validation photos under `data`."""
    shots = read_shots(data, "val")
    images = [Image.open(shot.path).convert("RGB") for shot in shots if shot.path]
    food = [i for i, shot in enumerate(shots) if shot.product]
    worn = [i for i, shot in enumerate(shots) if not shot.product]
    coloured = [i for i, shot in enumerate(shots) if shot.colour]
    categories = tuple(choices("category"))
    products = tuple(sorted({shot.product for shot in read_shots(data, "train") if shot.product}))

    def ask(name: str, rows: list[int], field: str, values: tuple[str, ...]) -> PictureQuestion:
        truth = [getattr(shots[i], field) for i in rows]
        return PictureQuestion(name, [images[i] for i in rows], field, values, truth)

    return [
        ask("grocery val, category (53 values)", food, "category", categories),
        ask("clothing val, category (53 values)", worn, "category", categories),
        ask("grocery val, product (81)", food, "product", products),
        ask("grocery val, typical colour (12)", coloured, "colour", COLOURS),
    ]


def drawn_questions(count: int) -> list[PictureQuestion]:
    """The questions about products and empty scenes drawn with the reserved seeds."""
    rng = random.Random(RESERVED_SEED)
    looks = [(kind, rng.choice(KINDS[kind])) for _ in range(count) for kind in KINDS][:count]
    images = [draw_product(*look, seed=RESERVED_SEED + i) for i, look in enumerate(looks)]
    empty = [draw_nothing(seed=RESERVED_SEED + i) for i in range(count // 5)]
    categories = tuple(choices("category"))
    return [
        PictureQuestion("drawn, category", images, "category", categories, [k for k, _ in looks]),
        PictureQuestion("drawn, colour", images, "colour", COLOURS, [c for _, c in looks]),
        PictureQuestion(
            "drawn nothing, category null", empty, "category", categories, [None] * len(empty)
        ),
    ]


def scene_questions(count: int) -> list[PictureQuestion]:
    """Colour, count and place in training's kinds of scene and in somebody else's."""
    numbers = range(RESERVED_SEED, RESERVED_SEED + count)
    counts = tuple(str(number) for number in range(1, MOST + 1))
    found = []
    for name, make, draw in (
        ("scenes", compose, draw_scene),
        ("plain scenes", compose_plain, draw_plain),
    ):
        scenes = [(make(number), number) for number in numbers]
        alone = [(things, number) for things, number in scenes if len(things) == 1]
        one = [
            (things, number) for things, number in scenes if len({t.colour for t in things}) == 1
        ]

        def pictures(rows: list[Any], draw: Any = draw) -> list[Image.Image]:
            return [draw(things, seed=number) for things, number in rows]

        found += [
            PictureQuestion(
                f"{name}, colour", pictures(one), ANSWER, COLOURS, [t[0].colour for t, _ in one],
                "What colour is it?",
            ),
            PictureQuestion(
                f"{name}, count", pictures(scenes), ANSWER, counts,
                [str(len(t)) for t, _ in scenes], "How many things are there?",
            ),
            PictureQuestion(
                f"{name}, place", pictures(alone), ANSWER, PLACES, [t[0].place for t, _ in alone],
                "Where is it?",
            ),
        ]  # fmt: skip
    alone_, many = ([draw_shapes(n, alone=only) for n in numbers] for only in (True, False))
    return [
        *found,
        PictureQuestion(
            "other shapes, colour", [s.image for s in alone_], ANSWER, COLOURS,
            [s.colour for s in alone_], "What colour is the shape?",
        ),
        PictureQuestion(
            "other shapes, count", [s.image for s in many], ANSWER, counts,
            [str(s.count) for s in many], "How many shapes are there?",
        ),
        PictureQuestion(
            "other shapes, place", [s.image for s in alone_], ANSWER, PLACES,
            [s.place for s in alone_], "Where is the shape?",
        ),
    ]  # fmt: skip


def answers(
    engine: TransformersEngine, question: PictureQuestion
) -> list[tuple[str | None, float]]:
    """The model's value and confidence for each picture of `question`."""
    allowed = Literal[question.values]  # type: ignore[valid-type]
    schema = create_model("Asked", **{question.field: (allowed | None, ...)}).model_json_schema()  # type: ignore[call-overload]
    found = []
    for start in range(0, len(question.images), BATCH):
        calls = [
            Call(question.asked, images=(image,), schema=schema)
            for image in question.images[start : start + BATCH]
        ]
        for reply in engine.generate(calls):
            if not isinstance(reply, Reply):
                raise reply
            found.append((reply.value[question.field], reply.confidence[question.field]))
    return found


def row(question: PictureQuestion, found: Sequence[tuple[str | None, float]]) -> str:
    """One line of the card's table."""
    right = [value == true for (value, _), true in zip(found, question.truth, strict=True)]
    by_class: dict[str | None, list[bool]] = {}
    for true, is_right in zip(question.truth, right, strict=True):
        by_class.setdefault(true, []).append(is_right)
    macro = sum(sum(rights) / len(rights) for rights in by_class.values()) / len(by_class)
    low, high = wilson(sum(right), len(right)) or (0.0, 1.0)
    majority = Counter(question.truth).most_common(1)[0][1] / len(right)
    sure = sum(confidence for _, confidence in found) / len(found)
    silent = sum(value is None for value, _ in found) / len(found)
    return (
        f"| {question.name} | {len(right)} | {sum(right) / len(right):.1%} "
        f"({low:.1%} to {high:.1%}) | {macro:.1%} | {majority:.1%} | {sure:.1%} | {silent:.1%} |"
    )


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description="Score a vl checkpoint.")
    parser.add_argument("--data", type=Path, required=True, help="folder of grocery/, clothing/")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--drawn", type=int, default=300, help="how many drawn scenes")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    engine = TransformersEngine.load(given.checkpoint, threads=given.threads)
    print("| Pictures and field | n | accuracy (95%) | macro | majority | confidence | null |")
    print("|---|---|---|---|---|---|---|")
    sets = (photo_questions(given.data), drawn_questions(given.drawn), scene_questions(given.drawn))
    for question in (question for some in sets for question in some):
        print(row(question, answers(engine, question)), flush=True)


if __name__ == "__main__":
    main()
