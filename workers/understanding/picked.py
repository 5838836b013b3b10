"""Picks the value of a leaf among the spans that were found for it, or says that none is stated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestra.core.text import occurrences
from orchestra.core.values import lower
from workers.decoding.shape import ValueShape
from workers.extraction.reader import Found
from workers.extraction.words import Span
from workers.understanding.amounts import amount


@dataclass(frozen=True, slots=True)
class Pick:
    """A value with its probability and the characters that it was read off; None: not stated.

    The probability of what is not stated is that it is not.
    """

    value: Any
    probability: float
    span: Span | None = None


def pick(text: str, found: Found, shape: ValueShape, asked: str, least: float) -> Pick:
    """The likeliest value of `shape` where it is at least as likely as `least`."""
    best = max(candidates(text, found, shape, asked), key=_order, default=None)
    if best is None:
        return Pick(None, max(found.absent, 0.0))
    return best if best.probability >= least else Pick(None, 1.0 - best.probability)


def picks(text: str, found: Found, shape: ValueShape, asked: str, least: float) -> list[Pick]:
    """Every value of a list, in the order of the text.

    A span counts where it has at least `least` of what it shares with "not stated" alone: the
    values of a list share the probability of their field.
    """
    kept: list[Pick] = []
    for one in sorted(candidates(text, found, shape, asked), key=_order, reverse=True):
        share = one.probability / (one.probability + found.absent + 1e-9)
        if share >= least and not any(_overlap(one.span, other.span) for other in kept):
            kept.append(Pick(one.value, share, one.span))
    return sorted(kept, key=lambda one: one.span or (0, 0))


def candidates(text: str, found: Found, shape: ValueShape, asked: str) -> Iterable[Pick]:
    """What a leaf of `shape` may be, each value with its probability."""
    if shape.kind == "enum":
        return _named(text, found, [value for value in shape.values if isinstance(value, str)])
    if shape.kind in ("integer", "number"):
        return _counted(text, found, shape, asked)
    if shape.kind in ("span", "string"):
        return _quoted(text, found, shape)
    return ()


def _quoted(text: str, found: Found, shape: ValueShape) -> Iterable[Pick]:
    """Runs of words; those that stand in a text twice share their probability."""
    known: dict[str, Pick] = {}
    for span, share in found.pairs():
        words = text[slice(*span)]
        before = known.get(words)
        if before is not None:
            known[words] = Pick(words, before.probability + share, before.span)
        elif shape.is_within(len(words)) and _fits(words, shape.pattern):
            known[words] = Pick(words, share, span)
    return known.values()


def _fits(words: str, pattern: str | None) -> bool:
    return pattern is None or re.search(pattern, words) is not None


def _counted(text: str, found: Found, shape: ValueShape, asked: str) -> Iterable[Pick]:
    """Numbers: the spans that begin with one share their probability."""
    known: dict[float, Pick] = {}
    for span, share in found.pairs():
        words = text[slice(*span)]
        found_here = amount(words, asked, whole=shape.kind == "integer")
        if found_here is None or not shape.is_within(found_here[0]):
            continue
        value, at = found_here[0], span[0] + found_here[1]
        before = known.get(value)
        where = before.span if before else (at, span[1])
        known[value] = Pick(value, share + (before.probability if before else 0.0), where)
    return known.values()


def _named(text: str, found: Found, choices: Sequence[str]) -> Iterable[Pick]:
    """Choices whose words stand in the text, by what the spans that hold them have.

    Their probability is beside "not stated" alone: other spans are no choices.
    """
    terms = sorted({(lower(word), word) for word in choices}, key=lambda t: (-len(t[0]), t))
    places = occurrences(terms, text)
    weight = {(start, start + len(words)): 0.0 for words, start in places}
    for span, share in found.pairs():
        inside = [place for place in weight if span[0] <= place[0] and place[1] <= span[1]]
        for place in inside:
            close = (place[1] - place[0]) / (span[1] - span[0])
            weight[place] += share * close / len(inside)
    by_choice: dict[str, tuple[float, Span]] = {}
    named = {lower(word): word for word in choices}
    for place, share in weight.items():
        name = named.get(lower(text[slice(*place)]))
        if name is not None:
            total, where = by_choice.get(name, (0.0, place))
            by_choice[name] = (total + share, where)
    total = sum(share for share, _ in by_choice.values()) + found.absent + 1e-9
    for name, (share, where) in by_choice.items():
        yield Pick(name, share / total, where)


def stands(text: str, choices: Sequence[str]) -> bool:
    """Whether the words of any choice stand in the text."""
    terms = sorted({(lower(word), word) for word in choices}, key=lambda t: (-len(t[0]), t))
    return bool(occurrences(terms, text))


def _order(one: Pick) -> tuple[float, int]:
    return one.probability, -(one.span or (0, 0))[0]


def _overlap(one: Span | None, other: Span | None) -> bool:
    return one is None or other is None or (one[0] < other[1] and other[0] < one[1])
