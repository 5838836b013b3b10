"""Which rows say the same by their text, and which differ only in size or colour; it reads no row.

A row is compared with earlier ones as it comes: with those of the same words, with those of the
same words but for sizes and colours, and with those that share most words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestra.batch.duplicates.minhash import Bands
from orchestra.batch.duplicates.tokens import ProductWords, difference, shared

LEAST_ALIKE = 0.8  # of words, for texts to say the same
MOST_VARIANTS = 20  # of a product, that a row is compared with


@dataclass(frozen=True, slots=True)
class Likeness:
    """A row that is a `duplicate` or a `variant` of an earlier one, why, and how alike (0 to 1)."""

    kind: str
    row: int
    like: int
    why: str
    alike: float


class KnownTexts:
    """The texts seen so far."""

    def __init__(self) -> None:
        self._by_all: dict[bytes, int] = {}
        self._by_plain: dict[bytes, list[int]] = {}
        self._tokens: dict[int, ProductWords] = {}
        self._bands = Bands()

    def of(self, row: int) -> ProductWords | None:
        """The words of a row; None where it has none."""
        return self._tokens.get(row)

    def add(self, row: int, tokens: ProductWords) -> Iterator[Likeness]:
        """What the next row is of earlier ones. A text without words is of none."""
        if not tokens.all:
            return
        self._tokens[row] = tokens
        same = self._by_all.setdefault(tokens.all.tobytes(), row)
        if same != row:
            yield Likeness("duplicate", row, same, "same text", 1.0)
            return
        plain = tokens.plain
        if not plain:
            return
        known = self._by_plain.setdefault(repr(plain).encode(), [])
        known.append(row)
        if len(known) > 1:
            alike = difference(tokens, self._tokens[known[0]]).alike
            yield Likeness("variant", row, known[0], "same text but for sizes or colours", alike)
            return
        signature = self._bands.signature(plain)
        yield from self._nearly(row, tokens, self._bands.met(signature))
        self._bands.add(row, signature)

    def _nearly(self, row: int, tokens: ProductWords, met: list[int]) -> Iterator[Likeness]:
        """The most alike of the rows that were met, and of their variants."""
        best: dict[str, Likeness] = {}
        for first in met:
            others = self._by_plain.get(repr(self._tokens[first].plain).encode(), [first])
            for other in others[:MOST_VARIANTS]:
                link = self._link(row, tokens, other)
                if link is not None and link.alike > getattr(best.get(link.kind), "alike", 0.0):
                    best[link.kind] = link
        yield from best.values()

    def _link(self, row: int, tokens: ProductWords, other: int) -> Likeness | None:
        if shared(tokens, self._tokens[other]) < LEAST_ALIKE:  # most are, and need no closer look
            return None
        apart = difference(tokens, self._tokens[other])
        if apart.numbered or apart.renamed:
            return None
        if apart.varies:
            why = "nearly the same text, other sizes or colours"
            return Likeness("variant", row, other, why, apart.alike)
        return Likeness("duplicate", row, other, "nearly the same text", apart.alike)
