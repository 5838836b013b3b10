"""Looks at photos with ONNX Runtime: the graph from `tower.onnx`, the weights from safetensors.

Shapes: B photos, H = W pixels, T tokens, W width of what the decoder takes, E the embedding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from orchestra.core.errors import CheckpointInvalid
from workers.onnx.decoder import graph_bytes, open_graph, remake
from workers.onnx.layout import TOWER, WEIGHTS_KEY
from workers.onnx.metadata import metadata
from workers.onnx.weights import read_named

AT_ONCE = 2  # photos that run together: what more of them need no longer fits a core's cache

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OnnxTower:
    """One tower in memory, with what brings its tokens to the decoder."""

    session: onnxruntime.InferenceSession
    _weights: dict[str, Floats]  # the session reads some of them where they lie

    @classmethod
    def load(cls, folder: Path, threads: int) -> OnnxTower:
        """Load a checked folder, to run on `threads` threads. Raises CheckpointInvalid."""
        path = folder / TOWER
        graph = graph_bytes(path)
        try:
            names = json.loads(metadata(graph)[WEIGHTS_KEY])
        except (ValueError, KeyError) as error:
            raise CheckpointInvalid(
                f"{str(path)!r} does not name its weights: {error!r}. {remake(folder)}"
            ) from error
        weights = read_named(folder, names)
        return cls(open_graph(path, graph, weights, threads), weights)

    @property
    def side(self) -> int:
        """Pixels of a side of the photos that it takes."""
        return int(self.session.get_inputs()[0].shape[-1])

    @property
    def tokens(self) -> int:
        """Image tokens of a photo."""
        return int(self.session.get_outputs()[0].shape[1])

    def look(self, pixels: Sequence[Floats]) -> tuple[Floats, Floats | None]:
        """Features (B, T, W) and embeddings (B, E) of photos of (n, 3, H, W) pixels each.

        A tower that is not our own has no embeddings.
        """
        joined_B3HW = np.concatenate(pixels)
        parts = [
            self.session.run(None, {"pixels": joined_B3HW[at : at + AT_ONCE]})
            for at in range(0, len(joined_B3HW), AT_ONCE)
        ]
        features, *more = (np.concatenate(outputs) for outputs in zip(*parts, strict=True))
        return features, more[0] if more else None
