"""What sampled tokens are drawn with: a card's settings, and numbers that depend on the call.

`tensor_pick` and `array_pick` draw with them. Every row draws from a generator of its own, seeded
by the card's seed and the call itself, so the rows beside it in a batch change nothing, and the
same call draws the same numbers again. Nucleus sampling is from Holtzman et al. 2020, "The Curious
Case of Neural Text Degeneration".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestra.core.call import Call
from orchestra.core.card import Sampling

# Sorting a whole vocabulary at each step is slow, and a nucleus is nearly always smaller.
CANDIDATES = 1024
GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Draws:
    """One step's draws: a quantile in [0, 1) for each row."""

    sampling: Sampling
    uniform_B: Sequence[float]


def generator(sampling: Sampling, call: Call) -> np.random.Generator | None:
    """Where `call` draws from; None when its tokens are chosen greedily."""
    if not sampling.temperature:
        return None
    spoken = [[turn.role, turn.text] for turn in call.turns]
    words = [sampling.seed, call.instruction, call.text, call.schema, spoken]
    seed = hashlib.sha256(json.dumps(words, default=dict).encode())
    for image in call.images:
        seed.update(f"{image.mode}{image.size}".encode() + image.tobytes())
    return np.random.Generator(np.random.Philox(int.from_bytes(seed.digest()[:16], "little")))
