"""How sure a choice is: scores to probabilities, and to the probability that no name fits.

A temperature for the names among each other (Guo et al. 2017), and a logistic function of how
well the best one fits. Both are fitted apart for names alone and for names with known texts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from orchestra.core.errors import CheckpointInvalid

Floats = NDArray[np.floating[Any]]
FILE = Path(__file__).parents[1] / "checkpoints" / "choice" / "calibration.json"
Kind = Literal["named", "taught"]


class Numbers(BaseModel):
    """Of one kind of head: `temperature`, weight of `spoken` names, and weights of `signs`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float
    spoken: float
    bias: float
    signs: tuple[float, float, float]


class ChoiceCalibration(BaseModel):
    """The numbers of each kind of head, and the temperature of names that a table settled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    named: Numbers
    taught: Numbers
    settled: float

    @classmethod
    def load(cls, path: Path = FILE) -> ChoiceCalibration:
        """Read the file; raises CheckpointInvalid where it is missing or another."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, ValidationError) as cause:
            raise CheckpointInvalid(
                f"The chooser's numbers {str(path)!r} cannot be read: {cause}. Restore the file "
                "from the release."
            ) from cause

    def save(self, path: Path) -> None:
        """Write the file."""
        text = json.dumps(self.model_dump(), indent=2)
        path.write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Signs of how well the best name fits (N each): see `signs`."""

    best: Floats
    near: Floats
    ahead: Floats


def signs(scores: Floats, places: Floats) -> Fit:
    """The best score, less the text's own distance from the middle, and less the other scores."""
    best = scores.max(axis=1)
    others = (scores.sum(axis=1) - best) / max(1, scores.shape[1] - 1)
    return Fit(best, best - (places**2).sum(axis=1), best - others)


def shares(scores: Floats, temperature: float) -> Floats:
    """Probabilities (N, K) of the names, if one of them is right."""
    scaled = (scores - scores.max(axis=1, keepdims=True)) / temperature
    weights = np.exp(scaled)
    return weights / weights.sum(axis=1, keepdims=True)


def fitting(fit: Fit, numbers: Numbers) -> Floats:
    """The probability (N,) that one of the names is right."""
    best, near, ahead = numbers.signs
    logit = numbers.bias + best * fit.best + near * fit.near + ahead * fit.ahead
    return (1 / (1 + np.exp(-np.clip(logit, -30, 30)))).astype(np.float32)
