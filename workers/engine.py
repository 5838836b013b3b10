"""The transformers engine: loads a checkpoint and answers batches of calls; knows no jobs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from orchestra.clients.engine import Call, IsCancelled, OnText, Reply
from orchestra.errors import CheckpointInvalid, OrchestraError
from orchestra.fleet.card import Sampling
from workers import fused, location, text, vision
from workers.answer import Answer
from workers.answering import AnsweringEngine
from workers.checkpoint import architecture, read_config, require_known
from workers.device import Place, place_of
from workers.domain import judged
from workers.fused import FusedModel, FusedSession
from workers.model import AnySession, TextModel
from workers.onnx.layout import INT8
from workers.sampling import GREEDY
from workers.vision import VisionModel

# transformers patches torch while it loads a model: two at once leave tensors out.
LOADING = threading.Lock()


class TransformersEngine(AnsweringEngine):
    """A model of transformers in memory; see `AnsweringEngine`."""

    @classmethod
    def load(
        cls,
        checkpoint: Path | str,
        *,
        threads: int | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        sampling: Sampling = GREEDY,
    ) -> TransformersEngine:
        """Load a checkpoint folder, or a public one by its id (see `workers.location`).

        `threads` sets torch's threads for the whole process. `device` is `cpu`, `cuda` or
        `cuda:N`; `dtype` is `float32`, `bfloat16`, `float16` or `auto`, and by default float32
        on a CPU and the checkpoint's own on a GPU. Raises CheckpointInvalid, InvalidFleet for a
        device that is not here, and ModelUnavailable when the weights do not fit its memory.
        """
        place = place_of(device, dtype)
        folder = location.find(checkpoint)
        with LOADING:
            return cls(_load(folder, threads, place), sampling)

    @torch.inference_mode()
    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls` in one batch; see `Engine.generate`."""
        return super().generate(calls, is_cancelled, on_text)

    def _outcome(self, answer: Answer, token_cpu_s: float) -> Reply | OrchestraError:
        outcome = super()._outcome(answer, token_cpu_s)
        if isinstance(outcome, Reply):
            return judged(outcome, answer.prompt.standings)
        return outcome

    def _ended(self, answers: Sequence[Answer], session: AnySession) -> None:
        if isinstance(session, FusedSession):
            _note_weights(answers, session)


def _note_weights(answers: Sequence[Answer], session: FusedSession) -> None:
    """Write into each reply what its modalities weighed."""
    for answer, weights in zip(answers, session.weights(), strict=True):
        if isinstance(answer.outcome, Reply):
            answer.outcome = replace(answer.outcome, modality_weights=weights)


def _load(folder: Path, threads: int | None, place: Place) -> TextModel:
    if threads is not None:
        torch.set_num_threads(threads)
    config = read_config(folder)
    if config.get("quantization_config") == INT8:
        # transformers would only warn, and run the integers as if they were weights.
        raise CheckpointInvalid(
            f"The weights in {str(folder)!r} are 8-bit rows, which transformers cannot run. Name "
            "workers.edge:EdgeEngine as the card's worker."
        )
    name = architecture(config)
    if name in vision.FAMILIES:
        return VisionModel.load(folder, config, place)
    if name == fused.ARCHITECTURE:
        return FusedModel.load(folder, config, place)
    require_known(name, [*vision.FAMILIES, fused.ARCHITECTURE, *sorted(text.ARCHITECTURES)], folder)
    return text.load_text(folder, config, place)
