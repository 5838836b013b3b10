"""Sets of names that need no wordings: positive and negative, in any words and language.

What makes a review good is not that it is near the word "positive": for such sets a linear head
on the encoder's vector was trained (`workers/training/choice/sentiment.py`). Shapes: N texts, C
classes of a set, K names, W numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from orchestra.core.errors import CheckpointInvalid
from orchestra.core.files.yaml_file import load_yaml
from workers.choice.calibration import shares
from workers.choice.names import same

Floats = NDArray[np.floating[Any]]
SETS = Path(__file__).parent / "known_sets.yaml"
STORED = ("slopes", "offsets")
FOLDER = Path(__file__).parents[1] / "checkpoints" / "choice"


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead:
    """A linear head of a set's classes: `slopes` (W, C), `offsets` (C), and which are asked for."""

    slopes: Floats
    offsets: Floats
    asked: tuple[int, ...] | None = None

    @classmethod
    def load(cls, path: Path) -> TrainedHead:
        """Read a file of `save`; raises CheckpointInvalid for a missing or damaged one."""
        try:
            with safe_open(path, framework="numpy") as file:
                return cls(*(file.get_tensor(n).astype(np.float32) for n in STORED))
        except (OSError, SafetensorError) as cause:
            raise CheckpointInvalid(
                f"The trained head {str(path)!r} cannot be read: {cause}. Restore it from the "
                "release."
            ) from cause

    def save(self, path: Path) -> None:
        """Write half-precision arrays."""
        save_file({n: getattr(self, n).astype(np.float16) for n in STORED}, path)

    def of(self, classes: Sequence[int]) -> TrainedHead:
        """The head that is asked for some classes, in their order."""
        return replace(self, asked=tuple(classes))

    def shares(self, vectors: Floats) -> Floats:
        """Probabilities (N, K); a text of a class that is not asked for has little of each.

        So a plain statement is neither positive nor negative, whether neutral is a name or not.
        """
        found = shares(vectors @ self.slopes + self.offsets, 1.0)
        return found if self.asked is None else found[:, list(self.asked)]


@lru_cache(maxsize=512)
def recognised(names: tuple[str, ...]) -> tuple[str, tuple[int, ...]] | None:
    """The set that all of `names` belong to and the class of each; None where they form none."""
    for title, classes in _sets().items():
        found = tuple(classes.get(same(name), -1) for name in names)
        if len(names) > 1 and min(found) >= 0 and len(set(found)) == len(found):
            return title, found
    return None


@lru_cache(maxsize=512)
def trained(names: tuple[str, ...]) -> TrainedHead | None:
    """The trained head of `names`, if they form a known set."""
    found = recognised(names)
    return _head(found[0]).of(found[1]) if found else None


@lru_cache(maxsize=8)
def _head(title: str) -> TrainedHead:
    return TrainedHead.load(FOLDER / f"{title}.safetensors")


@lru_cache(maxsize=1)
def _sets() -> dict[str, dict[str, int]]:
    """The class of each word, by set."""
    written: dict[str, dict[str, list[str]]] = load_yaml(
        SETS, what="known sets", error=CheckpointInvalid
    )
    return {
        title: {same(word): at for at, words in enumerate(classes.values()) for word in words}
        for title, classes in written.items()
    }
