"""Reads texts by what a policy learnt of its nodes, and remembers what came of the last ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from orchestra.quality.learned.expected import Expectations
from orchestra.quality.policy import Policy
from orchestra.quality.texts import NamedEncoder

KEPT = 4096
FindEncoder = Callable[[str], NamedEncoder | None]


class TextReader:
    """Says how well each model is expected to answer a text, node by node."""

    def __init__(self, policy: Policy | None, find_encoder: FindEncoder) -> None:
        self._learned = () if policy is None else policy.routing
        self._vectors = {
            name: encoder.vectors
            for name in {one.encoder for one in self._learned}
            if (encoder := find_encoder(name)) is not None
        }
        self.of = lru_cache(maxsize=KEPT)(self._of)

    def _of(self, text: str) -> Expectations:
        (expected,) = self.of_all([text])
        return expected

    @property
    def expect(self) -> Callable[[Sequence[str]], list[Expectations]] | None:
        """`of_all`, where there is anything to expect."""
        return self.of_all if self._learned else None

    def of_all(self, texts: Sequence[str]) -> list[Expectations]:
        """What is expected of each of many texts, which are read together."""
        found: list[Expectations] = [()] * len(texts)
        for one in self._learned:
            own = one.expected(texts, self._vectors.get(one.encoder))
            found = [before + more for before, more in zip(found, own, strict=True)]
        return found
