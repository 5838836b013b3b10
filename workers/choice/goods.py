"""What goods are called in Chinese and in English: Chinese names then fit English titles.

A Chinese name alone points only roughly at English titles of what it names. Where English names of
the goods lie that are called most alike in Chinese says the rest (a kernel regression, whose known
pairs `workers/training/choice/goods.yaml` lists). Shapes: G goods, K names, W numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from orchestra.core.errors import CheckpointInvalid
from workers.choice.calibration import shares
from workers.choice.names import language
from workers.choice.space import Space

Floats = NDArray[np.floating[Any]]
FILE = Path(__file__).parents[1] / "checkpoints" / "choice" / "goods.safetensors"
NEAREST, TEMPERATURE = 12, 1 / 8  # goods that are asked, and how much the nearest of them leads
LARGEST = 127
LANGUAGES = {"zh": "中文", "en": "English"}  # by a name in each: what `Space` goes by


@dataclass(frozen=True, slots=True, eq=False)
class Goods:
    """Vectors (G, W) of the goods' names in either language, in one order."""

    zh: Floats
    en: Floats

    @classmethod
    def load(cls, path: Path = FILE) -> Goods:
        """Read a file of `save`; raises CheckpointInvalid for another or a damaged one."""
        try:
            stored = load_file(path)
            return cls(*(stored[n] * stored[f"{n}.scale"].astype(np.float32) for n in LANGUAGES))
        except (OSError, ValueError, KeyError, SafetensorError) as cause:
            raise CheckpointInvalid(
                f"The names of goods {str(path)!r} cannot be read: {cause}. Restore the file from "
                "the release, or make it: python -m workers.training.choice.goods."
            ) from cause

    def save(self, path: Path) -> None:
        """Write 8-bit arrays, each row with its scale."""
        arrays: dict[str, NDArray[Any]] = {}
        for name in LANGUAGES:
            rows = getattr(self, name)
            scale = np.abs(rows).max(axis=1, keepdims=True) / LARGEST
            arrays[name] = np.rint(rows / scale).astype(np.int8)
            arrays[f"{name}.scale"] = scale.astype(np.float32)
        save_file(arrays, path)

    def pointed(self, vectors: Floats, names: Sequence[str], space: Space) -> Floats:
        """Directions (K, W), of length 1, of names with these vectors, the Chinese ones helped."""
        directions = space.of_names(vectors, names)
        own = [at for at, name in enumerate(names) if language(name) == "zh"]
        if own:
            zh, en = (
                space.of_names(getattr(self, name), [said] * len(self.zh))
                for name, said in LANGUAGES.items()
            )
            directions[own] = _unit(directions[own] + _unit(_near(directions[own] @ zh.T) @ en))
        return directions


def _near(alike: Floats) -> Floats:
    """Weights (K, G) of the goods by how `alike` they are called: of the nearest ones alone."""
    count = min(NEAREST, alike.shape[1])
    least = np.partition(alike, -count, axis=1)[:, -count, None]
    return shares(np.where(alike >= least, alike, -np.inf), TEMPERATURE)


def _unit(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
