"""Lessons for `v3`: a picture alone, or with a text that tells or does not; knows no model."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass
from pathlib import Path

from workers.training.pictures.lessons import DESCRIBE, fields_answer, lesson
from workers.training.pictures.photos import COLOURS, Shot
from workers.training.texts.example import Example

MUTE = (
    "sku: {}",
    "item {}",
    "price: {} SEK",
    "New in stock, {} left.",
    "编号：{}",
    "article no. {}",
)
WORN = ("name: {colour} {kind}", "{kind}, {colour}, size M", "name: {kind} no. {number}")


@dataclass(frozen=True, slots=True)
class FusedLesson:
    """One example, the row of its picture, and whether the picture is needed to answer it."""

    example: Example
    row: int
    needs_image: bool


def read_texts(data: Path) -> dict[str, str]:
    """The shop's text of each grocery product, by its name."""
    with (data / "grocery" / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        return {
            row["name"]: f"name: {row['name']}\ndescription: {row['description_en'][:100]}"
            for row in csv.DictReader(file)
        }


def picture_lesson(shot: Shot, row: int, rng: random.Random) -> FusedLesson:
    """A question about a picture, without a text."""
    instruction, answer = lesson(shot, rng)
    return FusedLesson(Example("answer", instruction, None, answer), row, True)


def fused_lesson(shot: Shot, row: int, texts: dict[str, str], rng: random.Random) -> FusedLesson:
    """A picture and a text; half of the texts say nothing of what is asked."""
    answer = fields_answer(shot, rng)
    text = tell(shot, texts, rng) if rng.random() < 0.5 else mute(rng)
    values = [str(value).lower() for value in json.loads(answer).values()]
    needs = not all(value in text.lower() for value in values)
    return FusedLesson(Example("answer", rng.choice(DESCRIBE), text, answer), row, needs)


def tell(shot: Shot, texts: dict[str, str], rng: random.Random) -> str:
    """A text that names the product."""
    if shot.product is not None:
        kind = f"\ncategory: {shot.category}" * (rng.random() < 0.5)
        colour = f"\ncolour: {shot.colour}" * (shot.colour is not None and rng.random() < 0.5)
        return texts[shot.product] + kind + colour
    colour = rng.choice(COLOURS)
    number = rng.randint(1, 999)
    return rng.choice(WORN).format(colour=colour, kind=shot.category, number=number)


def mute(rng: random.Random) -> str:
    """A text that says nothing of what the product is."""
    return rng.choice(MUTE).format(rng.randint(1, 9999))


def caption(shot: Shot) -> str:
    """What the alignment module holds a photo against."""
    name = shot.product or shot.category
    return f"name: {name}\ncategory: {shot.category}"
