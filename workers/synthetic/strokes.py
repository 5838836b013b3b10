"""A pen for drawn products: smooth shapes with light and folds; knows no product.

Coordinates are shares of the layer, 0 to 1, with y downwards. Everything is PIL, and one
`random.Random` decides every choice, so a seed gives the same picture on any machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter

RGB = tuple[int, int, int]
Point = tuple[float, float]
LEAF: RGB = (70, 138, 58)
STEM: RGB = (96, 70, 42)
CREAM: RGB = (246, 242, 228)


def shift(colour: RGB, amount: float) -> RGB:
    """`colour` towards white (`amount` up to 1) or black (down to -1)."""
    goal = 255 if amount > 0 else 0
    red, green, blue = (round(c + (goal - c) * abs(amount)) for c in colour)
    return (red, green, blue)


def mirrored(right: Sequence[Point]) -> list[Point]:
    """A closed outline from its right half, top to bottom, mirrored about x = 0.5."""
    return [*right, *((1 - x, y) for x, y in reversed(right))]


def smooth(points: Sequence[Point], steps: int = 10) -> list[Point]:
    """The closed Catmull-Rom curve through `points`."""
    curve, count = [], len(points)
    for i in range(count):
        p0, p1, p2, p3 = (points[(i + k) % count] for k in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            curve.append(
                (
                    _spline(p0[0], p1[0], p2[0], p3[0], t),
                    _spline(p0[1], p1[1], p2[1], p3[1], t),
                )
            )
    return curve


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (
        2 * b
        + (c - a) * t
        + (2 * a - 5 * b + 4 * c - d) * t * t
        + (3 * b - a - 3 * c + d) * t * t * t
    )


class Pen:
    """Draws on a transparent square layer of `px` pixels a side."""

    def __init__(self, px: int, rng: random.Random) -> None:
        self.px = px
        self.rng = rng
        self.layer = Image.new("RGBA", (px, px), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.layer)

    def _at(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.px, y * self.px) for x, y in points]

    def shape(self, points: Sequence[Point], fill: RGB, *, curved: bool = True) -> None:
        """A flat closed shape."""
        outline = smooth(points) if curved else list(points)
        self._draw.polygon(self._at(outline), fill=(*fill, 255))

    def line(self, points: Sequence[Point], fill: RGB, width: float) -> None:
        """A line of `width` (a share of the layer) with round joints."""
        self._draw.line(
            self._at(points), fill=(*fill, 255), width=max(1, round(width * self.px)), joint="curve"
        )

    def dot(self, centre: Point, radius: float, fill: RGB, flat: float = 1.0) -> None:
        """An ellipse; `flat` is its height over its width."""
        (x, y), tall = centre, radius * flat
        box = self._at([(x - radius, y - tall), (x + radius, y + tall)])
        self._draw.ellipse([*box[0], *box[1]], fill=(*fill, 255))

    def body(
        self, points: Sequence[Point], fill: RGB, *, curved: bool = True, gloss: float = 0.5
    ) -> Image.Image:
        """A round solid: darker at its lower right, lit at its upper left. Returns its mask."""
        mask = self._mask(points, curved)
        self.layer.paste((*fill, 255), mask=mask)
        box = mask.getbbox() or (0, 0, self.px, self.px)
        wide, tall = box[2] - box[0], box[3] - box[1]
        light = Image.radial_gradient("L").resize((round(wide * 1.6), round(tall * 1.6)))
        rim = Image.new("L", mask.size, 255)
        rim.paste(light, (box[0] - round(wide * 0.45), box[1] - round(tall * 0.45)))
        rim = rim.point([max(0, min(235, round((v - 70) * 1.0))) for v in range(256)])
        self._tint(shift(fill, -0.55), ImageChops.multiply(mask, rim), 0.85)
        glow = Image.new("L", mask.size, 0)
        x, y = box[0] + wide * 0.34, box[1] + tall * 0.28
        half = (wide * 0.16, tall * 0.13)
        ImageDraw.Draw(glow).ellipse([x - half[0], y - half[1], x + half[0], y + half[1]], fill=255)
        glow = glow.filter(ImageFilter.GaussianBlur(self.px * 0.03))
        self._tint((255, 255, 250), ImageChops.multiply(mask, glow), gloss)
        return mask

    def cloth(self, points: Sequence[Point], fill: RGB, *, folds: int = 5) -> Image.Image:
        """A flat garment with soft folds and a seam around it. Returns its mask."""
        mask = self._mask(points, curved=False)
        self.layer.paste((*fill, 255), mask=mask)
        for sign in (-0.45, 0.3):
            marks = Image.new("L", mask.size, 0)
            pen = ImageDraw.Draw(marks)
            for _ in range(folds):
                x, y = self.rng.uniform(0.2, 0.8), self.rng.uniform(0.2, 0.8)
                reach = self.rng.uniform(0.1, 0.3)
                lean = self.rng.uniform(-0.1, 0.1)
                ends = self._at([(x, y), (x + lean, y + reach)])
                pen.line(ends, fill=200, width=round(self.px * 0.02))
            marks = marks.filter(ImageFilter.GaussianBlur(self.px * 0.018))
            self._tint(shift(fill, sign), ImageChops.multiply(mask, marks), 0.8)
        inner = mask.filter(ImageFilter.GaussianBlur(self.px * 0.008))
        edge = ImageChops.multiply(mask, ImageChops.invert(inner))
        self._tint(shift(fill, -0.6), edge, 1.0)
        return mask

    def clipped(self, marks: Image.Image, mask: Image.Image, fill: RGB, amount: float) -> None:
        """Tint by the marks (an L image) that fall inside `mask`."""
        self._tint(fill, ImageChops.multiply(mask, marks), amount)

    def blank(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """An empty L image of the layer's size, to draw marks on, and its drawer."""
        marks = Image.new("L", (self.px, self.px), 0)
        return marks, ImageDraw.Draw(marks)

    def _mask(self, points: Sequence[Point], curved: bool) -> Image.Image:
        mask, draw = self.blank()
        draw.polygon(self._at(smooth(points) if curved else points), fill=255)
        return mask

    def _tint(self, fill: RGB, mask: Image.Image, amount: float) -> None:
        alpha = self.layer.getchannel("A")
        self.layer.paste((*fill, 255), mask=mask.point([round(v * amount) for v in range(256)]))
        self.layer.putalpha(ImageChops.lighter(alpha, self.layer.getchannel("A")))


Outline = Callable[[Pen, RGB], None]


def leaf(pen: Pen, base: Point, tip: Point, fill: RGB = LEAF) -> None:
    """A pointed leaf with its middle vein, from `base` to `tip`."""
    (x0, y0), (x1, y1) = base, tip
    dx, dy = (x1 - x0) * 0.5, (y1 - y0) * 0.5
    side: list[Point] = [
        base,
        (x0 + dx - dy * 0.55, y0 + dy + dx * 0.55),
        tip,
        (x0 + dx + dy * 0.55, y0 + dy - dx * 0.55),
    ]
    pen.shape(side, fill)
    pen.line([base, tip], shift(fill, -0.3), 0.008)


def ring(centre: Point, radius: float, flat: float = 1.0) -> list[Point]:
    """Twelve points around an ellipse, `flat` times as high as it is wide."""
    return [
        (
            centre[0] + radius * math.cos(math.tau * i / 12),
            centre[1] + radius * flat * math.sin(math.tau * i / 12),
        )
        for i in range(12)
    ]


def cut_citrus(pen: Pen, centre: Point, radius: float, paint: RGB, parts: int) -> None:
    """A cut citrus half: rind, pith and segments."""
    pen.dot(centre, radius, paint)
    pen.dot(centre, radius * 0.9, CREAM)
    flesh = shift(paint, 0.3)
    for part in range(parts):
        at = math.tau * part / parts
        wide = math.pi / parts * 0.82
        wedge = [(centre[0] + radius * 0.1 * math.cos(at), centre[1] + radius * 0.1 * math.sin(at))]
        for edge in (-wide, 0.0, wide):
            wedge.append(
                (
                    centre[0] + radius * 0.8 * math.cos(at + edge),
                    centre[1] + radius * 0.8 * math.sin(at + edge),
                )
            )
        pen.shape(wedge, flesh, curved=False)
