"""Sums modulo a number: the problems to train on and those kept out, and how a question asks one.

A sum is read in English, Chinese or signs, and not computed. The whole message has to be such a
question. What could be read in two ways is not read: `5 + 6 % 8` is 5 + (6 % 8) to a programmer,
so a percent sign needs the parentheses. No Gymnasium is needed here.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal

MODULUS, NUMBERS = 8, 64
KEPT_OUT, SPLIT = 0.25, 0
Problems = Literal["training", "kept out"]
Problem = tuple[int, int]
LONGEST_CHARS = 200  # a longer message is no such question, and would be slow to search
NUMBER = r"(\d{1,9})"
SUM = rf"{NUMBER}\s*(?:\+|＋|plus|加上?)\s*{NUMBER}"
GROUPED = rf"[(（]\s*{SUM}\s*[)）]"
TAKEN = r"(?:,\s*)?(?:taken\s+)?(?:modulo|mod)"
FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?:{SUM}|{GROUPED})\s*{TAKEN}\s*{NUMBER}",
        rf"(?:{SUM}|{GROUPED})\s*[(（]\s*mod\s*{NUMBER}\s*[)）]",
        rf"{GROUPED}\s*[%％]\s*{NUMBER}",
        rf"(?:the\s+)?remainder\s+(?:of|when)\s+(?:{SUM}|{GROUPED})\s*"
        rf"(?:is\s+)?(?:when\s+)?divided\s+by\s+{NUMBER}",
        rf"(?:{SUM}|{GROUPED})\s*(?:模|对)\s*{NUMBER}\s*(?:取模|取余)?",
        rf"{GROUPED}\s*除以\s*{NUMBER}\s*的?余数",
    )
)
LEAD = re.compile(
    r"^(?:(?:please\s+)?(?:what(?:\s+is|['’]s)|how\s+much\s+is|compute|calculate|tell\s+me)"
    r"|请问|请?计算)\s*[:：]?\s*",
    re.IGNORECASE,
)
TAIL = re.compile(r"\s*(?:=\s*)?(?:等于多少|等于几|是多少|是几|是)?\s*[?？.。!=]*\s*$")


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


@dataclass(frozen=True, slots=True)
class Sum:
    """`first + second modulo modulus`, as it was asked."""

    first: int
    second: int
    modulus: int


def read_sum(text: str) -> Sum | None:
    """The sum that `text` asks for, or None if it asks for anything else."""
    if len(text) > LONGEST_CHARS:
        return None
    asked = TAIL.sub("", LEAD.sub("", text.strip()))
    for form in FORMS:
        found = form.fullmatch(asked)
        if found is not None:
            first, second, modulus = (int(group) for group in found.groups() if group is not None)
            return Sum(first, second, modulus)
    return None
