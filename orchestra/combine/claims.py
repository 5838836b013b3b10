"""Finds what a product text may not claim: cures, superlatives; each with the reason. Pure.

The lists are the user's: `claims` of a recipe. They are no legal advice, and not complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestra.combine.context import DENIED
from orchestra.combine.ground import Unsayable
from orchestra.core.job import Evidence, Field

CLAIMS = "claims"  # the field's name
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Claims:
    """Words that claim one kind of thing, and why they are not said."""

    words: tuple[str, ...]
    reason: str
    is_reviewed: bool = True


def claims_of(text: str, lists: Sequence[Claims]) -> Field | None:
    """The claims that stand in `text`, as a field that sends the job to review; None without one.

    A claim that is denied is none: "does not cure".
    """
    found = sorted(_found(text, lists), key=lambda one: one[0])
    if not found:
        return None
    evidence = tuple(
        Evidence(kind="text", text=text[start:end], start=start, end=end) for start, end, _ in found
    )
    told = dict.fromkeys(f"{text[start:end]!r}: {one.reason}" for start, end, one in found)
    note = "; ".join(list(told)[:MOST_SHOWN])
    return Field(
        value=list(dict.fromkeys(text[start:end] for start, end, _ in found)),
        source="text",
        confidence=1.0,
        evidence=evidence,
        note=note,
        doubt=note if any(one.is_reviewed for _, _, one in found) else None,
    )


def _found(text: str, lists: Sequence[Claims]) -> Iterator[tuple[int, int, Claims]]:
    taken: list[tuple[int, int]] = []
    words = [(word, one) for one in lists for word in one.words]
    if not Unsayable(tuple(word for word, _ in words)).first(text):
        return
    for word, one in sorted(words, key=lambda pair: -len(pair[0])):
        for start, end in Unsayable((word,)).places(text):
            if any(start < other and at < end for at, other in taken):
                continue
            taken.append((start, end))
            if not DENIED.search(text[max(0, start - 12) : start]):
                yield start, end, one
