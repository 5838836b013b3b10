"""The trainer of the transformers engine: fine-tunes a checkpoint on a user's rows.

`workers.engine.TransformersEngine.trainer` names `run`; `orchestra finetune` calls it. The same
settings and rows give the same weights, also when the run was killed and goes on. What is asked
of scores goes through the engine, as it will in use.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from orchestra.core.call import Reply
from orchestra.core.errors import OrchestraError
from orchestra.finetune.order import PASSES, FinetuneSettings, Say, Trained, TrainingTask
from orchestra.finetune.rows import TrainingRow
from orchestra.finetune.score import FieldScore, score
from workers.engine import TransformersEngine
from workers.finetune.base import Base, open_base
from workers.finetune.domain import widen_domain
from workers.finetune.lessons import IGNORED, Lesson, lesson, padded, passes, rows_of_step
from workers.finetune.state import read_state, write_state
from workers.loading import location

WORKER = "workers.engine:TransformersEngine"
WARM_UP, LAST_SHARE = 0.05, 0.05  # of the run; of the highest learning rate
ASKED_AT_ONCE = 16
SPARE = 2  # an answer may have so many times the tokens of the rows' longest
THOUGHT_TOKENS = 8  # the empty thought of a model that thinks first
SAY_EVERY_S = 5.0
# (parameters up to, learning rate of all weights, of adapters)
RATES = ((2e7, 1e-3, 5e-3), (2e8, 1e-4, 1e-3), (math.inf, 2e-5, 2e-4))


def run(work: TrainingTask, say: Say) -> Trained:
    """Fine-tune as `work` says. Raises CheckpointInvalid, PromptTooLong, UsageError, DiskFull."""
    folder = location.find(work.checkpoint)
    base = open_base(folder, work.device)
    total = sum(parameter.numel() for parameter in base.model.parameters())
    lessons = [lesson(base, row) for row in work.train]
    held_out = [lesson(base, row) for row in work.held_out]  # that they fit is known before work
    longest = max(len(item.ids) - item.answer_start for item in (*lessons, *held_out))
    room = [min(longest * SPARE, base.context_tokens - item.answer_start - THOUGHT_TOKENS)
            for item in held_out]  # fmt: skip
    thinks = base.writer.thinks
    learner = TrainingLoop(base, lessons, work, total)
    if not learner.progress.before:
        before = _scores(folder, work, room, thinks)
        learner.progress.before = [(s.field, s.right, s.asked) for s in before]
        _tell("before", before, say)
    learner.learn(say)
    widen_domain(base, [*work.train, *work.held_out], [*lessons, *held_out], work.out, say)
    base.save(work.out)
    after = _scores(work.out, work, room, thinks)
    _tell("after", after, say)
    done = learner.progress
    return Trained(
        worker=WORKER,
        before=[FieldScore(*told) for told in done.before],
        after=after,
        steps=done.steps,
        tokens=done.tokens,
        seconds=done.seconds,
        parameters=total,
        trained_parameters=sum(p.numel() for p in learner.parameters.values()),
    )


class TrainingLoop:
    """The loop over steps, from the state in the work's folder on, if there is one."""

    def __init__(
        self, base: Base, lessons: Sequence[Lesson], work: TrainingTask, total: int
    ) -> None:
        settings = work.settings
        self._base, self._lessons, self._work = base, lessons, work
        self.parameters = base.choose(settings.method, settings.seed)
        self._rate = settings.lr or usual_rate(total, settings.method)
        self._optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=self._rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.progress = read_state(work.state, work.name, self.parameters, self._optimizer)
        self._steps = steps_of(settings, len(lessons))

    def learn(self, say: Say) -> None:
        """Take the steps that are left; the state is written as often as the settings say."""
        progress = self.progress
        if progress.steps:
            say(f"going on after step {progress.steps}")
        began = time.monotonic() - progress.seconds
        written = said = time.monotonic()
        for step in itertools.count(progress.steps):
            done = self._done(step, progress.seconds)
            if done >= 1:
                break
            loss = self._step(step, self._rate * rate_share(done))
            now = time.monotonic()
            progress.steps, progress.seconds = step + 1, now - began
            if now - said >= SAY_EVERY_S:
                say(f"step {step + 1} loss {loss:.4f}, {done:.0%} done")
                said = now
            if now - written >= self._work.settings.snapshot_s:
                self._write()
                say(f"kept the state after step {step + 1}")
                written = time.monotonic()
        self._write()

    def _done(self, step: int, seconds: float) -> float:
        if self._steps is not None:
            return step / self._steps
        return seconds / ((self._work.settings.minutes or 0.0) * 60)

    def _step(self, step: int, rate: float) -> float:
        """One step of the optimizer; the mean loss of an answer's token."""
        settings = self._work.settings
        chosen = rows_of_step(len(self._lessons), step, settings.batch, settings.seed)
        lessons = [self._lessons[at] for at in chosen]
        answers = sum(len(item.ids) - item.answer_start for item in lessons)
        total = 0.0
        for some in passes(lessons):
            loss = answer_loss(self._base, some) / answers
            loss.backward()
            total += float(loss.detach())
            self.progress.tokens += sum(len(item.ids) for item in some)
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def _write(self) -> None:
        write_state(self._work.state, self._work.name, self.progress, self.parameters,
                    self._optimizer)  # fmt: skip


def answer_loss(base: Base, lessons: Sequence[Lesson]) -> torch.Tensor:
    """Cross-entropy of the answers' tokens, added up."""
    given = padded(lessons, base.model.device, int(base.tokenizer.eos_token_id or 0))  # pyright: ignore[reportArgumentType]
    logits_BKV = base.model(**given.inputs, use_cache=False).logits
    return F.cross_entropy(
        logits_BKV.float().flatten(0, 1),
        given.targets_BK.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )


def steps_of(settings: FinetuneSettings, rows: int) -> int | None:
    """How many steps a run has; None when time bounds it."""
    if settings.steps is not None:
        return settings.steps
    return None if settings.minutes is not None else math.ceil(PASSES * rows / settings.batch)


def usual_rate(parameters: int, method: str) -> float:
    """The learning rate for a model of so many parameters."""
    full, adapters = next((full, lora) for most, full, lora in RATES if parameters <= most)
    return adapters if method == "lora" else full


def rate_share(done: float) -> float:
    """Share of the highest learning rate after `done` of the run: up, then down in a line."""
    if done < WARM_UP:
        return (done + 0.005) / (WARM_UP + 0.005)
    return 1 - (1 - LAST_SHARE) * (done - WARM_UP) / (1 - WARM_UP)


def _scores(
    folder: Path, work: TrainingTask, room: Sequence[int], thinks: bool
) -> list[FieldScore]:
    """What the checkpoint in `folder` answers to the rows held out, each field exactly.

    `room` is the most tokens of each answer. A model that `thinks` first may do so briefly.
    """
    engine = TransformersEngine.load(folder, device=work.device)
    answers: list[object] = []
    for begin in range(0, len(work.held_out), ASKED_AT_ONCE):
        some = work.held_out[begin : begin + ASKED_AT_ONCE]
        calls = [
            replace(row.call(work.schemas.get(row.fields), max(1, tokens)),
                    thinking_tokens=THOUGHT_TOKENS * thinks)
            for row, tokens in zip(some, room[begin:], strict=False)
        ]  # fmt: skip
        replies = engine.generate(calls)
        answers += [_read(row, reply) for row, reply in zip(some, replies, strict=True)]
    return score([row.answer for row in work.held_out], answers)


def _read(row: TrainingRow, reply: Reply | OrchestraError) -> object:
    """The answer of a reply; None for an error, or for a text where an object was asked."""
    if isinstance(reply, OrchestraError):
        return None
    return reply.value if row.fields else reply.text


def _tell(when: str, scores: Sequence[FieldScore], say: Say) -> None:
    for entry in scores:
        low, high = entry.interval
        say(f"{when}: {entry.field} {entry.share:.1%} [{low:.0%}, {high:.0%}] of {entry.asked}")
