"""The outlines of drawn cartons and pots, one function a kind; knows neither scenes nor seeds.

Each draws on a `Pen` in shares of its layer; `paint` is the main colour of the product.
"""

from __future__ import annotations

from workers.synthetic.strokes import CREAM, RGB, Outline, Pen, cut_citrus, leaf, shift


def juice(pen: Pen, paint: RGB) -> None:
    """A flat-topped carton with a screw cap and a cut fruit on its label."""
    pen.dot((0.5, 0.1), 0.065, shift(paint, -0.35), flat=0.7)
    pen.shape(
        [(0.28, 0.2), (0.66, 0.2), (0.74, 0.12), (0.36, 0.12)], shift(paint, 0.3), curved=False
    )
    pen.shape(
        [(0.44, 0.1), (0.565, 0.1), (0.565, 0.17), (0.44, 0.17)], shift(paint, -0.35), curved=False
    )
    pen.cloth([(0.28, 0.2), (0.66, 0.2), (0.66, 0.97), (0.28, 0.97)], paint, folds=0)
    pen.cloth([(0.66, 0.2), (0.74, 0.12), (0.74, 0.89), (0.66, 0.97)], shift(paint, -0.25), folds=0)
    pen.shape([(0.29, 0.3), (0.65, 0.3), (0.65, 0.4), (0.29, 0.4)], CREAM, curved=False)
    flesh = (250, 160, 40) if min(paint[0], paint[1]) < 120 else (236, 96, 40)
    cut_citrus(pen, (0.47, 0.67), 0.155, flesh, 9)
    leaf(pen, (0.5, 0.53), (0.62, 0.46))


def milk(pen: Pen, paint: RGB) -> None:
    """A gable-top carton with a drop of milk on its label."""
    front = [(0.26, 0.3), (0.62, 0.3), (0.62, 0.97), (0.26, 0.97)]
    side = [(0.62, 0.3), (0.76, 0.25), (0.76, 0.91), (0.62, 0.97)]
    pen.shape(
        [(0.26, 0.3), (0.62, 0.3), (0.57, 0.13), (0.32, 0.13)], shift(paint, 0.12), curved=False
    )
    pen.shape([(0.62, 0.3), (0.76, 0.25), (0.57, 0.13)], shift(paint, -0.28), curved=False)
    pen.shape(
        [(0.31, 0.13), (0.31, 0.06), (0.58, 0.06), (0.58, 0.13)], shift(paint, -0.1), curved=False
    )
    pen.cloth(front, paint, folds=0)
    pen.cloth(side, shift(paint, -0.22), folds=0)
    pale = min(paint) > 190
    label: RGB = (70, 140, 205) if pale else CREAM
    pen.shape([(0.27, 0.78), (0.38, 0.72), (0.5, 0.8), (0.615, 0.74), (0.615, 0.96), (0.27, 0.96)],
              label, curved=False)  # fmt: skip
    drop = [(0.44, 0.38), (0.5, 0.5), (0.53, 0.58), (0.44, 0.66), (0.35, 0.58), (0.38, 0.5)]
    pen.shape(drop, label)


def yoghurt(pen: Pen, paint: RGB) -> None:
    """A tapered pot with a foil lid and a berry on its label."""
    cup = [(0.2, 0.26), (0.8, 0.26), (0.7, 0.92), (0.3, 0.92)]
    pen.cloth(cup, paint, folds=0)
    pen.shape(
        [(0.7, 0.27), (0.8, 0.27), (0.7, 0.92), (0.63, 0.92)], shift(paint, -0.14), curved=False
    )
    pen.dot((0.5, 0.26), 0.34, (196, 200, 206), flat=0.22)
    pen.dot((0.5, 0.24), 0.33, (228, 231, 235), flat=0.22)
    band: RGB = CREAM if min(paint) < 190 else (226, 120, 160)
    pen.shape([(0.235, 0.5), (0.765, 0.5), (0.735, 0.72), (0.265, 0.72)], band, curved=False)
    berry: RGB = (206, 36, 58) if max(paint) > 215 else (70, 60, 150)
    pen.shape([(0.4, 0.54), (0.6, 0.54), (0.58, 0.64), (0.5, 0.71), (0.42, 0.64)], berry)
    leaf(pen, (0.5, 0.55), (0.58, 0.47))


PACKAGES: dict[str, Outline] = {
    "Juice": juice,
    "Milk": milk,
    "Yoghurt": yoghurt,
}
