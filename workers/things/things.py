"""What a photo shows, by the thousand names of ImageNet, in a user's categories.

EfficientNet-Lite0 with its public head (`workers/checkpoints/things/CARD.md`) rates the names, the
text encoder says which category each belongs to. It was never fitted to a user's catalog, so it is
never surer than `MOST`; where no category is near, it says nothing. ONNX Runtime and numpy.

Shapes: 3 channels, H = W pixels, L names.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from safetensors import SafetensorError, safe_open

from orchestra.core.errors import CheckpointInvalid
from workers.encoder.encoder import shared_encoder
from workers.loading.checkpoint import RESTORE
from workers.things.names import Array, Names

FOLDER = Path(__file__).parents[1] / "checkpoints" / "things"
GRAPH, NAMES, VECTORS, SUMS = "model.onnx", "names.tsv", "vectors.safetensors", "checksums.json"
SIDE, GREY = 224, (127, 127, 127)
LEAVES = 1000
# How sure: logistic in the logs of the best category's part and of what it has above the next;
# fitted to half of a public set of cut-out photos (`benchmarks/photos/things.py`).
SLOPES, TURN = (0.79, 0.6), 3.73
LEAST, MOST = 0.55, 0.8


@dataclass(frozen=True, slots=True)
class Named:
    """A category for a thing, how sure that is, and what it stands on."""

    choice: str
    sure: float
    note: str


@dataclass(frozen=True, slots=True)
class ThingSeen:
    """How likely a photo is of each name, (L,)."""

    share_L: Array
    names: Names

    def among(self, choices: Sequence[str]) -> Named | None:
        """The choice that it is, or None where that is too unsure."""
        part_C = self.share_L @ self.names.weights(choices)
        first, *others = np.argsort(-part_C)
        second = float(part_C[others[0]]) if others else 0.0
        sure = sureness(float(part_C[first]), second)
        if sure < LEAST:
            return None
        best = int(self.share_L.argmax())
        note = (
            f"beyond the kinds that the model was trained on: by ImageNet's names it looks like "
            f"{self.names.words[best][0]!r} ({self.share_L[best]:.0%})"
        )
        return Named(str(choices[int(first)]), sure, note)


class Things:
    """The names and the network behind them, in memory; threads may share it."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Raises CheckpointInvalid for a damaged folder."""
        _check(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession((folder / GRAPH).read_bytes(), options)
            self.names = read_names(folder)
        except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
            raise CheckpointInvalid(
                f"{str(folder)!r} cannot be read: {error}. {RESTORE}"
            ) from error

    def seen(self, photo: Image.Image) -> ThingSeen:
        """What an upright RGB photo shows."""
        logits_L = np.asarray(self._session.run(None, {"pixels": pixels(photo)[None]})[0])[0]
        power = np.exp(logits_L - logits_L.max())
        return ThingSeen(power / power.sum(), self.names)


def pixels(photo: Image.Image) -> Array:
    """A photo as the network takes it, (3, H, W): whole, on grey, each channel from -1 to 1."""
    scale = SIDE / max(photo.size)
    size = max(round(photo.width * scale), 1), max(round(photo.height * scale), 1)
    canvas = Image.new("RGB", (SIDE, SIDE), GREY)
    shown = photo.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    canvas.paste(shown, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(canvas, np.float32).transpose(2, 0, 1) / 127.5 - 1


def sureness(best: float, second: float) -> float:
    """How likely the best category is right, at most `MOST`."""
    above = max(best - second, 0.0)
    odds = SLOPES[0] * math.log(best + 1e-4) + SLOPES[1] * math.log(above + 1e-2) + TURN
    return min(MOST, 1 / (1 + math.exp(-odds)))


def read_names(folder: Path) -> Names:
    """The names of a folder, compared through the encoder where that is installed."""
    lines = (folder / NAMES).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    with safe_open(folder / VECTORS, framework="np") as file:
        vectors = file.get_tensor("vectors").astype(np.float32) * file.get_tensor("step")
        middle = file.get_tensor("middle")
    return Names(
        words=[words.split(", ") for words, _ in rows],
        parents=[int(parent) if parent else -1 for _, parent in rows],
        leaves=LEAVES,
        vectors=vectors,
        middle=middle,
        encode=encoded,
    )


def encoded(texts: Sequence[str]) -> Array:
    """Vectors of texts. Raises MissingExtra where the encoder's wheel is not installed."""
    return shared_encoder().vectors(texts)


_LOADING = threading.Lock()


@cache
def _things() -> Things:
    return Things()


def shared_things() -> Things:
    """The one of this process; who asks first loads it. Raises CheckpointInvalid."""
    with _LOADING:
        return _things()


def _check(folder: Path) -> None:
    try:
        sums = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        for name, known in sums.items():
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if digest != known:
                raise CheckpointInvalid(
                    f"{str(folder / name)!r} has sha256 {digest!r}, expected {known!r}. {RESTORE}"
                )
    except (OSError, ValueError) as error:
        raise CheckpointInvalid(f"{str(folder)!r} cannot be read: {error}. {RESTORE}") from error
