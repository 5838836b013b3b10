"""Draws tokens by temperature and nucleus (top-p); knows no model and no schema.

Every row draws from a generator of its own, seeded by the card's seed and the call itself, so
the rows beside it in a batch change nothing, and the same call draws the same numbers again.
Nucleus sampling is from Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration".

Shapes: B rows, V vocabulary, K candidates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from orchestra.clients.engine import Call
from orchestra.fleet.card import Sampling

# Sorting a whole vocabulary at each step is slow, and a nucleus is nearly always smaller.
CANDIDATES = 1024
GREEDY = Sampling()


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


def draw(logits_BV: Tensor, sampling: Sampling, uniform_B: Sequence[float]) -> Tensor:
    """Token ids (B,) at the quantiles `uniform_B` (each in [0, 1)) of the tempered logits.

    Tokens that are not allowed have logits of minus infinity.
    """
    probability_BV = torch.softmax(logits_BV.double() / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        candidates = min(CANDIDATES, probability_BV.shape[1])
        kept_BK, token_BK = probability_BV.topk(candidates, dim=-1)
        if bool((kept_BK.sum(-1) < sampling.top_p).any()):
            kept_BK, token_BK = probability_BV.sort(dim=-1, descending=True)
        before_BK = kept_BK.cumsum(-1) - kept_BK
        kept_BK = kept_BK.masked_fill(before_BK >= sampling.top_p, 0.0)
    else:
        kept_BK, token_BK = probability_BV, None
    mass_BK = kept_BK.cumsum(-1)
    uniform_B1 = torch.tensor(uniform_B, dtype=mass_BK.dtype, device=mass_BK.device)[:, None]
    # The first place whose mass is over the quantile; such a place has a probability above zero.
    at_B1 = torch.searchsorted(mass_BK, uniform_B1 * mass_BK[:, -1:], right=True)
    at_B1 = torch.minimum(at_B1, (mass_BK < mass_BK[:, -1:]).sum(-1, keepdim=True))
    return (at_B1 if token_BK is None else token_BK.gather(-1, at_B1)).squeeze(-1)
