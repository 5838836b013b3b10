"""Picks tokens from logits that are numpy arrays, greedily or by temperature and nucleus (top-p).

`tensor_pick` does the same with torch. It knows no model and no schema.

Shapes: B rows, V vocabulary, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestra.core.card import Sampling
from workers.decoding.sampling import Draws


def pick(
    logits_BV: NDArray[np.float32], allowed_BV: NDArray[np.bool_], draws: Draws | None
) -> tuple[list[int], list[float]]:
    """Each row's next token, and its probability among the allowed ones at temperature 1."""
    logits_BV = np.where(allowed_BV, logits_BV, np.float32(-np.inf))
    token_B = logits_BV.argmax(axis=-1)
    rows_B = np.arange(len(token_B))
    top_B = logits_BV[rows_B, token_B]
    mass_B = np.exp(logits_BV - top_B[:, None]).sum(axis=-1)
    if draws is None:
        return token_B.tolist(), (1 / mass_B).tolist()
    drawn_B = draw(logits_BV, draws.sampling, draws.uniform_B)
    return drawn_B.tolist(), (np.exp(logits_BV[rows_B, drawn_B] - top_B) / mass_B).tolist()


def draw(
    logits_BV: NDArray[np.float32], sampling: Sampling, uniform_B: Sequence[float]
) -> NDArray[np.int64]:
    """Token ids (B,) at the quantiles `uniform_B` (each in [0, 1)) of the tempered logits.

    Tokens that are not allowed have logits of minus infinity.
    """
    tempered_BV = logits_BV.astype(np.float64) / sampling.temperature
    probability_BV = np.exp(tempered_BV - tempered_BV.max(axis=-1, keepdims=True))
    probability_BV /= probability_BV.sum(axis=-1, keepdims=True)
    kept_BK, token_BK = probability_BV, None
    if sampling.top_p < 1:
        token_BK = np.argsort(-probability_BV, axis=-1, kind="stable")
        kept_BK = np.take_along_axis(probability_BV, token_BK, axis=-1)
        before_BK = kept_BK.cumsum(axis=-1) - kept_BK
        kept_BK = np.where(before_BK >= sampling.top_p, 0.0, kept_BK)
    mass_BK = kept_BK.cumsum(axis=-1)
    quantile_B1 = np.array(uniform_B)[:, None] * mass_BK[:, -1:]
    # The first place whose mass is over the quantile; such a place has a probability above zero.
    at_B1 = (mass_BK <= quantile_B1).sum(axis=-1, keepdims=True)
    at_B1 = np.minimum(at_B1, (mass_BK < mass_BK[:, -1:]).sum(axis=-1, keepdims=True))
    found_B1 = at_B1 if token_BK is None else np.take_along_axis(token_BK, at_B1, axis=-1)
    return found_B1[:, 0]
