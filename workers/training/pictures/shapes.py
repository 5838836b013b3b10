"""Score pictures of shapes, drawn otherwise than training draws them; knows no model.

Circles, squares and triangles in the colours that style sheets name, straight from the drawing
library, on five backgrounds. No line of it is shared with the training scenes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageColor, ImageDraw

SIDE = 300
COLOURS = {
    "red": "red", "orange": "orange", "yellow": "gold", "green": "forestgreen", "blue": "blue",
    "purple": "purple", "pink": "hotpink", "brown": "saddlebrown", "black": "black",
    "white": "white", "grey": "gray",
}  # fmt: skip
GROUNDS = ("white", "black", "lightgray", "lightblue", "beige")
NINE = tuple(
    f"{row} {column}".strip() or "centre"
    for row in ("top", "", "bottom")
    for column in ("left", "", "right")
)


@dataclass(frozen=True, slots=True)
class Shapes:
    """A picture of some shapes of one colour, and where the first one is."""

    image: Image.Image
    shape: str
    colour: str
    count: int
    place: str


def draw_shapes(seed: int, *, alone: bool) -> Shapes:
    """The picture `seed`: one shape in a ninth, or one to six in different ninths."""
    rng = random.Random(f"shapes {seed}")
    colour, shape = rng.choice(list(COLOURS)), rng.choice(("circle", "square", "triangle"))
    fill = ImageColor.getrgb(COLOURS[colour])
    grounds = [g for g in GROUNDS if _far(ImageColor.getrgb(g), fill)]
    image = Image.new("RGB", (SIDE, SIDE), rng.choice(grounds))
    count = 1 if alone else rng.randint(1, 6)
    cells = rng.sample(range(9), count)
    radius = rng.randint(14, 40)
    for cell in cells:
        x = SIDE * (cell % 3 * 2 + 1) // 6 + rng.randint(-8, 8)
        y = SIDE * (cell // 3 * 2 + 1) // 6 + rng.randint(-8, 8)
        _put(ImageDraw.Draw(image), shape, x, y, radius, fill)
    return Shapes(image, shape, colour, count, NINE[cells[0]])


def _far(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 150


def _put(
    draw: ImageDraw.ImageDraw, shape: str, x: int, y: int, radius: int, fill: tuple[int, ...]
) -> None:
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        draw.ellipse(box, fill=fill)
    elif shape == "square":
        draw.rectangle(box, fill=fill)
    else:
        draw.regular_polygon((x, y, radius), 3, fill=fill)
