"""How likely a photo is of the kinds that a checkpoint was trained on; knows no schema.

An embedding of the photo is compared with the centres of the known kinds: the distance to the
nearest, in units of the spread within kinds, less the distance from the middle of all, in units of
the whole spread (after the relative Mahalanobis distance of Ren et al., 2021). A logistic curve
that was fitted on kinds left out of a rehearsal turns it into a probability.

Shapes: B photos, E embedding, Q directions that are looked at, K centres.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from orchestra.errors import CheckpointInvalid
from workers.checkpoint import RESTORE
from workers.standing import Standing

FILE = "domain.safetensors"
TENSORS = ("middle", "axes", "inner", "outer", "centres")
NUMBERS = ("slope", "turn", "least")


class Domain:
    """The known kinds of one checkpoint.

    `axes` (E, Q) are the directions that are looked at, of what is left after `middle` (E). `inner`
    and `outer` (Q, Q) give it unit spread within kinds and over all photos; `centres` (K, Q) are
    kinds under `inner`. A photo whose probability is below `least` is outside, for `reason`.
    """

    def __init__(self, tensors: Mapping[str, Tensor], settings: Mapping[str, str]) -> None:
        self._parts = {name: tensors[name].float() for name in TENSORS}
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
                return cls({name: file.get_tensor(name) for name in TENSORS}, file.metadata())
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointInvalid(f"{str(path)!r} cannot be read: {error}. {RESTORE}") from error

    def save(self, folder: Path) -> None:
        """Write the file that `load` reads: float16 tensors."""
        settings = {name: json.dumps(getattr(self, name)) for name in NUMBERS}
        tensors = {name: part.half().contiguous() for name, part in self._parts.items()}
        save_file(tensors, folder / FILE, {**settings, "reason": self.reason})

    def strangeness(self, embedding_BE: Tensor) -> Tensor:
        """How far photos are from all kinds, beside how far they are from the middle, (B,)."""
        seen_BQ = (embedding_BE.float() - self._parts["middle"]) @ self._parts["axes"]
        near_B = torch.cdist(seen_BQ @ self._parts["inner"], self._parts["centres"]).amin(dim=1)
        return near_B - (seen_BQ @ self._parts["outer"]).norm(dim=1)

    def likely(self, embedding_BE: Tensor) -> Tensor:
        """The probability that photos are of known kinds, (B,)."""
        return torch.sigmoid(self.slope * (self.turn - self.strangeness(embedding_BE)))

    def standings(self, embedding_BE: Tensor) -> list[Standing]:
        """Where each photo stands."""
        likely = self.likely(embedding_BE).tolist()
        return [Standing(p, self.reason if p < self.least else None) for p in likely]


def fit_tensors(embedding_NE: Tensor, kind_N: Tensor, width: int = 128) -> dict[str, Any]:
    """The tensors of a domain whose kinds are the numbers of `kind_N`."""
    middle = embedding_NE.mean(dim=0)
    left_NE = embedding_NE - middle
    spread_E = left_NE.std(dim=0) + 1e-3
    scaled_NE = left_NE / spread_E
    _, axes = torch.linalg.eigh(scaled_NE.T @ scaled_NE / len(scaled_NE))
    axes_EQ = axes[:, -width:]
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


def _whitener(residual_NQ: Tensor, shrink: float = 0.3) -> Tensor:
    """(Q, Q) that gives residuals unit spread, their covariance shrunk towards a round one."""
    covariance = residual_NQ.T @ residual_NQ / len(residual_NQ)
    covariance += shrink * covariance.diagonal().mean() * torch.eye(len(covariance))
    return torch.linalg.inv(torch.linalg.cholesky(covariance)).T
