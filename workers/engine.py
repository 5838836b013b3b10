"""The transformers engine: loads a checkpoint and answers batches of calls; knows no jobs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from orchestra.clients.engine import Call, IsCancelled, OnText, Reply, Usage
from orchestra.errors import ModelUnavailable, OrchestraError, PromptTooLong
from workers import text, vision
from workers.answer import Answer, Vocabulary
from workers.checkpoint import architecture, read_config, require_known
from workers.decode import decode
from workers.meter import PROCESS
from workers.text import Prompt, TextModel
from workers.vision import VisionModel

# transformers patches torch while it loads a model: two at once leave tensors out.
_LOADING = threading.Lock()


class TransformersEngine:
    """One model in memory; see `orchestra.clients.engine.Engine` for the contract.

    Answers are greedy, so the same call has the same answer, alone or in any batch.
    """

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._vocabulary = Vocabulary(model.tokenizer, model.vocab_size)

    @classmethod
    def load(cls, checkpoint: Path | str, *, threads: int | None = None) -> TransformersEngine:
        """Load a checkpoint folder into float32 on the CPU, offline.

        `threads` sets torch's threads for the whole process. Raises CheckpointInvalid.
        """
        with _LOADING:
            return cls(_load(Path(checkpoint), threads))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens that `call` would use, image tokens included."""
        return self._model.count_tokens(call)

    @torch.inference_mode()
    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls` in one batch; see `Engine.generate`.

        `usage.cpu_s` is this process's CPU time over the batch, all threads added, shared by
        the rows in proportion to their tokens (see `workers.meter` for engines that overlap).
        """
        with PROCESS.measure() as spent:
            begun = [self._begin(row, call) for row, call in enumerate(calls)]
            answers = [answer for answer in begun if isinstance(answer, Answer)]
            self._decode([a for a in answers if a.outcome is None], is_cancelled)
        total = sum(len(a.prompt.ids) + len(a.tokens) for a in answers) or 1
        return [
            _outcome(answer, spent.cpu_s / total) if isinstance(answer, Answer) else answer
            for answer in begun
        ]

    def _begin(self, row: int, call: Call) -> Answer | OrchestraError:
        try:
            prompt = self._model.prepare(call)
            self._check_length(call, prompt)
            rendered = self._model.writer.data(call.text or "")
            return Answer.begin(row, call, prompt, self._vocabulary, rendered)
        except OrchestraError as error:
            return error

    def _check_length(self, call: Call, prompt: Prompt) -> None:
        tokens, context = len(prompt.ids), self._model.context_tokens
        if tokens + call.max_tokens > context:
            raise PromptTooLong(
                f"The prompt has {tokens} tokens and the answer may have {call.max_tokens!r}, "
                f"but the context holds {context}. Shorten the text by "
                f"{tokens + call.max_tokens - context} tokens or lower max_tokens."
            )

    def _decode(self, answers: list[Answer], is_cancelled: IsCancelled | None) -> None:
        if not answers:
            return
        try:
            capacity = [len(a.queue) + a.call.max_tokens for a in answers]
            prompts = [answer.prompt for answer in answers]
            session, image_features = self._model.open(prompts, capacity)
            decode(answers, session, self._vocabulary, image_features, is_cancelled)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            for answer in answers:
                answer.outcome = answer.outcome or ModelUnavailable(
                    f"A batch of {len(answers)} rows does not fit the memory: {error}. "
                    "Lower the card's batch size."
                )


def _outcome(answer: Answer, token_cpu_s: float) -> Reply | OrchestraError:
    """The reply with its metered work, or the error as it is."""
    if not isinstance(answer.outcome, Reply):
        return answer.outcome or ModelUnavailable(
            f"Row {answer.row} was left without an answer. Report this as a bug."
        )
    sent, made = len(answer.prompt.ids), len(answer.tokens)
    usage = Usage(sent, made, len(answer.call.images), (sent + made) * token_cpu_s)
    return replace(answer.outcome, usage=usage)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "memory" in str(error).lower()


def _load(folder: Path, threads: int | None) -> TextModel:
    if threads is not None:
        torch.set_num_threads(threads)
    config = read_config(folder)
    name = architecture(config)
    if name == vision.ARCHITECTURE:
        return VisionModel.load(folder, config)
    require_known(name, sorted(text.ARCHITECTURES), folder)
    return TextModel.load(folder, config)
