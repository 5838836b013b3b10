"""The outlines of drawn fruit, one function a kind; knows neither scenes nor seeds.

Each draws on a `Pen` in shares of its layer; `paint` is the main colour of the product.
"""

from __future__ import annotations

import math

from workers.synthetic.strokes import (
    LEAF,
    RGB,
    STEM,
    Outline,
    Pen,
    cut_citrus,
    leaf,
    mirrored,
    ring,
    shift,
)


def apple(pen: Pen, paint: RGB) -> None:
    """An apple with a dip, a stem and a leaf."""
    half = [(0.5, 0.27), (0.62, 0.2), (0.78, 0.24), (0.87, 0.42), (0.83, 0.66), (0.7, 0.86)]
    pen.body(mirrored([*half, (0.57, 0.9), (0.5, 0.87)]), paint)
    pen.dot((0.5, 0.27), 0.09, shift(paint, -0.4), flat=0.35)
    pen.line([(0.5, 0.28), (0.51, 0.17), (0.55, 0.09)], STEM, 0.026)
    if pen.rng.random() < 0.7:
        leaf(pen, (0.52, 0.18), (0.74, 0.07))


def banana(pen: Pen, paint: RGB) -> None:
    """One to three curved bananas from one stem."""
    for sink in ((0.0,), (-0.12, 0.03), (-0.16, -0.04, 0.08))[pen.rng.randrange(3)]:
        outer = [(0.13, 0.18), (0.15, 0.42), (0.3, 0.68), (0.56, 0.8), (0.8, 0.72), (0.93, 0.56)]
        inner = [(0.9, 0.51), (0.72, 0.58), (0.5, 0.55), (0.32, 0.4), (0.22, 0.17)]
        bend = [(x, y + sink * (x - 0.1) * 1.6) for x, y in (*outer, *inner)]
        pen.body(bend, paint, gloss=0.2)
        ridge = [(0.17, 0.2), (0.22, 0.4), (0.36, 0.59), (0.56, 0.68), (0.78, 0.64), (0.91, 0.54)]
        pen.line([(x, y + sink * (x - 0.1) * 1.6) for x, y in ridge], shift(paint, -0.25), 0.009)
        end = sink * 0.8 * 1.6
        pen.dot((0.915, 0.535 + end), 0.024, (70, 55, 35))
    pen.shape([(0.12, 0.2), (0.1, 0.08), (0.2, 0.07), (0.23, 0.19)], (150, 135, 60), curved=False)


def _citrus(pen: Pen, paint: RGB, tip: float) -> None:
    top = [(0.5 - 0.38 - tip, 0.5), (0.16, 0.41), (0.3, 0.27), (0.5, 0.22), (0.7, 0.27)]
    right = [(0.84, 0.41), (0.5 + 0.38 + tip, 0.5), (0.84, 0.59), (0.7, 0.73), (0.5, 0.78)]
    pen.body([*top, *right, (0.3, 0.73), (0.16, 0.59)], paint, gloss=0.4)
    for _ in range(50):
        x, y = pen.rng.gauss(0.5, 0.13), pen.rng.gauss(0.5, 0.09)
        pen.dot((x, y), 0.005, shift(paint, -0.15))
    if pen.rng.random() < 0.45:
        cut_citrus(pen, (0.68, 0.7), 0.22, paint, 9)


def lemon(pen: Pen, paint: RGB) -> None:
    """A lemon with pointed ends, sometimes beside a cut half."""
    _citrus(pen, paint, 0.08)


def lime(pen: Pen, paint: RGB) -> None:
    """A lime: rounder than a lemon, with a small tip."""
    _citrus(pen, paint, 0.03)


def melon(pen: Pen, paint: RGB) -> None:
    """A striped watermelon when green, a netted oval melon when yellow."""
    green = paint[1] > paint[0]
    paint = shift(paint, -0.2) if green else paint
    mask = pen.body(ring((0.5, 0.5), 0.45, 0.9 if green else 0.76), paint, gloss=0.3)
    marks, draw = pen.blank()
    px = pen.px
    if green:
        for bow in (-0.42, -0.26, -0.09, 0.09, 0.26, 0.42):
            path = [
                (
                    (0.5 + bow * math.sin(math.pi * y) + pen.rng.uniform(-0.015, 0.015)) * px,
                    (0.08 + y * 0.84) * px,
                )
                for y in (0, 0.12, 0.25, 0.37, 0.5, 0.62, 0.75, 0.87, 1)
            ]
            draw.line(path, fill=230, width=round(px * 0.05), joint="curve")
        pen.clipped(marks, mask, shift(paint, -0.55), 0.85)
    else:
        for _ in range(60):
            x, y = pen.rng.uniform(0.05, 0.95) * px, pen.rng.uniform(0.1, 0.9) * px
            reach = px * 0.1
            end = (x + pen.rng.uniform(-reach, reach), y + pen.rng.uniform(-reach, reach))
            draw.line([(x, y), end], fill=210, width=max(1, px // 110))
        pen.clipped(marks, mask, (236, 226, 190), 0.7)
    if green and pen.rng.random() < 0.4:  # a wedge in front
        pen.shape([(0.3, 0.62), (0.96, 0.62), (0.63, 0.99)], (232, 240, 205), curved=False)
        pen.shape([(0.34, 0.62), (0.92, 0.62), (0.63, 0.94)], (222, 58, 66), curved=False)
        for x, y in ((0.52, 0.68), (0.63, 0.7), (0.74, 0.68), (0.58, 0.78), (0.68, 0.79)):
            pen.dot((x, y), 0.011, (40, 25, 25), flat=1.5)


def orange(pen: Pen, paint: RGB) -> None:
    """A dimpled globe with a small green star, sometimes beside a cut half."""
    pen.body(ring((0.5, 0.52), 0.39), paint, gloss=0.35)
    for _ in range(90):
        angle, reach = pen.rng.uniform(0, math.tau), 0.36 * math.sqrt(pen.rng.random())
        spot = (0.5 + reach * math.cos(angle), 0.52 + reach * math.sin(angle))
        pen.dot(spot, 0.006, shift(paint, -0.18))
    for step in range(5):
        angle = math.tau * step / 5
        tip = (0.56 + 0.045 * math.cos(angle), 0.26 + 0.03 * math.sin(angle))
        pen.line([(0.56, 0.26), tip], LEAF, 0.014)
    if pen.rng.random() < 0.35:
        cut_citrus(pen, (0.7, 0.72), 0.24, paint, 10)


def pear(pen: Pen, paint: RGB) -> None:
    """A pear: narrow neck, wide belly."""
    half = [(0.5, 0.14), (0.58, 0.17), (0.62, 0.3), (0.68, 0.46), (0.78, 0.64), (0.74, 0.83)]
    pen.body(mirrored([*half, (0.6, 0.92), (0.5, 0.91)]), paint)
    pen.line([(0.5, 0.16), (0.52, 0.04)], STEM, 0.024)
    for _ in range(40):
        x, y = pen.rng.gauss(0.5, 0.09), pen.rng.gauss(0.7, 0.08)
        pen.dot((x, y), 0.004, shift(paint, -0.25))
    if pen.rng.random() < 0.4:
        leaf(pen, (0.52, 0.1), (0.72, 0.08))


def pineapple(pen: Pen, paint: RGB) -> None:
    """A diamond-skinned barrel under a crown of leaves."""
    paint = shift(paint, -0.18)
    for angle in (-60, -38, -18, 0, 18, 38, 60):
        tip = (
            0.5 + 0.3 * math.sin(math.radians(angle)),
            0.34 - 0.32 * math.cos(math.radians(angle)),
        )
        leaf(pen, (0.5, 0.38), tip, shift(LEAF, -0.15))
    mask = pen.body(ring((0.5, 0.65), 0.28, 1.15), paint, gloss=0.2)
    marks, draw = pen.blank()
    for step in range(-12, 24):
        at = step * 0.075 * pen.px
        draw.line([(at, 0), (at + pen.px, pen.px)], fill=220, width=max(2, pen.px // 90))
        draw.line([(at + pen.px, 0), (at, pen.px)], fill=220, width=max(2, pen.px // 90))
    pen.clipped(marks, mask, (138, 92, 30), 0.7)


def plum(pen: Pen, paint: RGB) -> None:
    """A dark plum with a cleft and a bloom."""
    half = [(0.5, 0.2), (0.66, 0.2), (0.8, 0.36), (0.83, 0.56), (0.72, 0.8), (0.5, 0.88)]
    pen.body(mirrored(half), paint, gloss=0.35)
    pen.line([(0.5, 0.2), (0.57, 0.4), (0.56, 0.62), (0.5, 0.87)], shift(paint, -0.45), 0.014)
    pen.line([(0.5, 0.21), (0.49, 0.1)], STEM, 0.024)


FRUIT: dict[str, Outline] = {
    "Apple": apple,
    "Banana": banana,
    "Lemon": lemon,
    "Lime": lime,
    "Melon": melon,
    "Orange": orange,
    "Pear": pear,
    "Pineapple": pineapple,
    "Plum": plum,
}
