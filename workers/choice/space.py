"""Where texts and names lie for a chooser: as offsets from what texts of their language have alike.

An encoder's vectors share a large part (multilingual-e5's lie within cosine .75 of each other);
what tells texts apart is the offset from their mean. Directions along which texts of one category
differ count for less (after Fisher's discriminant). Shapes: N texts, K names, W numbers of a
vector, D directions, L languages. `workers/training/choice/fit.py` fits the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from orchestra.core.errors import CheckpointInvalid
from workers.choice.names import language

Floats = NDArray[np.floating[Any]]
FILE = Path(__file__).parents[1] / "checkpoints" / "choice" / "choice.safetensors"
LANGUAGES = ("en", "zh")
TENSORS = ("texts", "names", "within", "kept")


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """`texts` and `names` (L, W) are the means of either; `within` (W, D) are directions within
    categories, of which the share `kept` (D) counts; `length` is a text's usual offset."""

    texts: Floats
    names: Floats
    within: Floats
    kept: Floats
    length: float

    @classmethod
    def load(cls, path: Path = FILE) -> Space:
        """Read a file of `save`; raises CheckpointInvalid for another or a damaged one."""
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name).astype(np.float32) for name in TENSORS}
                length = float(file.get_tensor("length").reshape(-1)[0])
        except (OSError, SafetensorError, KeyError) as cause:
            raise CheckpointInvalid(
                f"The chooser's file {str(path)!r} cannot be read: {cause}. Restore it from the "
                "release, or make it: python -m workers.training.choice.fit."
            ) from cause
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise CheckpointInvalid(f"{str(path)!r} holds numbers that are not finite. Restore it.")
        return cls(**arrays, length=length)

    def save(self, path: Path) -> None:
        """Write half-precision arrays."""
        arrays = {name: getattr(self, name).astype(np.float16) for name in TENSORS}
        save_file({**arrays, "length": np.array([self.length], np.float32)}, path)

    def of_texts(self, vectors: Floats, texts: Sequence[str]) -> Floats:
        """Places (N, W) of texts, in units of a text's usual offset."""
        return self._narrowed(vectors - self.texts[_rows(texts)]) / self.length

    def of_names(self, vectors: Floats, names: Sequence[str]) -> Floats:
        """Directions (K, W), of length 1, in which texts of these names are expected."""
        away = self._narrowed(vectors - self.names[_rows(names)])
        return away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)

    def _narrowed(self, away: Floats) -> Floats:
        return away - ((away @ self.within) * (1 - self.kept)) @ self.within.T


def _rows(texts: Sequence[str]) -> list[int]:
    return [LANGUAGES.index(language(text)) for text in texts]
