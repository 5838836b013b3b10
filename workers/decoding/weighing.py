"""Adds up what text and image weighed in each row of a batch; knows no library that runs models.

The image's part is the length of what cross-attention added to the stream, over that plus the
length of what the same layer added from the words; a mean over layers and steps. The prompt's own
words count as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from orchestra.core.call import Reply
from workers.decoding.completion import Completion


@runtime_checkable
class Weighing(Protocol):
    """A session that knows what its rows' modalities weighed."""

    def weights(self) -> list[dict[str, float]]: ...


class Shares:
    """The image's part in each row's answer, step by step."""

    def __init__(self, rows: int) -> None:
        self._rows = list(range(rows))
        self._total = [0.0] * rows
        self._steps = [0] * rows

    def add(self, blocks: Sequence[Sequence[int]], share_B: Sequence[float]) -> None:
        """One step: the image's part of each row that was fed, by its place in the batch."""
        for row, block, share in zip(self._rows, blocks, share_B, strict=True):
            if block:
                self._total[row] += share
                self._steps[row] += 1

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with `rows` of the batch only, in that order."""
        self._rows = [self._rows[row] for row in rows]

    def weights(self) -> list[dict[str, float]]:
        """The part of each modality in every row that there ever was, together 1."""
        parts = [total / (n or 1) for total, n in zip(self._total, self._steps, strict=True)]
        return [{"text": 1 - part, "image": part} for part in parts]


def note_weights(answers: Sequence[Completion], session: Weighing) -> None:
    """Write into each reply what its modalities weighed."""
    for answer, weights in zip(answers, session.weights(), strict=True):
        if isinstance(answer.outcome, Reply):
            answer.outcome = replace(answer.outcome, modality_weights=weights)
