"""The ONNX Runtime engine: text, photos and both on a CPU, without torch or transformers.

Prompts, constraints and sampling are the code of every engine. What only torch can do is reached
only then: maps of where the model looks, and a checkpoint that has no graph.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orchestra.core.call import Call
from orchestra.core.card import Sampling
from orchestra.core.errors import InvalidFleet, MissingExtra, UsageError
from orchestra.core.shipped import attribute
from orchestra.images.attention import AttentionMap
from workers.decoding.answering import AnsweringEngine
from workers.decoding.completion import Completion
from workers.decoding.model import AnySession, TextModel
from workers.decoding.sampling import GREEDY
from workers.decoding.weighing import Weighing, note_weights
from workers.loading.checkpoint import architecture, read_config
from workers.loading.plain_tokenizer import PlainTokenizer
from workers.onnx import fused, vision
from workers.onnx.decoder import OnnxDecoder, remake
from workers.onnx.fused import OnnxFusedModel
from workers.onnx.layout import GRAPH, TOWER
from workers.onnx.session import sessions_of
from workers.onnx.vision import OnnxVisionModel
from workers.vision.likeness import directions

TORCH_ENGINE = "workers.engine:TransformersEngine"
SEEING: dict[str, Callable[[Path, dict[str, Any], int], TextModel]] = {
    vision.ARCHITECTURE: OnnxVisionModel.load,
    fused.ARCHITECTURE: OnnxFusedModel.load,
}

log = logging.getLogger(__name__)


class OnnxEngine(AnsweringEngine):
    """One model in memory; see `AnsweringEngine`."""

    trainer = "workers.finetune.trainer:run"  # what `orchestra finetune` calls

    def __init__(
        self, model: TextModel, sampling: Sampling = GREEDY, twin: Callable[[], Any] | None = None
    ) -> None:
        """`twin` loads the same model into torch, for what needs its gradients."""
        super().__init__(model, sampling)
        self._load_twin = twin
        self._twin: Any = None
        self._loading = threading.Lock()

    @classmethod
    def load(
        cls,
        checkpoint: Path | str,
        *,
        threads: int | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        sampling: Sampling = GREEDY,
    ) -> AnsweringEngine:
        """Load a checkpoint folder that has its graphs (see `workers.onnx.graph`).

        Where they are missing, as in a public checkpoint, transformers runs the model: the answers
        are the same, later. `threads` are those of each session, by default one. Raises
        CheckpointInvalid, InvalidFleet for another device than `cpu` or another dtype than
        `float32`, and MissingExtra where transformers is needed and not installed.
        """
        if device != "cpu" or dtype not in (None, "float32"):
            raise InvalidFleet(
                f"hosting.device is {device!r} and dtype {dtype!r}; the ONNX engine runs on 'cpu' "
                f"in 'float32'. Set them so, or name {TORCH_ENGINE}."
            )
        folder = Path(checkpoint)

        def in_torch() -> Any:
            return _torch_engine().load(checkpoint, threads=threads, dtype=dtype, sampling=sampling)

        lacking = _lacking(folder)
        if lacking:
            log.warning("%s transformers runs the model instead, which is slower.", lacking)
            return in_torch()
        return cls(_load(folder, threads or 1), sampling, in_torch)

    def attend(self, call: Call, *method: str) -> list[AttentionMap]:
        """Where the model looks, as `workers.engine` says: gradients need torch.

        Raises what that raises, and MissingExtra where torch is not installed.
        """
        return self._in_torch().attend(call, *method)

    def photo_vectors(self, photos: Sequence[Image.Image]) -> NDArray[np.float32]:
        """A vector of length 1 for each upright RGB photo, (N, E); see `workers.vision.likeness`.

        Raises UsageError for a model that does not look at photos with our own tower.
        """
        if not isinstance(self._model, OnnxVisionModel):
            raise UsageError(
                f"The model is a {type(self._model).__name__}, which gives no vector of a photo. "
                "Ask mini's vl."
            )
        return directions(np.stack([self._model.embedding(photo) for photo in photos]))

    def _ended(self, answers: Sequence[Completion], session: AnySession) -> None:
        if isinstance(session, Weighing):
            note_weights(answers, session)
        if isinstance(self._model, OnnxVisionModel) and any(a.call.regions for a in answers):
            self._in_torch().note_regions(answers)

    def _in_torch(self) -> Any:
        with self._loading:
            if self._twin is None and self._load_twin is not None:
                self._twin = self._load_twin()
            return self._twin


def _torch_engine() -> Any:
    try:
        return attribute(TORCH_ENGINE)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"This needs {error.name!r}, which is not installed (maps of where a model looks, and "
            "checkpoints without an ONNX graph, do). Install it: "
            "pip install 'orchestra-fleet[local]'."
        ) from error


def _lacking(folder: Path) -> str:
    """What keeps `folder` from being run by onnxruntime, and the cure; empty when nothing does."""
    if not (folder / "config.json").is_file():  # a public checkpoint's id, or nothing
        return "" if folder.is_dir() else f"{str(folder)!r} is no folder with a graph."
    sees = architecture(read_config(folder)) in SEEING
    missing = [name for name in (GRAPH, *[TOWER] * sees) if not (folder / name).is_file()]
    return f"{missing[0]!r} is missing from {str(folder)!r}: {remake(folder)}." if missing else ""


def _load(folder: Path, threads: int) -> TextModel:
    config = read_config(folder)
    seeing = SEEING.get(architecture(config))
    if seeing is not None:
        return seeing(folder, config, threads)
    decoder = OnnxDecoder.load(folder, config, threads)
    layout = decoder.layout
    return TextModel(
        PlainTokenizer(folder, layout.vocabulary),
        sessions_of(decoder),
        vocab_size=layout.vocabulary,
        context_tokens=layout.context,
    )
