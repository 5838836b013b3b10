"""Whether the model agrees with a map: deletion, insertion, and maps of weights drawn anew.

Deletion greys the picture out, the strongest places first, and insertion uncovers a grey one;
the area under the answer's probability is taken (RISE: Petsiuk, Das and Saenko, 2018). Weights
are drawn anew to see that a map depends on what was learnt (Adebayo et al., 2018).
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.parts.attention_scenes import Planted
from orchestra.images.attention import AttentionMap
from workers.attention.choices import spelled_values
from workers.attention.methods import METHODS
from workers.attention.replay import CompletionReplay
from workers.decoding.completion import Completion
from workers.engine import TransformersEngine
from workers.vision.model import VisionModel

PARTS = 10  # a tenth of the picture more at each step
CONTROL = "random order"


@dataclass(frozen=True, slots=True)
class Faith:
    """Mean areas under the curves of one method."""

    deletion: float
    insertion: float


def replay_of(engine: TransformersEngine, case: Planted) -> CompletionReplay:
    """The engine's answer to `case`, to be run again."""
    vision, answer = engine.answered(case.call)
    return _replay(vision, answer)


def _replay(vision: VisionModel, answer: Completion) -> CompletionReplay:
    (value,) = spelled_values(answer, "")
    return CompletionReplay(vision, answer, value.choices)


@torch.no_grad()
def faith(
    engine: TransformersEngine,
    cases: Sequence[Planted],
    maps: Mapping[str, Sequence[AttentionMap]],
) -> tuple[dict[str, Faith], float]:
    """Deletion and insertion of each method and of a random order; the answers' mean on grey."""
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in (*maps, CONTROL)}
    blank = []
    for at, case in enumerate(cases):
        replay = replay_of(engine, case)
        side = replay.pixels["pixel_values"].shape[-1]
        for method in curves:
            strength = _noise(at, side) if method == CONTROL else _spread(maps[method][at], side)
            kept, shown = _areas(replay, strength)
            curves[method].append((kept, shown))
        grey = torch.zeros_like(replay.pixels["pixel_values"])
        blank.append(float(_probability(replay, grey)))
    areas = {
        method: Faith(*(statistics.mean(column) for column in zip(*pairs, strict=True)))
        for method, pairs in curves.items()
    }
    return areas, statistics.mean(blank)


def _areas(replay: CompletionReplay, strength_HW: Tensor) -> tuple[float, float]:
    """The areas under deletion and insertion, by the trapezoid rule."""
    pixels = replay.pixels["pixel_values"]
    rank = strength_HW.flatten().argsort(descending=True).argsort().view_as(strength_HW)
    edges = torch.linspace(0, strength_HW.numel(), PARTS + 1)
    strongest = torch.stack([rank < edge for edge in edges])[:, None]
    deleted = _probability(replay, pixels.masked_fill(strongest, 0.0))
    inserted = _probability(replay, pixels.masked_fill(~strongest, 0.0))
    return tuple(float(torch.trapezoid(curve, dx=1 / PARTS)) for curve in (deleted, inserted))  # type: ignore[return-value]


def _probability(replay: CompletionReplay, pixels_B3HW: Tensor) -> Tensor:
    """Of the whole value, (B,)."""
    seen = replay.see_tokens({"pixel_values": pixels_B3HW})
    odds_BC, _ = replay.run(seen.tokens_of(seen.cells_BDRK))
    return odds_BC.sigmoid().prod(dim=-1)


def _spread(found: AttentionMap, side: int) -> Tensor:
    grid = torch.tensor(found.weights)[None, None]
    return F.interpolate(grid, (side, side), mode="bicubic")[0, 0]


def _noise(seed: int, side: int) -> Tensor:
    """A random order of blocks, so that it greys out areas as the maps do."""
    grid = torch.rand(1, 1, 14, 14, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(grid, (side, side), mode="bicubic")[0, 0]


def likeness(
    checkpoint: Path, cases: Sequence[Planted], maps: Mapping[str, Sequence[AttentionMap]]
) -> dict[str, float]:
    """Mean rank correlation of each method's maps with those of weights drawn anew."""
    engine = TransformersEngine.load(checkpoint, threads=torch.get_num_threads())
    true = TransformersEngine.load(checkpoint, threads=torch.get_num_threads())
    vision, _ = engine.answered(cases[0].call)
    _draw_anew(cast(Any, vision.model))
    found: dict[str, list[float]] = {method: [] for method in maps}
    for at, case in enumerate(cases):
        _, answer = true.answered(case.call)
        replay = _replay(vision, answer)  # the same answer, under other weights
        for method in maps:
            drawn = METHODS[method](replay).sum(dim=0).clamp_min(0)
            learnt = torch.tensor(maps[method][at].weights)
            found[method].append(_correlation(learnt, drawn))
    return {method: statistics.mean(values) for method, values in found.items()}


def _draw_anew(model: nn.Module) -> None:
    """Every matrix is shuffled: its values stay, and what was learnt is gone."""
    rng = random.Random(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                order = torch.Generator().manual_seed(rng.randrange(2**31))
                mixed = weight.flatten()[torch.randperm(weight.numel(), generator=order)]
                weight.copy_(mixed.view_as(weight))


def _correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's: of the ranks of two grids."""
    ranks = torch.stack([grid.flatten().argsort().argsort().float() for grid in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])
