"""The outlines of drawn clothes, one function a kind; knows neither scenes nor seeds.

Each draws on a `Pen` in shares of its layer; `paint` is the main colour of the product.
"""

from __future__ import annotations

from workers.synthetic.strokes import CREAM, RGB, Outline, Pen, ring, shift


def _seam(paint: RGB) -> RGB:
    return shift(paint, 0.3) if sum(paint) < 200 else shift(paint, -0.3)


def _sleeves(pen: Pen, paint: RGB) -> None:
    half = [(0.6, 0.1), (0.72, 0.13), (0.84, 0.3), (0.95, 0.82), (0.83, 0.85), (0.73, 0.46)]
    right = [*half, (0.73, 0.92)]
    neck = [(0.43, 0.15), (0.5, 0.18), (0.57, 0.15)]
    pen.cloth([*right, *((1 - x, y) for x, y in reversed(right)), *neck], paint)


def _legs(pen: Pen, paint: RGB, hem: float, flare: float) -> None:
    right = [(0.72, 0.06), (0.76, 0.3), (0.72 + flare, hem), (0.54 + flare * 0.4, hem), (0.5, 0.36)]
    pen.cloth([*right, *((1 - x, y) for x, y in reversed(right[:-1]))], paint)
    seam = _seam(paint)
    pen.line([(0.275, 0.13), (0.725, 0.13)], seam, 0.014)
    pen.line([(0.5, 0.13), (0.5, 0.36)], seam, 0.012)
    for lean in (-1, 1):
        pen.line([(0.5 + lean * 0.13, 0.13), (0.5 + lean * 0.22, 0.25)], seam, 0.012)
        pen.line([(0.5 + lean * 0.1, 0.07), (0.5 + lean * 0.1, 0.14)], seam, 0.012)
    pen.dot((0.5, 0.098), 0.016, (196, 186, 160))


def dress(pen: Pen, paint: RGB) -> None:
    """A sleeveless dress: straps, waist and a wide hem."""
    right = [(0.6, 0.03), (0.64, 0.04), (0.63, 0.16), (0.68, 0.24), (0.62, 0.42), (0.86, 0.94)]
    neck = [(0.42, 0.14), (0.5, 0.19), (0.58, 0.14)]
    hem = [(0.5, 0.985)]
    left = [(1 - x, y) for x, y in reversed(right)]
    pen.cloth([*right, *hem, *left, *neck], paint)
    seam = _seam(paint)
    pen.line([(0.38, 0.42), (0.62, 0.42)], seam, 0.024)
    for reach in (-0.24, -0.1, 0.1, 0.24):
        pen.line([(0.5 + reach * 0.3, 0.44), (0.5 + reach, 0.93)], seam, 0.01)


def hat(pen: Pen, paint: RGB) -> None:
    """A brimmed hat with a band, or a peaked cap."""
    if pen.rng.random() < 0.5:
        pen.body(ring((0.5, 0.7), 0.47, 0.27), shift(paint, -0.12), gloss=0.1)
        crown = [(0.26, 0.7), (0.27, 0.4), (0.34, 0.24), (0.5, 0.28), (0.66, 0.24), (0.73, 0.4)]
        pen.body([*crown, (0.74, 0.7), (0.5, 0.76)], paint, gloss=0.2)
        band = [
            (0.262, 0.58),
            (0.5, 0.645),
            (0.738, 0.58),
            (0.74, 0.69),
            (0.5, 0.755),
            (0.26, 0.69),
        ]
        pen.shape(band, CREAM if sum(paint) < 300 else shift(paint, -0.6), curved=False)
        return
    dome = [(0.2, 0.66), (0.2, 0.44), (0.34, 0.24), (0.52, 0.2), (0.7, 0.3), (0.76, 0.52)]
    pen.body([*dome, (0.76, 0.66), (0.48, 0.69)], paint, gloss=0.2)
    seam = _seam(paint)
    pen.line([(0.5, 0.21), (0.42, 0.4), (0.4, 0.67)], seam, 0.012)
    pen.line([(0.52, 0.21), (0.62, 0.42), (0.64, 0.67)], seam, 0.012)
    pen.dot((0.51, 0.2), 0.024, shift(paint, -0.3), flat=0.7)
    pen.shape(
        [(0.48, 0.64), (0.76, 0.62), (0.97, 0.72), (0.94, 0.77), (0.7, 0.73), (0.47, 0.72)],
        shift(paint, -0.25),
    )


def longsleeve(pen: Pen, paint: RGB) -> None:
    """A plain pullover: long sleeves, ribbed cuffs and hem."""
    _sleeves(pen, paint)
    seam = _seam(paint)
    pen.line([(0.4, 0.105), (0.43, 0.16), (0.5, 0.19), (0.57, 0.16), (0.6, 0.105)], seam, 0.022)
    pen.line([(0.28, 0.88), (0.72, 0.88)], seam, 0.012)
    for x in (0.055, 0.835):
        pen.line([(x, 0.79 if x < 0.5 else 0.8), (x + 0.11, 0.8 if x < 0.5 else 0.79)], seam, 0.012)


def outwear(pen: Pen, paint: RGB) -> None:
    """A hooded jacket with a zip, pockets and cuffs."""
    hood = [(0.5, 0.02), (0.64, 0.06), (0.67, 0.17), (0.5, 0.27), (0.33, 0.17), (0.36, 0.06)]
    half = [(0.6, 0.13), (0.75, 0.16), (0.9, 0.34), (0.98, 0.8), (0.84, 0.84), (0.77, 0.5)]
    right = [*half, (0.79, 0.96)]
    pen.cloth([*right, *((1 - x, y) for x, y in reversed(right))], paint, folds=8)
    pen.shape(hood, shift(paint, -0.18))
    pen.shape(
        [(0.5, 0.07), (0.6, 0.1), (0.6, 0.17), (0.5, 0.24), (0.4, 0.17), (0.4, 0.1)],
        shift(paint, -0.6),
    )
    seam = _seam(paint)
    pen.line(
        [(0.5, 0.24), (0.5, 0.96)], (205, 205, 210) if sum(paint) < 450 else (80, 80, 86), 0.02
    )
    for lean in (-1, 1):
        pen.line([(0.5 + lean * 0.1, 0.8), (0.5 + lean * 0.22, 0.64)], seam, 0.02)
        pen.line([(0.5 + lean * 0.06, 0.3), (0.5 + lean * 0.07, 0.42)], CREAM, 0.012)
    for y in (0.46, 0.56):
        pen.line([(0.23, y), (0.77, y)], seam, 0.01)
    pen.line([(0.21, 0.91), (0.79, 0.91)], seam, 0.014)


def pants(pen: Pen, paint: RGB) -> None:
    """Long trousers with a waistband and pockets."""
    _legs(pen, paint, 0.98, pen.rng.uniform(-0.06, 0.0))


def shirt(pen: Pen, paint: RGB) -> None:
    """A shirt with a collar, a row of buttons and a pocket."""
    _sleeves(pen, paint)
    seam = _seam(paint)
    pen.line([(0.5, 0.2), (0.5, 0.92)], seam, 0.014)
    for y in (0.27, 0.39, 0.51, 0.63, 0.75, 0.86):
        pen.dot((0.5, y), 0.016, CREAM if sum(paint) < 500 else (90, 92, 98))
    for lean in (-1, 1):
        collar = [(0.5, 0.2), (0.5 + lean * 0.1, 0.07), (0.5 + lean * 0.17, 0.15)]
        pen.shape([*collar, (0.5 + lean * 0.1, 0.26)], shift(paint, 0.25), curved=False)
        pen.line([(0.5, 0.2), (0.5 + lean * 0.1, 0.26), (0.5 + lean * 0.17, 0.15)], seam, 0.01)
    pen.line([(0.57, 0.36), (0.67, 0.36), (0.67, 0.48), (0.57, 0.48), (0.57, 0.36)], seam, 0.01)


def shoes(pen: Pen, paint: RGB) -> None:
    """A pair of laced trainers seen from the side."""
    for x, y in ((0.06, -0.17), (-0.02, 0.14)):
        upper = [(0.1, 0.34), (0.2, 0.32), (0.34, 0.36), (0.5, 0.46), (0.72, 0.53), (0.9, 0.6)]
        points = [(a + x, b + y) for a, b in (*upper, (0.92, 0.72), (0.5, 0.72), (0.1, 0.7))]
        pen.body(points, paint, gloss=0.15)
        sole: RGB = (248, 247, 243) if sum(paint) < 640 else (150, 152, 156)
        base = [(0.08, 0.68), (0.94, 0.69), (0.95, 0.75), (0.9, 0.78), (0.1, 0.77), (0.07, 0.74)]
        pen.shape([(a + x, b + y) for a, b in base], sole, curved=False)
        lace: RGB = CREAM if sum(paint) < 560 else (90, 92, 98)
        for step in range(4):
            a, b = 0.38 + step * 0.075 + x, 0.4 + step * 0.035 + y
            pen.line([(a, b), (a - 0.055, b + 0.09)], lace, 0.018)
        pen.line([(0.14 + x, 0.42 + y), (0.3 + x, 0.66 + y)], _seam(paint), 0.02)


def shorts(pen: Pen, paint: RGB) -> None:
    """Trousers that end above the knee."""
    _legs(pen, paint, pen.rng.uniform(0.58, 0.66), 0.1)


def skirt(pen: Pen, paint: RGB) -> None:
    """A flared skirt with pleats under a waistband."""
    hem = pen.rng.uniform(0.76, 0.92)
    right = [(0.66, 0.1), (0.68, 0.18), (0.92, hem), (0.72, hem + 0.035), (0.5, hem + 0.045)]
    pen.cloth([*right, *((1 - x, y) for x, y in reversed(right[:-1]))], paint, folds=3)
    seam = _seam(paint)
    for reach in (-0.3, -0.18, -0.06, 0.06, 0.18, 0.3):
        pen.line([(0.5 + reach * 0.45, 0.19), (0.5 + reach * 1.1, hem)], seam, 0.012)
    pen.line([(0.33, 0.17), (0.67, 0.17)], seam, 0.02)


def t_shirt(pen: Pen, paint: RGB) -> None:
    """Short sleeves and a round neck."""
    half = [(0.6, 0.12), (0.72, 0.15), (0.97, 0.35), (0.85, 0.48), (0.74, 0.4), (0.74, 0.93)]
    neck = [(0.57, 0.18), (0.5, 0.21), (0.43, 0.18)]
    right = [*half]
    outline = [*right, *((1 - x, y) for x, y in reversed(right)), *reversed(neck)]
    pen.cloth(outline, paint)
    pen.line(
        [(0.4, 0.125), (0.43, 0.19), (0.5, 0.225), (0.57, 0.19), (0.6, 0.125)], _seam(paint), 0.018
    )
    if pen.rng.random() < 0.25:
        print_: RGB = CREAM if sum(paint) < 420 else (70, 74, 84)
        pen.dot((0.5, 0.45), 0.09, print_)


GARMENTS: dict[str, Outline] = {
    "dress": dress,
    "hat": hat,
    "longsleeve": longsleeve,
    "outwear": outwear,
    "pants": pants,
    "shirt": shirt,
    "shoes": shoes,
    "shorts": shorts,
    "skirt": skirt,
    "t-shirt": t_shirt,
}
