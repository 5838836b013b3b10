"""Picks tokens from logits that are torch tensors, greedily or by temperature and nucleus (top-p).

`array_pick` does the same with numpy. It knows no model and no schema.

Shapes: B rows, V vocabulary, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orchestra.core.card import Sampling
from workers.decoding.sampling import CANDIDATES, Draws


def pick(
    logits_BV: Tensor, allowed_BV: NDArray[np.bool_], draws: Draws | None
) -> tuple[list[int], list[float]]:
    """Each row's next token, and its probability among the allowed ones at temperature 1."""
    allowed = torch.from_numpy(allowed_BV).to(logits_BV.device)
    logits_BV = logits_BV.masked_fill(~allowed, -torch.inf)
    top_B, token_B = logits_BV.max(dim=-1)
    if draws is not None:
        token_B = draw(logits_BV, draws.sampling, draws.uniform_B)
        top_B = logits_BV.gather(-1, token_B[:, None])[:, 0]
    probability_B = (top_B - logits_BV.logsumexp(dim=-1)).exp()
    return token_B.tolist(), probability_B.tolist()


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
