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

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from orchestra.core.errors import CheckpointInvalid
from workers.decoding.standing import Standing
from workers.loading.checkpoint import RESTORE
from workers.loading.parts import located

FILE = "domain.safetensors"
TENSORS = ("middle", "axes", "inner", "outer", "centres", "span", "level")
IN_BYTES = ("axes", "inner", "outer", "span")  # the large ones, as they are loaded and saved
NUMBERS = ("slope", "turn", "least")
WIDTH, SPAN = 128, 64
FOLDS = 4
# Of a product of `WIDTH` columns: OpenBLAS begins to share out above 2^18 multiplications.
PART_ROWS, PART_DEPTH = 16, 128
LEAST_VARIANCE = 1e-4  # of a direction: pictures that are all alike must not make others infinite
LEAST_SPREAD = 1e-2  # of a sign: where all known pictures are alike in it, it must count for little
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class World:
    """Some known kinds on one scale.

    `axes` (E, Q) are the directions that are looked at, of what is left after `middle` (E). `inner`
    and `outer` (Q, Q) give it unit spread within kinds and over all pictures; `centres` (K, Q) are
    kinds under `inner`. `span` (E, S) is what the pictures span. `level` (5) are middle and spread
    of either sign among known pictures, and where the sum of both begins to be strange.
    """

    middle: Array
    axes: Array
    inner: Array
    outer: Array
    centres: Array
    span: Array
    level: Array

    def signs(self, embedding_BE: Array) -> tuple[Array, Array]:
        """How far from all kinds, and how little within the span, (B,) each."""
        seen_BQ = _floats(_product(embedding_BE - self.middle, self.axes))
        near_B = _distances(seen_BQ @ self.inner, self.centres).min(axis=1)
        far_B = near_B - np.linalg.norm(seen_BQ @ self.outer, axis=1)
        return far_B, -np.linalg.norm(_product(_directions(embedding_BE), self.span), axis=1)

    def strangeness(self, embedding_BE: Array) -> Array:
        """Both signs on the scale of known pictures, (B,); above 0 for few of those."""
        far_B, beside_B = self.signs(_floats(embedding_BE))
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
        path = located(folder, FILE)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="np") as file:
                parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return cls(_worlds(parts), file.metadata())
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointInvalid(f"{str(path)!r} cannot be read: {error}. {RESTORE}") from error

    def save(self, folder: Path) -> None:
        """Write the file that `load` reads: bytes with a step a row for matrices, else float16."""
        tensors: dict[str, NDArray[Any]] = {}
        for number, world in enumerate(self.worlds):
            for name in TENSORS:
                part = getattr(world, name)
                if name in IN_BYTES:
                    part, tensors[f"{number}.{name}.step"] = _in_bytes(part)
                elif name != "level":
                    part = part.astype(np.float16)
                tensors[f"{number}.{name}"] = np.ascontiguousarray(part)
        settings = {name: json.dumps(getattr(self, name)) for name in NUMBERS}
        save_file(tensors, folder / FILE, {**settings, "reason": self.reason})

    def strangeness(self, embedding_BE: ArrayLike) -> Array:
        """How strange photos are to the world that they are least strange to, (B,)."""
        seen_BE = _floats(embedding_BE)
        return np.stack([world.strangeness(seen_BE) for world in self.worlds]).min(axis=0)

    def likely(self, embedding_BE: ArrayLike) -> Array:
        """The probability that photos are of known kinds, (B,)."""
        return self._likely(self.strangeness(embedding_BE))

    def _likely(self, strangeness_B: Array) -> Array:
        with np.errstate(over="ignore"):  # a photo of another world altogether
            odds_B = np.exp(-self.slope * (self.turn - strangeness_B))
            return _floats(1 / (1 + odds_B))

    def standings(self, embedding_BE: ArrayLike) -> list[Standing]:
        """Where each photo stands."""
        seen_BE = _floats(embedding_BE)
        apart = np.stack([world.strangeness(seen_BE) for world in self.worlds])
        nearest = apart.argmin(axis=0).tolist()
        likely = self._likely(apart.min(axis=0)).tolist()
        return [
            Standing(p, self.reason if p < self.least else None, world)
            for p, world in zip(likely, nearest, strict=True)
        ]


def _worlds(parts: Mapping[str, NDArray[Any]]) -> list[World]:
    """The worlds of a file. One of before there were spans is a single world without."""
    if "axes" in parts:
        nothing = np.zeros((len(parts["axes"]), 1), np.float32)
        level = _floats([0.0, 1.0, 0.0, 1.0, 0.0])
        old = {name: _floats(part) for name, part in parts.items()}
        return [World(**old, span=nothing, level=level)]
    count = 1 + max(int(name.partition(".")[0]) for name in parts)
    worlds = []
    for number in range(count):
        read = {name: _floats(parts[f"{number}.{name}"]) for name in TENSORS}
        for name in IN_BYTES:
            read[name] = read[name] * parts[f"{number}.{name}.step"]
        worlds.append(World(**read))
    return worlds


def _in_bytes(rows_EQ: Array) -> tuple[NDArray[np.int8], Array]:
    """Whole numbers from -127 to 127, and what one stands for in each row, (E, 1)."""
    step_E1 = np.maximum(np.abs(rows_EQ).max(axis=1, keepdims=True), 1e-12) / np.float32(127)
    return np.round(rows_EQ / step_E1).astype(np.int8), step_E1


def fit_world(
    known_NE: ArrayLike,
    kind_N: ArrayLike,
    held_ME: ArrayLike,
    wrongly_out: float,
    width: int = WIDTH,
) -> World:
    """The world of pictures whose kinds are the numbers of `kind_N`.

    `held_ME` are known pictures that are not among them: `wrongly_out` of those are strange.
    """
    world = _unlevelled(_floats(known_NE), np.asarray(kind_N), width)
    return _levelled(world, *world.signs(_floats(held_ME)), wrongly_out)


def fit_small_world(known_NE: ArrayLike, kind_N: ArrayLike, wrongly_out: float) -> World:
    """The world of few pictures: each is judged once by a world of the others."""
    seen_NE, of_N = _floats(known_NE), np.asarray(kind_N)
    width = max(1, len(seen_NE) // FOLDS)
    signs = np.zeros((2, len(seen_NE)), np.float32)
    for fold in range(FOLDS):
        is_held = np.arange(len(seen_NE)) % FOLDS == fold
        others = _unlevelled(seen_NE[~is_held], of_N[~is_held], width)
        signs[:, is_held] = np.stack(others.signs(seen_NE[is_held]))
    return _levelled(_unlevelled(seen_NE, of_N, width), signs[0], signs[1], wrongly_out)


def _unlevelled(known_NE: Array, kind_N: NDArray[Any], width: int) -> World:
    span = _axes(_directions(known_NE), min(width, SPAN))
    parts = fit_tensors(known_NE, kind_N, min(width, WIDTH))
    return World(**parts, span=span, level=np.zeros(5, np.float32))


def _levelled(world: World, far_M: Array, beside_M: Array, wrongly_out: float) -> World:
    """`world` on the scale of the signs of known pictures that it was not made of."""
    level = [number for sign in (far_M, beside_M) for number in _middle_and_spread(sign)]
    both_M = (far_M - level[0]) / level[1] + (beside_M - level[2]) / level[3]
    limit = float(np.quantile(both_M, 1 - wrongly_out))
    return World(**{**_parts(world), "level": _floats([*level, limit])})


def fit_tensors(embedding_NE: ArrayLike, kind_N: ArrayLike, width: int = WIDTH) -> dict[str, Any]:
    """The tensors of the first sign."""
    seen_NE = _floats(embedding_NE)
    middle = seen_NE.mean(axis=0)
    left_NE = seen_NE - middle
    spread_E = left_NE.std(axis=0, ddof=1) + np.float32(1e-3)
    scaled_NE = left_NE / spread_E
    axes_EQ = _axes(scaled_NE, width)
    seen_NQ = scaled_NE @ axes_EQ
    kinds, of_N = np.unique(np.asarray(kind_N), return_inverse=True)
    centres = np.stack([seen_NQ[of_N == at].mean(axis=0) for at in range(len(kinds))])
    inner_QQ = _whitener(seen_NQ - centres[of_N])
    outer_QQ = _whitener(seen_NQ)
    return {
        "middle": middle,
        "axes": axes_EQ / spread_E[:, None],
        "inner": inner_QQ,
        "outer": outer_QQ,
        "centres": centres @ inner_QQ,
    }


def _parts(world: World) -> dict[str, Array]:
    return {name: getattr(world, name) for name in TENSORS}


def _floats(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float32)


def _directions(rows_NE: Array) -> Array:
    """Each row at length 1."""
    return rows_NE / np.maximum(np.linalg.norm(rows_NE, axis=1, keepdims=True), 1e-12)


def _product(rows_BE: Array, axes_EQ: Array) -> Array:
    """`rows_BE @ axes_EQ`, in parts so small that BLAS works them out in this thread.

    It would share a larger one out among threads, which wait for each other: where other models
    work on the same cores that takes a hundred times as long as the product itself.
    """
    total_BQ = np.zeros((len(rows_BE), axes_EQ.shape[1]), np.float32)
    for row in range(0, len(rows_BE), PART_ROWS):
        here = slice(row, row + PART_ROWS)
        for at in range(0, len(axes_EQ), PART_DEPTH):
            part = slice(at, at + PART_DEPTH)
            total_BQ[here] += rows_BE[here, part] @ axes_EQ[part]
    return total_BQ


def _distances(rows_BQ: NDArray[Any], centres_KQ: Array) -> Array:
    """How far each row is from each centre, (B, K); what `np.linalg.norm` gives, in one place."""
    apart_BKQ = rows_BQ[:, None] - centres_KQ[None]
    apart_BKQ *= apart_BKQ
    return np.sqrt(np.add.reduce(apart_BKQ, axis=2))


def _axes(rows_NE: Array, count: int) -> Array:
    """The `count` directions (E, count) along which rows are longest."""
    _, axes = np.linalg.eigh(rows_NE.T @ rows_NE / len(rows_NE))
    return axes[:, -count:]


def _middle_and_spread(sign_M: Array) -> tuple[float, float]:
    """Of one sign among known pictures."""
    return float(sign_M.mean()), max(float(sign_M.std(ddof=1)), LEAST_SPREAD)


def _whitener(residual_NQ: Array, shrink: float = 0.3) -> Array:
    """(Q, Q) that gives residuals unit spread, their covariance shrunk towards a round one."""
    covariance = residual_NQ.T @ residual_NQ / len(residual_NQ)
    round_ = shrink * covariance.diagonal().mean() + LEAST_VARIANCE
    covariance = covariance + _floats(round_ * np.eye(len(covariance)))
    return np.linalg.inv(np.linalg.cholesky(covariance)).T
