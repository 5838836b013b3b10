"""Gives each stretch of a text to the field that it is likeliest of: words mean one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.extraction.reader import Found
from workers.extraction.words import Span
from workers.understanding.leaves import SchemaPart
from workers.understanding.picked import Pick, candidates

QUOTED = ("span", "string")


def apart(
    text: str, leaves: Sequence[SchemaPart], found: Mapping[str, Found], least: float
) -> dict[str, Pick]:
    """The value of each leaf that quotes, no two of them from the same words, likeliest first."""
    offers: list[tuple[float, int, str, Pick]] = []
    best: dict[str, float] = {}
    for order, leaf in enumerate(leaves):
        if leaf.shape.kind not in QUOTED:
            continue
        best[leaf.place] = 0.0
        for one in candidates(text, found[leaf.place], leaf.shape, leaf.asked):
            best[leaf.place] = max(best[leaf.place], one.probability)
            if one.probability >= least:
                offers.append((-one.probability, order, leaf.place, one))
    kept: dict[str, Pick] = {}
    used: list[Span] = []
    for _, _, place, one in sorted(offers, key=lambda offer: offer[:2]):
        span = one.span or (0, 0)
        if place not in kept and all(b <= span[0] or span[1] <= a for a, b in used):
            kept[place] = one
            used.append(span)
    return {
        place: kept.get(place, Pick(None, 1.0 - probability)) for place, probability in best.items()
    }
