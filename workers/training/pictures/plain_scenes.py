"""Draw shapes on plain backgrounds, as a short script with a drawing library would; knows no model.

The scenes of `scenes` have light, shadow and shades of paint. These have none: primitives with hard
edges in pure colours, at any size and place, so that what `vl` learns of colour, count and place
does not hang on one style. A scene is a function of its seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from workers.synthetic.drawn import FAR, PALETTE
from workers.synthetic.scenes import MOST, NAMED, Thing
from workers.synthetic.strokes import RGB
from workers.training.pictures.photos import Shot, scene_shot, square

Box = tuple[float, float, float, float]
ALONE, ALIKE = 0.45, 0.5  # shares of scenes with one thing, and of the rest those of one look
MORE: dict[str, tuple[RGB, ...]] = {
    "red": ((230, 25, 25), (200, 30, 30)),
    "orange": ((255, 128, 0), (245, 130, 48)),
    "yellow": ((255, 225, 25), (250, 220, 40)),
    "green": ((0, 255, 0), (60, 180, 75), (34, 139, 34)),
    "blue": ((0, 120, 255), (30, 80, 220), (70, 130, 180)),
    "purple": ((160, 32, 240), (145, 30, 180), (120, 40, 160)),
    "pink": ((255, 150, 180), (250, 120, 190), (255, 182, 193)),
    "brown": ((150, 75, 0), (120, 72, 40), (160, 82, 45)),
    "black": ((0, 0, 0), (30, 30, 30)),
    "white": ((255, 255, 255), (245, 245, 245)),
    "grey": ((120, 120, 120), (150, 150, 150)),
    "beige": ((230, 215, 180), (240, 225, 195)),
}
WALLS: tuple[RGB, ...] = (
    (255, 255, 255), (255, 255, 255), (240, 240, 240), (200, 200, 200), (128, 128, 128),
    (40, 40, 40), (0, 0, 0), (250, 245, 230), (210, 230, 250), (220, 245, 220), (255, 230, 230),
    (90, 60, 40), (30, 60, 110), (20, 90, 60),
)  # fmt: skip


def _corners(count: int, *radii: float) -> Callable[[Box], list[tuple[float, float]]]:
    """A regular outline in a box whose corners lie at `radii` in turn, the first one on top."""

    def points(box: Box) -> list[tuple[float, float]]:
        left, top, right, bottom = box
        x, y, half = (left + right) / 2, (top + bottom) / 2, (right - left) / 2
        turns = [math.tau * at / count - math.pi / 2 for at in range(count)]
        return [
            (x + half * radii[at % len(radii)] * math.cos(turn),
             y + half * radii[at % len(radii)] * math.sin(turn))
            for at, turn in enumerate(turns)
        ]  # fmt: skip

    return points


def _triangle(box: Box) -> list[tuple[float, float]]:
    left, top, right, bottom = box
    return [((left + right) / 2, top), (right, bottom), (left, bottom)]


def _cross(box: Box) -> list[tuple[float, float]]:
    left, top, right, _ = box
    third = (right - left) / 3
    steps = [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 3), (1, 2), (0, 2)]
    return [(left + x * third, top + y * third) for x, y in [*steps, (0, 1), (1, 1)]]


OUTLINES: dict[str, Callable[[Box], list[tuple[float, float]]]] = {
    "triangle": _triangle,
    "diamond": _corners(4, 1.0),
    "hexagon": _corners(6, 1.0),
    "star": _corners(10, 1.0, 0.4),
    "cross": _cross,
}
KINDS = ("circle", "circle", "circle", "square", "square", "rectangle", *OUTLINES)


def compose_plain(seed: int) -> tuple[Thing, ...]:
    """The things of the plain scene `seed`: one, several of one look, or of any look."""
    rng = random.Random(f"plain/{seed}")
    if rng.random() < ALONE:
        x, y = ((rng.randrange(3) + rng.uniform(0.22, 0.78)) / 3 for _ in range(2))
        return (_thing(rng, x, y, _room(rng, x, y)),)
    centres, size = _layout(rng.randint(2, MOST), rng)
    kind, colour = rng.choice(KINDS), rng.choice(list(PALETTE))
    share = rng.random()
    things = []
    for x, y in centres:
        if share > ALIKE:
            colour = rng.choice(list(PALETTE))
        if share > 0.5 + ALIKE / 2:
            kind = rng.choice(KINDS)
        things.append(Thing(kind, colour, "plain", x, y, size * rng.uniform(0.8, 1.0)))
    return tuple(things)


def plain_shots(count: int, seed: int) -> tuple[Shot, ...]:
    """What `draw_plain_scenes` shows."""
    return tuple(scene_shot(compose_plain(seed + number)) for number in range(count))


def draw_plain_scenes(count: int, seed: int, px: int) -> Tensor:
    """The pixels of `count` plain scenes, uint8 (count, 3, px, px)."""
    pixels = torch.empty(count, 3, px, px, dtype=torch.uint8)
    for number in range(seed, seed + count):
        pixels[number - seed] = square(draw_plain(compose_plain(number), seed=number, size=px), px)
    return pixels


def _room(rng: random.Random, x: float, y: float) -> float:
    """A size that stays within the picture, mostly: from a twelfth of it to two fifths."""
    room = 2 * min(x, 1 - x, y, 1 - y) + 0.02
    return rng.uniform(0.08, min(max(room, 0.1), 0.42))


def _thing(rng: random.Random, x: float, y: float, size: float) -> Thing:
    return Thing(rng.choice(KINDS), rng.choice(list(PALETTE)), "plain", x, y, size)


def _layout(count: int, rng: random.Random) -> tuple[Sequence[tuple[float, float]], float]:
    """Centres and a size: in the cells of a grid, in a row, or anywhere apart."""
    way = rng.random()
    if way < 0.4:
        cells = rng.sample([(x, y) for y in range(3) for x in range(3)], count)
        size = rng.uniform(0.1, 0.29)
        free = (1 / 3 - size) / 2
        return [
            ((x + 0.5) / 3 + rng.uniform(-free, free), (y + 0.5) / 3 + rng.uniform(-free, free))
            for x, y in cells
        ], size
    if way < 0.6:
        step = rng.uniform(0.7, 0.94) / count
        size, first = step * rng.uniform(0.5, 0.88), 0.5 - step * (count - 1) / 2
        level = rng.uniform(0.2, 0.8)
        along = [(first + step * at, level) for at in range(count)]
        return along if rng.random() < 0.75 else [(y, x) for x, y in along], size
    size = rng.uniform(0.08, 0.26)
    centres: list[tuple[float, float]] = []
    while len(centres) < count:
        spot = (rng.uniform(size / 2, 1 - size / 2), rng.uniform(size / 2, 1 - size / 2))
        if all(math.dist(spot, other) > size * 1.1 for other in centres):
            centres.append(spot)
        elif rng.random() < 0.01:
            size *= 0.9  # there is little room left
    return centres, size


def draw_plain(things: tuple[Thing, ...], *, seed: int, size: int = 256) -> Image.Image:
    """A `size` x `size` RGB picture of `things`: shades and background vary with `seed`."""
    rng = random.Random(f"plain drawing/{seed}")
    shades = {thing.colour: _shade(thing.colour, rng) for thing in things}
    scene = Image.new("RGB", (size, size), _wall(list(shades.values()), rng))
    grain = rng.choice((1, 1, 2))  # soft edges: drawn larger, then shrunk
    scene = scene.resize((size * grain, size * grain))
    draw = ImageDraw.Draw(scene)
    line = (0, 0, 0) if rng.random() < 0.25 else None
    for thing in things:
        half = thing.size / 2
        box = tuple(
            at * size * grain
            for at in (thing.x - half, thing.y - half, thing.x + half, thing.y + half)
        )
        _draw(draw, thing.kind, box, shades[thing.colour], line)  # pyright: ignore[reportArgumentType]
    return scene.resize((size, size), Image.Resampling.LANCZOS) if grain > 1 else scene


def _draw(draw: ImageDraw.ImageDraw, kind: str, box: Box, fill: RGB, line: RGB | None) -> None:
    left, top, right, bottom = box
    if kind == "circle":
        draw.ellipse(box, fill=fill, outline=line)
    elif kind == "square":
        draw.rectangle(box, fill=fill, outline=line)
    elif kind == "rectangle":
        fifth = (bottom - top) / 5
        draw.rectangle((left, top + fifth, right, bottom - fifth), fill=fill, outline=line)
    else:
        draw.polygon(OUTLINES[kind](box), fill=fill, outline=line)


def _shade(colour: str, rng: random.Random) -> RGB:
    red, green, blue = rng.choice(NAMED[colour] + MORE[colour])
    if rng.random() < 0.5:
        return red, green, blue
    red, green, blue = (max(0, min(255, c + rng.randint(-12, 12))) for c in (red, green, blue))
    return red, green, blue


def _wall(paints: Sequence[RGB], rng: random.Random) -> RGB:
    """A background that differs from every paint; the farthest one where none is far."""

    def apart(tone: RGB) -> int:
        return min(sum(abs(a - b) for a, b in zip(tone, paint, strict=True)) for paint in paints)

    far = [tone for tone in WALLS if apart(tone) > FAR]
    return rng.choice(far) if far else max(WALLS, key=apart)
