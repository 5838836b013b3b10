"""The outlines of drawn vegetables, one function a kind; knows neither scenes nor seeds.

Each draws on a `Pen` in shares of its layer; `paint` is the main colour of the product.
"""

from __future__ import annotations

import math

from workers.synthetic.strokes import LEAF, RGB, Outline, Pen, leaf, mirrored, ring, shift


def aubergine(pen: Pen, paint: RGB) -> None:
    """A glossy dark drop under a green cap."""
    half = [(0.5, 0.22), (0.6, 0.26), (0.66, 0.42), (0.74, 0.64), (0.7, 0.84), (0.5, 0.95)]
    pen.body(mirrored(half), paint, gloss=0.7)
    cap = [(0.5, 0.15), (0.62, 0.22), (0.67, 0.36), (0.58, 0.31), (0.54, 0.4), (0.5, 0.32)]
    pen.shape(mirrored(cap), LEAF, curved=False)
    pen.line([(0.5, 0.2), (0.49, 0.1), (0.54, 0.03)], shift(LEAF, -0.2), 0.05)


def carrots(pen: Pen, paint: RGB) -> None:
    """One to three carrots with green tops."""
    for x in ((0.5,), (0.35, 0.65), (0.25, 0.5, 0.75))[pen.rng.randrange(3)]:
        lean = pen.rng.uniform(-0.07, 0.07)
        for frond in range(7):
            reach = (frond - 3) * 0.045
            top = (x + reach * 1.3, 0.03 + abs(reach) * 0.6)
            pen.line([(x, 0.3), (x + reach * 0.5, 0.16), top], shift(LEAF, reach), 0.02)
        cone = [(x - 0.1, 0.31), (x, 0.27), (x + 0.1, 0.31), (x + 0.07, 0.6)]
        pen.body([*cone, (x + lean, 0.97), (x - 0.06, 0.6)], paint, gloss=0.3)
        for y in (0.4, 0.5, 0.6, 0.7):
            pen.line([(x - 0.06, y), (x - 0.01, y + 0.01)], shift(paint, -0.25), 0.008)


def cucumber(pen: Pen, paint: RGB) -> None:
    """A long green cucumber, sometimes with slices."""
    paint = shift(paint, -0.22)
    top = [(0.04, 0.52), (0.1, 0.42), (0.35, 0.38), (0.65, 0.39), (0.9, 0.45), (0.97, 0.52)]
    mask = pen.body([*top, (0.9, 0.6), (0.65, 0.62), (0.35, 0.62), (0.1, 0.6)], paint, gloss=0.3)
    marks, draw = pen.blank()
    for _ in range(16):
        x, y = pen.rng.uniform(0.1, 0.8) * pen.px, pen.rng.uniform(0.4, 0.6) * pen.px
        draw.line([(x, y), (x + pen.px * 0.12, y)], fill=150, width=max(1, pen.px // 130))
    pen.clipped(marks, mask, (190, 215, 140), 0.6)
    if pen.rng.random() < 0.5:
        for x in (0.36, 0.52, 0.68):
            pen.dot((x, 0.74), 0.12, paint)
            pen.dot((x, 0.74), 0.105, (205, 226, 160))
            for step in range(8):
                angle = math.tau * step / 8
                pen.dot(
                    (x + 0.055 * math.cos(angle), 0.74 + 0.055 * math.sin(angle)),
                    0.011,
                    (236, 240, 205),
                    flat=1.4,
                )


def garlic(pen: Pen, paint: RGB) -> None:
    """A pale bulb of cloves with a long neck."""
    half = [(0.5, 0.06), (0.55, 0.1), (0.56, 0.28), (0.74, 0.42), (0.86, 0.62), (0.76, 0.82)]
    pen.body(mirrored([*half, (0.6, 0.88), (0.5, 0.84)]), paint, gloss=0.3)
    for bow in (-0.24, -0.1, 0.1, 0.24):
        clove = [(0.5 + bow * 0.2, 0.26), (0.5 + bow, 0.52), (0.5 + bow * 0.9, 0.84)]
        pen.line(clove, (206, 178, 196), 0.014)
    pen.dot((0.5, 0.87), 0.07, (176, 158, 128), flat=0.35)


def mushroom(pen: Pen, paint: RGB) -> None:
    """A domed cap on a pale stem."""
    stem = [(0.4, 0.52), (0.6, 0.52), (0.6, 0.74), (0.64, 0.9), (0.5, 0.93), (0.36, 0.9)]
    pen.body([*stem, (0.4, 0.74)], shift(paint, 0.65), gloss=0.1)
    pen.shape([(0.14, 0.54), (0.5, 0.48), (0.86, 0.54), (0.5, 0.66)], shift(paint, -0.3))
    dome = [(0.1, 0.54), (0.16, 0.3), (0.36, 0.14), (0.64, 0.14), (0.84, 0.3), (0.9, 0.54)]
    pen.body([*dome, (0.7, 0.59), (0.3, 0.59)], paint, gloss=0.35)


def onion(pen: Pen, paint: RGB) -> None:
    """A bulb with a dry tip, roots and skin lines."""
    if paint[0] > 1.5 * paint[2]:  # a brown onion is nearer to copper than to wood
        paint = shift((min(255, paint[0] + 50), paint[1] + 10, paint[2]), 0.1)
    elif paint[2] > paint[1] + 40:
        paint = shift(paint, 0.12)
    half = [(0.5, 0.08), (0.53, 0.2), (0.64, 0.3), (0.82, 0.44), (0.84, 0.64), (0.7, 0.82)]
    pen.body(mirrored([*half, (0.5, 0.87)]), paint, gloss=0.4)
    for bow in (-0.26, -0.14, 0.0, 0.14, 0.26):
        skin = [(0.5 + bow * 0.15, 0.2), (0.5 + bow, 0.5), (0.5 + bow * 0.8, 0.7), (0.5, 0.86)]
        pen.line(skin, shift(paint, -0.28), 0.009)
    for reach in (-0.06, -0.02, 0.02, 0.06):
        pen.line([(0.5, 0.86), (0.5 + reach, 0.95)], (190, 170, 130), 0.01)


def pepper(pen: Pen, paint: RGB) -> None:
    """A bell pepper: lobes and a thick green stem."""
    half = [(0.5, 0.28), (0.6, 0.22), (0.74, 0.25), (0.84, 0.38), (0.8, 0.62), (0.72, 0.84)]
    pen.body(mirrored([*half, (0.6, 0.9), (0.5, 0.85)]), paint, gloss=0.75)
    for lean in (-1, 1):
        groove = [(0.5 + lean * 0.04, 0.28), (0.5 + lean * 0.14, 0.5), (0.5 + lean * 0.06, 0.85)]
        pen.line(groove, shift(paint, -0.3), 0.016)
    pen.shape([(0.38, 0.27), (0.5, 0.21), (0.62, 0.27), (0.5, 0.31)], LEAF)
    stem = [(0.46, 0.26), (0.45, 0.14), (0.49, 0.06), (0.57, 0.08), (0.54, 0.15), (0.55, 0.26)]
    pen.shape(stem, shift(LEAF, -0.12))


def potato(pen: Pen, paint: RGB) -> None:
    """A lumpy oval with eyes."""
    lumps = [
        (x + pen.rng.uniform(-0.035, 0.035), y + pen.rng.uniform(-0.035, 0.035))
        for x, y in ring((0.5, 0.5), 0.43, 0.7)
    ]
    pen.body(lumps, shift(paint, -0.08), gloss=0.2)
    for _ in range(9):
        x, y = pen.rng.uniform(0.22, 0.78), pen.rng.uniform(0.32, 0.68)
        pen.dot((x, y), pen.rng.uniform(0.008, 0.02), shift(paint, -0.38), flat=0.6)


def tomato(pen: Pen, paint: RGB) -> None:
    """A squat globe with a star of sepals."""
    half = [(0.5, 0.27), (0.66, 0.22), (0.83, 0.32), (0.9, 0.52), (0.81, 0.74), (0.64, 0.85)]
    pen.body(mirrored([*half, (0.5, 0.86)]), paint, gloss=0.75)
    for step in range(6):
        angle = math.tau * step / 6 + 0.3
        tip = (0.5 + 0.19 * math.cos(angle), 0.28 + 0.09 * math.sin(angle))
        leaf(pen, (0.5, 0.28), tip)
    pen.line([(0.5, 0.28), (0.53, 0.14)], LEAF, 0.03)


VEGETABLES: dict[str, Outline] = {
    "Aubergine": aubergine,
    "Carrots": carrots,
    "Cucumber": cucumber,
    "Garlic": garlic,
    "Mushroom": mushroom,
    "Onion": onion,
    "Pepper": pepper,
    "Potato": potato,
    "Tomato": tomato,
}
