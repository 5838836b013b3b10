"""The problems of the environment of sums, parted into those to train on and those kept out.

It knows no environment, so what asks kept-out problems needs no Gymnasium.
"""

from __future__ import annotations

import random
from typing import Literal

MODULUS, NUMBERS = 8, 64
KEPT_OUT, SPLIT = 0.25, 0
Problems = Literal["training", "kept out"]
Problem = tuple[int, int]


def split_problems(
    numbers: int = NUMBERS, kept_out: float = KEPT_OUT, split: int = SPLIT
) -> dict[Problems, list[Problem]]:
    """All pairs of numbers under `numbers`, parted by the seed `split`.

    A pair and its mirror image (5 + 6, 6 + 5) are always on the same side: otherwise a policy
    that only learnt that order does not matter would know half of what is kept out.
    """
    pairs = [(a, b) for a in range(numbers) for b in range(a, numbers)]
    random.Random(split).shuffle(pairs)
    count = round(len(pairs) * kept_out)
    return {"training": _both_ways(pairs[count:]), "kept out": _both_ways(pairs[:count])}


def _both_ways(pairs: list[Problem]) -> list[Problem]:
    return sorted({*pairs, *((b, a) for a, b in pairs)})
