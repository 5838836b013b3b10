"""How near a printed word is to a known one: letters are hidden, bent or misread; pure."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

LEAST_FUZZY = 4  # letters of a word that may differ in one
LEAST_PART = 4  # letters that stand for a word of which the rest is hidden
PART = 0.6  # the share of the word that they are


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """Letters and digits alone, without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if char.isalnum())


def nearness(seen: str, known: str) -> float:
    """How surely the folded `seen` is the folded `known`, 0 to 1; 0 where it may be anything.

    One letter of four to seven may differ, two of more; the first and last four or more letters,
    if they are most of the word, stand for it.
    """
    if seen == known:
        return 1.0
    if len(known) >= LEAST_FUZZY and known.isascii():
        allowed = 1 if len(known) < 8 else 2
        wrong = distance(seen, known, allowed)
        if wrong <= allowed and (len(known) > LEAST_FUZZY or seen[:1] == known[:1]):
            return 1.0 - 1.2 * wrong / len(known)
    is_most = max(LEAST_PART, PART * len(known)) <= len(seen) < len(known)
    if is_most and (known.startswith(seen) or known.endswith(seen)):
        return len(seen) / len(known)
    return 0.0


def distance(left: str, right: str, most: int) -> int:
    """Letters to change, add or leave out between two words; `most` + 1 for anything more."""
    if abs(len(left) - len(right)) > most:
        return most + 1
    above = list(range(len(right) + 1))
    for row, char in enumerate(left, 1):
        line = [row]
        for column, other in enumerate(right, 1):
            change = above[column - 1] + (char != other)
            line.append(min(change, above[column] + 1, line[-1] + 1))
        if min(line) > most:
            return most + 1
        above = line
    return above[-1]
