"""Finds values in what is printed: a brand, an amount, a flavour, a choice, what a label says.

Each finder is given the lines of a page and returns the best value with the lines that it rests on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

from orchestra.core.text import measures, occurrences
from orchestra.core.values import CJK, lower
from workers.reading.lines import LEAST_LETTERS, LEAST_SCORE, PrintedLine, letters
from workers.reading.match import folded, nearness

READABLE = 0.5  # a line read less surely than this does not count even beside a known word
MARK = 0.9  # how surely a part of a logo is the brand's
STACKED = 3  # lines below each other that may be one name
NET = re.compile(r"\bnet\b|\bnetto|\be\s?$|℮|[净凈]", re.IGNORECASE)  # also as it is misread
NOT_NET = re.compile(r"\bper\b|/|%|kcal|kj|protein|fat\b|fett|sugar|salt\b|每", re.IGNORECASE)
PAIR = re.compile(r"^(.{2,30}?)\s*[:：]\s*(.+)$")
SLOGAN = re.compile(r"\bthe original\b", re.IGNORECASE)  # says who was first, not how it tastes
UNFLAVOURED = frozenset(("natural", "original", "plain", "unflavoured", "unsweetened"))
LEAST_NAME = 4  # letters of a name that is not known: three are mostly a piece of a word
LARGE = 0.6  # of the largest letters: a line of a product's name is at least so high


@dataclass(frozen=True, slots=True)
class Print:
    """A value, how surely it was found (0 to 1), and the lines that say so.

    `note` is what must be known of it.
    """

    value: Any
    sure: float
    lines: tuple[PrintedLine, ...]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What is known of packs: brands, flavours, and words that are on many and name none.

    `marks` are parts of logos that stand for a brand, as they are written.
    """

    brands: tuple[str, ...]
    flavours: tuple[str, ...]
    common: frozenset[str]
    marks: Mapping[str, str]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Words:
        """The lists of a checkpoint's `words.json`."""
        common = (*raw["common"], *raw["flavours"])
        return cls(
            tuple(dict.fromkeys(raw["brands"])),
            tuple(raw["flavours"]),
            frozenset(folded(word) for word in common),
            dict(raw["marks"]),
        )


def known_brand(lines: Sequence[PrintedLine], words: Words) -> Print | None:
    """The known brand that is printed largest, whole or in part, also over lines in a stack."""
    best: tuple[float, Print] | None = None
    for parts, text in _runs(lines):
        for brand in words.brands:
            near = nearness(text, folded(brand))
            if words.marks.get(parts[0].text.strip(" -.")) == brand:
                near = MARK
            if near == 0 or (near < 1 and _is_common(text, words)):
                continue
            sure = near * min(1.0, _mean(part.score for part in parts))
            weight = sure * max(part.height_px for part in parts) ** 0.5
            if best is None or weight > best[0]:
                best = weight, Print(brand, sure, parts)
    return None if best is None else best[1]


def largest_name(
    lines: Sequence[PrintedLine], words: Words, but: Sequence[PrintedLine] = ()
) -> Print | None:
    """The largest print that is no common word, amount or flavour: what a maker puts there."""
    named = [
        line
        for line in lines
        if line.is_believed
        and line not in but
        and not _says_nothing(line.text, words)
        and letters(line.text) >= LEAST_NAME
    ]
    if not named:
        return None
    line = max(named, key=lambda line: line.height_px * line.score)
    return Print(line.text, line.score, (line,))


def product_name(
    lines: Sequence[PrintedLine], words: Words, but: Sequence[PrintedLine] = ()
) -> Print | None:
    """The largest lines beside the brand, in their order: what the product is called."""
    kept = [
        line for line in lines if line.is_believed and line not in but and not _is_amount(line.text)
    ]
    if not kept:
        return None
    highest = max(line.height_px for line in kept)
    large = tuple(line for line in kept if line.height_px >= LARGE * highest)[:STACKED]
    return Print(" ".join(line.text for line in large), _mean(line.score for line in large), large)


def amount(lines: Sequence[PrintedLine]) -> Print | None:
    """The weight or volume: what is called net, else the largest that is no share of something."""
    best: tuple[float, Print] | None = None
    for line in lines:
        # A short line, such as "1 L", is no fragment where it is a number with its unit.
        found = measures(line.text)
        if not found or line.score < LEAST_SCORE or NOT_NET.search(line.text):
            continue
        net = 3.0 if NET.search(line.text) else 1.0
        weight = net * line.score * line.height_px
        if best is None or weight > best[0]:
            best = weight, Print(found[0], line.score, (line,))
    return None if best is None else best[1]


def flavours(lines: Sequence[PrintedLine], words: Words) -> list[Print]:
    """Flavours that are printed: lines of their own first, then the largest.

    A longer one hides those within it, and what says that there is none stands behind all others.
    """
    terms = tuple(sorted(((lower(w), w) for w in words.flavours), key=lambda pair: -len(pair[0])))
    found: dict[str, Print] = {}
    own = frozenset(folded(word) for word in words.flavours)
    for line in sorted(lines, key=lambda line: (folded(line.text) not in own, -line.height_px)):
        if line.score < READABLE or letters(line.text) < LEAST_LETTERS:
            continue
        text = SLOGAN.sub(" ", line.text)
        for said, _ in occurrences(terms, text):
            found.setdefault(lower(said), Print(said, line.score, (line,)))
        for word in _words(text):
            near = _nearest(word, words.flavours)
            if near is not None and near[1] < 1:
                found.setdefault(lower(near[0]), Print(near[0], near[1] * line.score, (line,)))
    return sorted(found.values(), key=lambda one: lower(one.value) in UNFLAVOURED)


def choice(lines: Sequence[PrintedLine], terms: Mapping[Any, tuple[str, ...]]) -> Print | None:
    """The choice whose words are printed largest."""
    listed = {lower(term): value for value, said in terms.items() for term in said if term}
    longest = tuple(sorted(((term, term) for term in listed), key=lambda pair: -len(pair[0])))
    best: tuple[float, Print] | None = None
    for line in lines:
        if line.score < READABLE:
            continue
        said = [(lower(word), 1.0) for word, _ in occurrences(longest, line.text)]
        if not said:
            near = (_nearest(word, tuple(listed)) for word in _words(line.text))
            said = [pair for pair in near if pair is not None]
        for term, how in said:
            weight = line.height_px * how * line.score
            if best is None or weight > best[0]:
                best = weight, Print(listed[term], how * line.score, (line,))
    return None if best is None else best[1]


def after_label(lines: Sequence[PrintedLine], label: str) -> Print | None:
    """What stands behind `label` and a colon, on its line or on the next."""
    for line, below in pairwise((*lines, None)):
        if line is None or not line.is_believed:
            continue
        pair = PAIR.match(line.text)
        if pair is not None and nearness(folded(pair[1]), folded(label)) > 0.7:
            return Print(pair[2].strip(), line.score, (line,))
        is_label = line.text.rstrip(" :：") != line.text
        if is_label and below is not None and folded(line.text) == folded(label):
            return Print(below.text, min(line.score, below.score), (line, below))
    return None


def _runs(lines: Sequence[PrintedLine]) -> Iterator[tuple[tuple[PrintedLine, ...], str]]:
    """Folded words, lines, and up to three lines of a stack, each with its lines."""
    readable = [line for line in lines if line.score >= READABLE]
    for line in readable:
        yield (line,), folded(line.text)
        for word in _words(line.text):
            yield (line,), folded(word)
    for first in readable:
        stack = [first]
        while len(stack) < STACKED and (below := _below(stack[-1], readable)) is not None:
            stack.append(below)
            yield tuple(stack), "".join(folded(line.text) for line in stack)


def _below(line: PrintedLine, lines: Sequence[PrintedLine]) -> PrintedLine | None:
    """The line right under another, about as high and over the same columns."""
    left, right = float(line.quad[:, 0].min()), float(line.quad[:, 0].max())
    bottom = float(line.quad[:, 1].mean())
    nearest: tuple[float, PrintedLine] | None = None
    for other in lines:
        gap = float(other.quad[:, 1].mean()) - bottom
        ratio = other.height_px / max(line.height_px, 1.0)
        across = min(right, float(other.quad[:, 0].max())) - max(
            left, float(other.quad[:, 0].min())
        )
        is_near = 0 < gap < 2.2 * max(line.height_px, other.height_px) and 0.4 < ratio < 2.5
        if other is not line and is_near and across > 0 and (nearest is None or gap < nearest[0]):
            nearest = gap, other
    return None if nearest is None else nearest[1]


def _nearest(word: str, known: Sequence[str]) -> tuple[str, float] | None:
    """The known word that a printed one is, misread by a letter; parts of words do not count."""
    seen = folded(word)
    if len(seen) < 5:
        return None
    for other in known:
        plain = folded(other)
        near = nearness(seen, plain)
        if near and abs(len(seen) - len(plain)) <= 1:
            return other, near
    return None


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;/|]+", text) if word]


def _says_nothing(text: str, words: Words) -> bool:
    return _is_amount(text) or all(
        _is_common(folded(word), words) or letters(word) < LEAST_LETTERS for word in _words(text)
    )


def _is_common(text: str, words: Words) -> bool:
    """Whether a folded word is on many packs, also in a compound or misread by a letter."""
    if text in words.common or not any(char.isalpha() for char in text):
        return True
    if CJK.search(text):
        return any(word in text for word in words.common if CJK.match(word))
    return any(
        len(word) > 4 and (text.endswith(word) or _shares(text, word)) for word in words.common
    )


def _shares(text: str, word: str) -> bool:
    """Whether most of a folded text is a piece of a longer word: the rest is hidden or misread."""
    match = SequenceMatcher(None, text, word, autojunk=False).find_longest_match()
    return nearness(text, word) >= 0.75 or match.size >= max(5, 0.6 * len(text))


def _is_amount(text: str) -> bool:
    return bool(measures(text)) or not any(char.isalpha() for char in text)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0
