"""Marks in a text where evidence of each field stands; it knows no page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from orchestra.core.job import Evidence


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a text, with the fields that rest on it."""

    text: str
    fields: tuple[str, ...] = ()


def marked(text: str, evidence: Mapping[str, Sequence[Evidence]]) -> Iterator[Stretch]:
    """`text` in parts, whole and in order; `evidence` is that of each field by name.

    Offsets count in the job's own text, which a long prompt may have cut, so a span that is not
    at its place is looked for.
    """
    spans = [
        (start, end, name)
        for name, proofs in evidence.items()
        for start, end in _spans(text, proofs)
    ]
    edges = sorted({0, len(text), *(edge for start, end, _ in spans for edge in (start, end))})
    for start, end in pairwise(edges):
        names = (name for left, right, name in spans if left <= start and end <= right)
        yield Stretch(text[start:end], tuple(dict.fromkeys(names)))


def _spans(text: str, proofs: Iterable[Evidence]) -> Iterator[tuple[int, int]]:
    for proof in proofs:
        if proof.kind != "text" or not proof.text:
            continue
        start = -1 if proof.start is None else proof.start
        if start < 0 or text[start : start + len(proof.text)] != proof.text:
            start = text.find(proof.text)
        if start >= 0:
            yield start, start + len(proof.text)
