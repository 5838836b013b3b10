"""How likely a photo is of the kinds that a checkpoint was trained on; knows no schema.

The known kinds stand in one or more worlds (photos; drawings), each on its own scale. In a world
an embedding is judged by two signs. One is the distance to the nearest kind in units of the spread
within kinds, less the distance from the middle of all in units of the whole spread (after the
relative Mahalanobis distance of Ren et al., 2021): it tells a new kind beside known ones. The other
is the part of its length that lies in the directions that the world's pictures span (after Wang et
al., ViM, 2022): it tells what is altogether different. A photo is as strange as it is to the world
that it is least strange to. `workers/training/vision/unseen.py` fits the numbers.

Shapes: B photos, E embedding, Q directions that are looked at, K centres, S spanning directions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from orchestra.core.errors import CheckpointInvalid
from workers.decoding.standing import Standing
from workers.loading.checkpoint import RESTORE

FILE = "domain.safetensors"
TENSORS = ("middle", "axes", "inner", "outer", "centres", "span", "level")
IN_BYTES = ("axes", "inner", "outer", "span")  # the large ones, as they are loaded and saved
NUMBERS = ("slope", "turn", "least")
WIDTH, SPAN = 128, 64
FOLDS = 4
LEAST_VARIANCE = 1e-4  # of a direction: pictures that are all alike must not make others infinite
LEAST_SPREAD = 1e-2  # of a sign: where all known pictures are alike in it, it must count for little


@dataclass(frozen=True, slots=True)
class World:
    """Some known kinds on one scale.

    `axes` (E, Q) are the directions that are looked at, of what is left after `middle` (E). `inner`
    and `outer` (Q, Q) give it unit spread within kinds and over all pictures; `centres` (K, Q) are
    kinds under `inner`. `span` (E, S) is what the pictures span. `level` (5) are middle and spread
    of either sign among known pictures, and where the sum of both begins to be strange.
    """

    middle: Tensor
    axes: Tensor
    inner: Tensor
    outer: Tensor
    centres: Tensor
    span: Tensor
    level: Tensor

    def signs(self, embedding_BE: Tensor) -> tuple[Tensor, Tensor]:
        """How far from all kinds, and how little within the span, (B,) each."""
        seen_BQ = (embedding_BE - self.middle) @ self.axes
        near_B = torch.cdist(seen_BQ @ self.inner, self.centres).amin(dim=1)
        far_B = near_B - (seen_BQ @ self.outer).norm(dim=1)
        return far_B, -(F.normalize(embedding_BE, dim=1) @ self.span).norm(dim=1)

    def strangeness(self, embedding_BE: Tensor) -> Tensor:
        """Both signs on the scale of known pictures, (B,); above 0 for few of those."""
        far_B, beside_B = self.signs(embedding_BE)
        far, far_spread, beside, beside_spread, limit = self.level.tolist()
        return (far_B - far) / far_spread + (beside_B - beside) / beside_spread - limit


class Domain:
    """The known kinds of one checkpoint; what is stranger than `least` likely is outside."""

    def __init__(self, worlds: Sequence[World], settings: Mapping[str, str]) -> None:
        self.worlds = list(worlds)
        self.slope, self.turn, self.least = (float(settings[name]) for name in NUMBERS)
        self.reason = settings["reason"]

    @classmethod
    def load(cls, folder: Path) -> Domain | None:
        """The domain of a checkpoint folder, or None. Raises CheckpointInvalid."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return cls(_worlds(parts), file.metadata())
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointInvalid(f"{str(path)!r} cannot be read: {error}. {RESTORE}") from error

    def save(self, folder: Path) -> None:
        """Write the file that `load` reads: bytes with a step a row for matrices, else float16."""
        tensors: dict[str, Tensor] = {}
        for number, world in enumerate(self.worlds):
            for name in TENSORS:
                part = getattr(world, name)
                if name in IN_BYTES:
                    part, tensors[f"{number}.{name}.step"] = _in_bytes(part)
                elif name != "level":
                    part = part.half()
                tensors[f"{number}.{name}"] = part.contiguous()
        settings = {name: json.dumps(getattr(self, name)) for name in NUMBERS}
        save_file(tensors, folder / FILE, {**settings, "reason": self.reason})

    def strangeness(self, embedding_BE: Tensor) -> Tensor:
        """How strange photos are to the world that they are least strange to, (B,)."""
        parts = [world.strangeness(embedding_BE.float()) for world in self.worlds]
        return torch.stack(parts).amin(dim=0)

    def likely(self, embedding_BE: Tensor) -> Tensor:
        """The probability that photos are of known kinds, (B,)."""
        return torch.sigmoid(self.slope * (self.turn - self.strangeness(embedding_BE)))

    def standings(self, embedding_BE: Tensor) -> list[Standing]:
        """Where each photo stands."""
        likely = self.likely(embedding_BE).tolist()
        return [Standing(p, self.reason if p < self.least else None) for p in likely]


def _worlds(parts: Mapping[str, Tensor]) -> list[World]:
    """The worlds of a file. One of before there were spans is a single world without."""
    if "axes" in parts:
        nothing = torch.zeros(len(parts["axes"]), 1)
        level = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0])
        old = {name: part.float() for name, part in parts.items()}
        return [World(**old, span=nothing, level=level)]
    count = 1 + max(int(name.partition(".")[0]) for name in parts)
    worlds = []
    for number in range(count):
        read = {name: parts[f"{number}.{name}"].float() for name in TENSORS}
        for name in IN_BYTES:
            read[name] *= parts[f"{number}.{name}.step"]
        worlds.append(World(**read))
    return worlds


def _in_bytes(rows_EQ: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers from -127 to 127, and what one stands for in each row, (E, 1)."""
    step_E1 = rows_EQ.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
    return (rows_EQ / step_E1).round().to(torch.int8), step_E1


def fit_world(
    known_NE: Tensor, kind_N: Tensor, held_ME: Tensor, wrongly_out: float, width: int = WIDTH
) -> World:
    """The world of pictures whose kinds are the numbers of `kind_N`.

    `held_ME` are known pictures that are not among them: `wrongly_out` of those are strange.
    """
    world = _unlevelled(known_NE, kind_N, width)
    return _levelled(world, *world.signs(held_ME), wrongly_out)


def fit_small_world(known_NE: Tensor, kind_N: Tensor, wrongly_out: float) -> World:
    """The world of few pictures: each is judged once by a world of the others."""
    width = max(1, len(known_NE) // FOLDS)
    signs = torch.zeros(2, len(known_NE))
    for fold in range(FOLDS):
        is_held = torch.arange(len(known_NE)) % FOLDS == fold
        others = _unlevelled(known_NE[~is_held], kind_N[~is_held], width)
        signs[:, is_held] = torch.stack(others.signs(known_NE[is_held]))
    return _levelled(_unlevelled(known_NE, kind_N, width), signs[0], signs[1], wrongly_out)


def _unlevelled(known_NE: Tensor, kind_N: Tensor, width: int) -> World:
    span = _axes(F.normalize(known_NE, dim=1), min(width, SPAN))
    parts = fit_tensors(known_NE, kind_N, min(width, WIDTH))
    return World(**parts, span=span, level=torch.zeros(5))


def _levelled(world: World, far_M: Tensor, beside_M: Tensor, wrongly_out: float) -> World:
    """`world` on the scale of the signs of known pictures that it was not made of."""
    level = [number for sign in (far_M, beside_M) for number in _middle_and_spread(sign)]
    both_M = (far_M - level[0]) / level[1] + (beside_M - level[2]) / level[3]
    limit = float(both_M.quantile(1 - wrongly_out))
    return World(**{**_parts(world), "level": torch.tensor([*level, limit])})


def fit_tensors(embedding_NE: Tensor, kind_N: Tensor, width: int = WIDTH) -> dict[str, Any]:
    """The tensors of the first sign."""
    middle = embedding_NE.mean(dim=0)
    left_NE = embedding_NE - middle
    spread_E = left_NE.std(dim=0) + 1e-3
    scaled_NE = left_NE / spread_E
    axes_EQ = _axes(scaled_NE, width)
    seen_NQ = scaled_NE @ axes_EQ
    centres = torch.stack([seen_NQ[kind_N == k].mean(dim=0) for k in kind_N.unique()])
    of_N = torch.searchsorted(kind_N.unique(), kind_N)
    inner_QQ = _whitener(seen_NQ - centres[of_N])
    outer_QQ = _whitener(seen_NQ)
    return {
        "middle": middle,
        "axes": axes_EQ / spread_E[:, None],
        "inner": inner_QQ,
        "outer": outer_QQ,
        "centres": centres @ inner_QQ,
    }


def _parts(world: World) -> dict[str, Tensor]:
    return {name: getattr(world, name) for name in TENSORS}


def _axes(rows_NE: Tensor, count: int) -> Tensor:
    """The `count` directions (E, count) along which rows are longest."""
    _, axes = torch.linalg.eigh(rows_NE.T @ rows_NE / len(rows_NE))
    return axes[:, -count:]


def _middle_and_spread(sign_M: Tensor) -> tuple[float, float]:
    """Of one sign among known pictures."""
    return float(sign_M.mean()), max(float(sign_M.std()), LEAST_SPREAD)


def _whitener(residual_NQ: Tensor, shrink: float = 0.3) -> Tensor:
    """(Q, Q) that gives residuals unit spread, their covariance shrunk towards a round one."""
    covariance = residual_NQ.T @ residual_NQ / len(residual_NQ)
    round_ = shrink * covariance.diagonal().mean() + LEAST_VARIANCE
    covariance += round_ * torch.eye(len(covariance))
    return torch.linalg.inv(torch.linalg.cholesky(covariance)).T
