"""The transformers engine: loads a checkpoint and answers batches of calls; knows no jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from orchestra.core.call import Call, IsCancelled, OnText, Reply
from orchestra.core.card import Sampling
from orchestra.core.errors import CheckpointInvalid, OrchestraError, UsageError
from orchestra.images.attention import AttentionMap
from workers.attention.making import maps_of
from workers.attention.methods import DEFAULT
from workers.decoding.answering import AnsweringEngine
from workers.decoding.completion import Completion
from workers.decoding.model import AnySession, TextModel
from workers.decoding.sampling import GREEDY
from workers.decoding.weighing import Weighing, note_weights
from workers.fused import model as fused
from workers.fused.model import FusedModel
from workers.loading import location
from workers.loading.checkpoint import INT8, architecture, read_config, require_known
from workers.loading.device import Placement, placement_of
from workers.loading.pretrained import LOADING
from workers.text import model as text
from workers.vision import model as vision
from workers.vision.model import VisionModel


class TransformersEngine(AnsweringEngine):
    """A model of transformers in memory; see `AnsweringEngine`."""

    trainer = "workers.finetune.trainer:run"  # what `orchestra finetune` calls

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
        """Load a checkpoint folder, or a public one by its id (see `workers.loading.location`).

        `threads` sets torch's threads for the whole process. `device` is `cpu`, `cuda` or
        `cuda:N`; `dtype` is `float32`, `bfloat16`, `float16` or `auto`, and by default float32
        on a CPU and the checkpoint's own on a GPU. Raises CheckpointInvalid, InvalidFleet for a
        device that is not here, and ModelUnavailable when the weights do not fit its memory.
        """
        place = placement_of(device, dtype)
        folder = location.find(checkpoint)
        with LOADING:
            return cls(_load(folder, threads, place), sampling)

    @torch.inference_mode()
    def attend(self, call: Call, method: str = DEFAULT) -> list[AttentionMap]:
        """Where the model looks for each value of its answer to `call`; see `workers.attention`.

        The answer is the one that `generate` gives; a value that the schema left no choice about
        has no map. One that was refused (outside the model's domain) has the value as it was said,
        also of a free question, which `generate` would not answer.
        Raises what `generate` gives as an error, and UsageError for a model that does not look at
        photos, a call without exactly one photo, or an unknown method.
        """
        vision, answer = self.answered(call)
        maps = maps_of(vision, answer, method)
        reply = self._outcome(answer, 0.0, time.monotonic())
        reasons = reply.abstained if isinstance(reply, Reply) else {}
        said = answer.reworded
        return [
            replace(
                found,
                value=found.value if said is None else said.choice(found.name, found.value),
                refused=reasons.get(found.name),
            )
            for found in maps
        ]

    @torch.inference_mode()
    def answered(self, call: Call) -> tuple[VisionModel, Completion]:
        """The model, and its finished answer to `call`, for who looks into both; see `attend`."""
        vision = self._seeing()
        answer = self._begin(0, call, None)
        if isinstance(answer, OrchestraError):
            raise answer
        self._decode([a for a in [answer] if a.outcome is None], None, refuses=False)
        if isinstance(answer.outcome, OrchestraError):
            raise answer.outcome
        return vision, answer

    def _seeing(self) -> VisionModel:
        if isinstance(self._model, VisionModel):
            return self._model
        raise UsageError(
            f"The model is a {type(self._model).__name__}, which puts no photo into its prompt, so "
            "it gives no attention maps. Ask a vision-language model, such as mini's vl."
        )

    @torch.inference_mode()
    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls` in one batch; see `Engine.generate`."""
        return super().generate(calls, is_cancelled, on_text)

    def _ended(self, answers: Sequence[Completion], session: AnySession) -> None:
        if isinstance(session, Weighing):
            note_weights(answers, session)
        self.note_regions(answers)

    def note_regions(self, answers: Sequence[Completion]) -> None:
        """Write into each reply where its values were seen, as far as its call asks for that."""
        for answer in answers:
            if answer.call.regions and isinstance(self._model, VisionModel):
                _note_regions(self._model, answer)


def _note_regions(vision: VisionModel, answer: Completion) -> None:
    """Write into the reply where its values were seen; several photos have no regions."""
    if isinstance(answer.outcome, Reply) and len(answer.call.images) == 1:
        maps = maps_of(vision, answer, DEFAULT)
        regions = {found.name: found.region for found in maps}
        heat = {found.name: found.heat for found in maps}
        answer.outcome = replace(answer.outcome, regions=regions, heat=heat)


def _load(folder: Path, threads: int | None, place: Placement) -> TextModel:
    if threads is not None:
        torch.set_num_threads(threads)
    config = read_config(folder)
    if config.get("quantization_config") == INT8:
        # transformers would only warn, and run the integers as if they were weights.
        raise CheckpointInvalid(
            f"The weights in {str(folder)!r} are 8-bit rows, which transformers cannot run. Name "
            "workers.edge.engine:EdgeEngine as the card's worker."
        )
    name = architecture(config)
    if name in vision.FAMILIES:
        return VisionModel.load(folder, config, place)
    if name == fused.ARCHITECTURE:
        return FusedModel.load(folder, config, place)
    require_known(name, [*vision.FAMILIES, fused.ARCHITECTURE, *sorted(text.ARCHITECTURES)], folder)
    return text.load_text(folder, config, place)
