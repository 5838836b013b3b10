"""What things in drawn scenes are called, in English and Chinese; it asks nothing."""

from __future__ import annotations

from workers.synthetic.lexicon import choices
from workers.synthetic.scenes import FIGURES

MASS = {"Garlic": "garlic", "Juice": "juice cartons", "Milk": "milk cartons", "Yoghurt": "yoghurts"}
ALWAYS_PLURAL = ("Carrots", "pants", "shoes", "shorts", "outwear")
FIGURES_ZH = {
    "circle": "圆形", "ball": "球", "square": "正方形", "rectangle": "长方形", "triangle": "三角形",
    "diamond": "菱形", "hexagon": "六边形", "star": "星形", "cross": "十字", "heart": "心形",
}  # fmt: skip


def colour_zh(colour: str) -> str:
    """The Chinese word of a colour."""
    return choices("colour")[colour].zh


def kind_zh(kind: str) -> str:
    """The Chinese word of a drawn kind."""
    return FIGURES_ZH[kind] if kind in FIGURES else choices("category")[kind].zh


def plural(kind: str) -> str:
    """The English plural of a kind, in lower case."""
    if kind in MASS:
        return MASS[kind]
    word = kind.lower()
    if kind in ALWAYS_PLURAL:
        return word
    return word + "es" if word.endswith(("o", "ss")) else word + "s"
