"""Draw scenes of one to six things with known colour, pattern, count and place; knows no model.

A scene is a function of its seed. Things are the drawn products and plain shapes; training uses
seeds below `RESERVED_SEED`. Coordinates are shares of the picture, y downwards.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw

from workers.synthetic.drawn import KINDS, PALETTE, SHAPES, background, paint_of, pose, put
from workers.synthetic.garments import GARMENTS
from workers.synthetic.packages import PACKAGES
from workers.synthetic.strokes import RGB, Outline, Pen, Point, ring, shift

MOST = 6
PATTERNS = ("plain", "striped", "dotted", "checked")
COLUMNS, ROWS = ("left", "", "right"), ("top", "", "bottom")
PLACES = tuple(f"{row} {column}".strip() or "centre" for row in ROWS for column in COLUMNS)
ALONE, ALIKE = 0.4, 0.4  # shares of scenes with one thing, and with several of one look
FLAT = 0.35  # share of scenes without light and shadow, as a drawing program makes them
# What drawing programs and style sheets call by these names, beside the shades of `PALETTE`.
NAMED: dict[str, tuple[RGB, ...]] = {
    "red": ((255, 0, 0), (220, 20, 60), (178, 34, 34)),
    "orange": ((255, 165, 0), (255, 140, 0)),
    "yellow": ((255, 255, 0), (255, 215, 0)),
    "green": ((0, 128, 0), (0, 200, 0), (50, 205, 50), (46, 139, 87)),
    "blue": ((0, 0, 255), (30, 144, 255), (65, 105, 225), (0, 0, 128)),
    "purple": ((128, 0, 128), (147, 112, 219), (148, 0, 211)),
    "pink": ((255, 192, 203), (255, 105, 180)),
    "brown": ((139, 69, 19), (165, 42, 42), (101, 67, 33)),
    "black": ((0, 0, 0), (20, 20, 20)),
    "white": ((255, 255, 255), (250, 250, 250)),
    "grey": ((128, 128, 128), (169, 169, 169), (105, 105, 105)),
    "beige": ((245, 245, 220), (222, 184, 135), (210, 180, 140)),
}
TRIES = 60


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a scene: what it is, its look, its centre and its size."""

    kind: str
    colour: str
    pattern: str
    x: float
    y: float
    size: float

    @property
    def place(self) -> str:
        """Which ninth of the picture its centre is in, of `PLACES`."""
        return PLACES[_third(self.y) * 3 + _third(self.x)]


@dataclass(frozen=True, slots=True)
class Look:
    """A kind with its colour and pattern."""

    kind: str
    colour: str
    pattern: str


def _third(share: float) -> int:
    return min(int(share * 3), 2)


def can_vary(kind: str) -> bool:
    """Whether things of this kind come in patterns."""
    return kind in GARMENTS or kind in FIGURES


def _polygon(points: list[Point]) -> Outline:
    def draw(pen: Pen, paint: RGB) -> None:
        pen.shape(points, paint, curved=False)

    return draw


def _around(count: int, *radii: float) -> list[Point]:
    """A regular outline whose corners lie at `radii` in turn, the first one on top."""
    turns = [(math.tau * at / count - math.pi / 2, radii[at % len(radii)]) for at in range(count)]
    return [(0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for a, r in turns]


def _disc(pen: Pen, paint: RGB) -> None:
    pen.dot((0.5, 0.5), 0.46, paint)


def _ball(pen: Pen, paint: RGB) -> None:
    pen.body(ring((0.5, 0.5), 0.45), paint)


def _heart(pen: Pen, paint: RGB) -> None:
    half = [(0.5, 0.3), (0.6, 0.15), (0.78, 0.12), (0.93, 0.25), (0.92, 0.45), (0.75, 0.7)]
    pen.shape([*half, (0.5, 0.95), *((1 - x, y) for x, y in reversed(half[1:]))], paint)


FIGURES: dict[str, Outline] = {
    "circle": _disc,
    "ball": _ball,
    "square": _polygon([(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]),
    "rectangle": _polygon([(0.04, 0.25), (0.96, 0.25), (0.96, 0.75), (0.04, 0.75)]),
    "triangle": _polygon([(0.5, 0.08), (0.95, 0.9), (0.05, 0.9)]),
    "diamond": _polygon(_around(4, 0.47)),
    "hexagon": _polygon(_around(6, 0.47)),
    "star": _polygon(_around(10, 0.48, 0.21)),
    "cross": _polygon(
        [
            *((0.36, 0.06), (0.64, 0.06), (0.64, 0.36), (0.94, 0.36), (0.94, 0.64), (0.64, 0.64)),
            *((0.64, 0.94), (0.36, 0.94), (0.36, 0.64), (0.06, 0.64), (0.06, 0.36), (0.36, 0.36)),
        ]
    ),
    "heart": _heart,
}


def compose(seed: int) -> tuple[Thing, ...]:
    """The things of the scene `seed`: one, several of one look, or several of any look."""
    rng = random.Random(f"scene/{seed}")
    share = rng.random()
    if share < ALONE:
        return (_alone(rng),)
    count = rng.randint(2, MOST)
    size = rng.uniform(0.17, 0.3 if count > 4 else 0.36)
    centres = _apart(count, size, rng)
    is_alike = share < ALONE + ALIKE
    looks = [_look(rng)] * len(centres) if is_alike else [_look(rng) for _ in centres]
    return tuple(
        Thing(look.kind, look.colour, look.pattern, x, y, size * rng.uniform(0.92, 1.08))
        for look, (x, y) in zip(looks, centres, strict=True)
    )


def draw_scene(things: tuple[Thing, ...], *, seed: int, size: int = 256) -> Image.Image:
    """A `size` x `size` RGB picture of `things`; background, shade and turn vary with `seed`."""
    rng = random.Random(f"drawing/{seed}")
    shades: dict[str, RGB] = {}  # things of one colour share a shade
    for thing in things:
        shades.setdefault(thing.colour, _shade(thing, rng))
    paints = [shades[thing.colour] for thing in things]
    is_flat = rng.random() < FLAT
    scene = background(size, rng, avoid=paints, is_flat=is_flat)
    for thing, paint in zip(things, paints, strict=True):
        solid = thing.kind in GARMENTS or thing.kind in PACKAGES
        shape: Outline = FIGURES.get(thing.kind) or SHAPES[thing.kind]
        layer = pose(shape, paint, round(size * thing.size), 1.0, 9 if solid else 30, rng)
        if thing.pattern != "plain":
            layer = _patterned(layer, thing.pattern, paint, rng)
        centre = (round(thing.x * size), round(thing.y * size))
        put(scene, layer, centre, has_shadow=not is_flat)
    return scene


def _shade(thing: Thing, rng: random.Random) -> RGB:
    if thing.kind in FIGURES and rng.random() < 0.5:
        return rng.choice(NAMED[thing.colour])
    return paint_of(thing.kind, thing.colour, rng)


def _alone(rng: random.Random) -> Thing:
    """One thing well inside a ninth of the picture."""
    look, row, column = _look(rng), rng.randrange(3), rng.randrange(3)
    x, y = ((at + rng.uniform(0.25, 0.75)) / 3 for at in (column, row))
    room = 2 * min(x, 1 - x, y, 1 - y) + 0.12  # it may run over the edge by a little
    return Thing(look.kind, look.colour, look.pattern, x, y, rng.uniform(0.22, min(room, 0.6)))


def _look(rng: random.Random) -> Look:
    if rng.random() < 0.4:
        kind, colour = rng.choice(list(FIGURES)), rng.choice(list(PALETTE))
    else:
        kind = rng.choice(list(KINDS))
        colour = rng.choice(KINDS[kind])
    varies = can_vary(kind) and rng.random() < 0.5
    return Look(kind, colour, rng.choice(PATTERNS) if varies else "plain")


def _apart(count: int, size: float, rng: random.Random) -> list[Point]:
    """`count` centres (fewer where no room is found) that keep their things from touching."""
    edge, gap = size * 0.5, size * 1.12
    centres: list[Point] = []
    for _ in range(TRIES * count):
        spot = (rng.uniform(edge, 1 - edge), rng.uniform(edge, 1 - edge))
        if all(math.dist(spot, other) >= gap for other in centres):
            centres.append(spot)
        if len(centres) == count:
            break
    return centres


def _patterned(layer: Image.Image, pattern: str, paint: RGB, rng: random.Random) -> Image.Image:
    """`layer` with marks of a lighter or darker tone on what is drawn."""
    marks = Image.new("L", layer.size, 0)
    MARKERS[pattern](ImageDraw.Draw(marks), max(layer.size), rng.uniform(0.1, 0.16))
    turn = 0 if pattern == "dotted" else rng.choice((0, 0, 90, 45))
    marks = marks.rotate(turn, Image.Resampling.BICUBIC)
    tone = shift(paint, 0.75 if sum(paint) < 380 else -0.6)
    drawn = layer.copy()
    alpha = layer.getchannel("A")
    drawn.paste((*tone, 255), mask=ImageChops.multiply(marks, alpha))
    drawn.putalpha(alpha)
    return drawn


def _stripes(draw: ImageDraw.ImageDraw, side: int, step: float) -> None:
    pitch = max(side * step * 1.4, 6)
    for at in range(int(side / pitch) + 2):
        draw.rectangle([at * pitch, 0, at * pitch + pitch * 0.36, side], fill=255)


def _checks(draw: ImageDraw.ImageDraw, side: int, step: float) -> None:
    pitch = max(side * step * 1.6, 7)
    for at in range(int(side / pitch) + 2):
        draw.rectangle([at * pitch, 0, at * pitch + pitch * 0.24, side], fill=255)
        draw.rectangle([0, at * pitch, side, at * pitch + pitch * 0.24], fill=255)


def _dots(draw: ImageDraw.ImageDraw, side: int, step: float) -> None:
    pitch = max(side * step * 1.4, 6)
    for row in range(int(side / pitch) + 2):
        for at in range(int(side / pitch) + 2):
            x, y = (at + row % 2 / 2) * pitch, row * pitch
            r = pitch * 0.26
            draw.ellipse([x - r, y - r, x + r, y + r], fill=255)


MARKERS: dict[str, Callable[[ImageDraw.ImageDraw, int, float], None]] = {
    "striped": _stripes,
    "checked": _checks,
    "dotted": _dots,
}
