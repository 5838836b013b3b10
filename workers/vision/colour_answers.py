"""A palette in a user's words: which of the choices it is, and how sure that is.

Every shade goes to the choice that names it, else to the choice that names its basic colour, else
to the nearest choice. Knows no photo. `benchmarks/photos/colours.py` measures what comes of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from orchestra.core.values import CJK
from workers.vision.palette import Palette
from workers.vision.shades import BASIC, MULTI, shades, words

# How sure: logistic in the log of how much more of the product the best choice has than the next.
SLOPE, TURN, MOST = 1.83, 0.5, 0.97
LIST_SHARE = 0.18  # of the product: what a list of its colours names
MANY, EACH, STEEP = 0.48, 0.13, 10.0  # several colours: the best has less, the others each more
LEAST = 0.03  # of the product: what any colour may have without being seen


def rated(palette: Palette, choices: Sequence[str]) -> dict[str, float]:
    """The part of the product that each of `choices` names, together about 1, in their order.

    What names no colour gets nothing. Without choices the basic colours are rated.
    """
    if not choices:
        return palette.basics()
    meant = {choice: words().find(choice) for choice in choices}
    parts = dict.fromkeys(choices, 0.0)
    goes_to = _goes_to({what: choice for choice, what in reversed(meant.items()) if what})
    for name, part in palette.shades().items():
        if name in goes_to:
            parts[goes_to[name]] += part
    several = next((choice for choice, what in meant.items() if what == MULTI), None)
    if several is not None:
        many = _many(palette)
        parts = {choice: part * (1 - many) for choice, part in parts.items()} | {several: many}
    return parts


def answer(
    palette: Palette, choices: Sequence[str], expected: Mapping[str, float] | None = None
) -> tuple[str, float] | None:
    """The best of `choices` (or a basic colour) and how sure it is; None where none is a colour.

    `expected` is how likely each choice is by what the thing is, where that says its colour.
    """
    parts = rated(palette, choices)
    if expected is not None:
        joined = {
            name: math.sqrt(part + LEAST) * expected.get(name, 0.0) for name, part in parts.items()
        }
        total = sum(joined.values())
        parts = {name: part / total for name, part in joined.items()} if total else parts
    order = sorted(parts, key=lambda name: -parts[name])
    if not order or parts[order[0]] <= 0:
        return None
    second = parts[order[1]] if len(order) > 1 else 0.0
    if expected is not None:
        return order[0], min(parts[order[0]], MOST)
    return order[0], sureness(parts[order[0]], second)


def several(palette: Palette, choices: Sequence[str]) -> list[str]:
    """The choices that name a good part of the product each, most first."""
    parts = {name: part for name, part in rated(palette, choices).items() if part > 0}
    parts = {name: part for name, part in parts.items() if words().find(name) != MULTI}
    order = sorted(parts, key=lambda name: -parts[name])
    return [name for at, name in enumerate(order) if not at or parts[name] >= LIST_SHARE]


def in_language(colour: str, told: str) -> str:
    """A basic colour in the language of what was asked."""
    return BASIC[colour].split()[0] if CJK.search(told) else colour


def sureness(best: float, second: float) -> float:
    """How likely the best choice is right, by how much more of the product it names."""
    ratio = math.log((best + LEAST) / (second + LEAST))
    return min(MOST, 1 / (1 + math.exp(-(SLOPE * ratio + TURN))))


def _goes_to(by_meaning: Mapping[str, str]) -> dict[str, str]:
    """The choice of every shade; none where no choice is a colour."""
    named = [shade for shade in shades() if {shade.name, shade.basic} & set(by_meaning)]
    if not named:
        return {}
    found = {}
    for shade in shades():
        what = next((word for word in (shade.name, shade.basic) if word in by_meaning), None)
        if what is None:
            nearest = min(named, key=lambda other: _apart(shade.lab, other.lab))
            what = nearest.name if nearest.name in by_meaning else nearest.basic
        found[shade.name] = by_meaning[what]
    return found


def _many(palette: Palette) -> float:
    """How likely a person would call it of several colours: each cluster has one name here."""
    parts: dict[str, float] = {}
    for row, share in zip(palette.names, palette.shares.tolist(), strict=True):
        basic = shades()[int(row.argmax())].basic
        parts[basic] = parts.get(basic, 0.0) + share
    large = sum(part >= EACH for part in parts.values())
    return 1 / (1 + math.exp(-(STEEP * (MANY - max(parts.values())) + 2.0 * (large - 3.5))))


def _apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    return float(np.linalg.norm(np.subtract(one, other)))
