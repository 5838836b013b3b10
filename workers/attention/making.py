"""Makes the maps of a finished answer: replay, method, weights, place on the photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from orchestra.core.errors import UsageError
from orchestra.images.attention import AttentionMap, Box, Grid, TokenMap
from workers.attention.choices import ChosenToken, SpelledValue, spelled_values
from workers.attention.methods import METHODS
from workers.attention.replay import CompletionReplay
from workers.decoding.completion import Completion
from workers.vision.model import VisionModel


def maps_of(vision: VisionModel, answer: Completion, method: str) -> list[AttentionMap]:
    """One map for each value of `answer` that the model had a choice about.

    Raises UsageError for a method that is not known, or a call without exactly one photo.
    """
    if method not in METHODS:
        raise UsageError(
            f"There is no method {method!r} for attention maps (there are: {', '.join(METHODS)})."
        )
    images = answer.call.images
    if len(images) != 1:
        raise UsageError(
            f"A map is made for one photo, but the call has {len(images)}. "
            "Send one call for each photo."
        )
    values = spelled_values(answer, vision.writer.data(answer.call.text or ""))
    if not values:
        return []
    choices = [choice for value in values for choice in value.choices]
    with torch.inference_mode(False), torch.enable_grad():
        signed_CRK = METHODS[method](CompletionReplay(vision, answer, choices)).float().cpu()
    covers = vision.covers(images[0].size)
    maps, at = [], 0
    for value in values:
        end = at + len(value.choices)
        maps.append(_map(method, value, signed_CRK[at:end], covers, images[0]))
        at = end
    return maps


def _map(
    method: str, value: SpelledValue, signed_CRK: Tensor, covers: Box, photo: Image.Image
) -> AttentionMap:
    doubt_C = torch.tensor([doubt(choice) for choice in value.choices])
    whole_RK = (signed_CRK * doubt_C[:, None, None]).sum(dim=0)
    tokens = [
        TokenMap(choice.text, choice.probability, _grid(map_RK))
        for choice, map_RK in zip(value.choices, signed_CRK, strict=True)
    ]
    return AttentionMap(
        method=method,
        name=value.name,
        value=value.value,
        text=value.text,
        confidence=value.confidence,
        weights=_grid(whole_RK),
        tokens=tuple(tokens),
        covers=covers,
        size=photo.size,
        photo=photo,
    )


def doubt(choice: ChosenToken) -> float:
    """How much a choice counts: the probability of the others.

    Times the slope of its log-odds this is the slope of its log-probability, so that what goes
    without saying (a closing quote) counts next to nothing. A floor keeps a value of sure tokens.
    """
    return max(1.0 - choice.probability, 1e-6)


def _grid(signed_RK: Tensor) -> Grid:
    """What speaks for the answer, summing to 1; even where nothing does."""
    positive = signed_RK.clamp_min(0)
    total = positive.sum()
    even = torch.full_like(positive, 1.0 / positive.numel())
    shares: Sequence[Sequence[Any]] = (positive / total if total > 0 else even).tolist()
    return tuple(tuple(row) for row in shares)
