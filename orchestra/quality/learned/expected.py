"""What a model is expected to score on one text: what a plan needs of all that was learnt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """`model` at `node`, asked in the wording `prompt`, answers the text well with the probability
    `share`, in the 95% interval `low` to `high`, as `rows` labelled texts tell."""

    node: str
    prompt: str
    model: str
    share: float
    low: float
    high: float
    rows: int


Expectations = tuple[Expected, ...]
