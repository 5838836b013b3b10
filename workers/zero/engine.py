"""The maths worker: a policy learnt from rewards alone answers sums modulo a number.

The question is read by rule (`workers.zero.sums`); the answer is the policy's, not computed. It
fills one property: as an integer, or as the same digits in a string. A question outside the task
that the checkpoint was trained on is refused. It knows no environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor
from transformers import Qwen2ForCausalLM

from orchestra.core.call import Call, IsCancelled, OnText, Reply, Usage
from orchestra.core.errors import (
    Cancelled,
    CheckpointInvalid,
    InvalidSchema,
    OrchestraError,
    OutsideDomain,
    UsageError,
)
from workers.decoding.meter import PROCESS
from workers.decoding.shape import ValueShape, read_schema
from workers.loading import location
from workers.loading.checkpoint import RESTORE, architecture, read_config, require_known
from workers.loading.device import placement_of
from workers.loading.pretrained import load_weights
from workers.zero.sums import read_sum

TASK_FILE = "task.json"
PROMPT_TOKENS = 3  # the two numbers, and the token that asks for the answer


class Task(BaseModel):
    """What the policy was trained on: sums of two numbers under `numbers`, modulo `modulus`."""

    model_config = ConfigDict(frozen=True)

    environment: str
    modulus: int
    numbers: int

    @property
    def about(self) -> str:
        """The task in words, for errors."""
        return (
            f"sums of two whole numbers from 0 to {self.numbers - 1} modulo {self.modulus}, "
            f"as in 'What is 5 + 6 modulo {self.modulus}?'"
        )


def action_logits(policy: Qwen2ForCausalLM, seen_BT: Tensor, actions: int) -> Tensor:
    """Logits (B, actions) of the actions after each row of observation tokens."""
    last_BD = policy.model(input_ids=seen_BT, use_cache=False).last_hidden_state[:, -1]
    return policy.lm_head(last_BD)[:, :actions]


@dataclass(frozen=True, slots=True)
class _PolicyCall:
    """A call inside the task: its tokens, the property to fill (None without a schema), and what
    may stand there, by number.
    """

    tokens: list[int]
    key: str | None
    writings: dict[int, Any]

    def reply(self, chances_A: Tensor, cpu_s: float) -> Reply:
        """The likeliest answer of those that the schema allows, and its share of their chances."""
        allowed = {number: float(chances_A[number]) for number in self.writings}
        answer = max(allowed, key=lambda number: allowed[number])
        usage = Usage(PROMPT_TOKENS, 1, cpu_s=cpu_s)
        if self.key is None:
            return Reply(str(answer), str(answer), usage=usage)
        value = {self.key: self.writings[answer]}
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        return Reply(text, value, {self.key: allowed[answer] / sum(allowed.values())}, usage)


class ZeroEngine:
    """One policy in memory; see `orchestra.core.call.Engine` for the contract.

    It reads the call's data, or its instruction where there is none; earlier turns are not read.
    """

    def __init__(self, policy: Qwen2ForCausalLM, task: Task) -> None:
        self._policy = policy
        self._task = task

    @classmethod
    def load(cls, checkpoint: Path | str, *, threads: int | None = None) -> ZeroEngine:
        """Load a folder that `workers.training.zero.train` wrote. Raises CheckpointInvalid."""
        if threads is not None:
            torch.set_num_threads(threads)
        folder = location.find(checkpoint)
        config = read_config(folder)
        require_known(architecture(config), [Qwen2ForCausalLM.__name__], folder)
        policy: Any = load_weights(Qwen2ForCausalLM, folder, placement_of("cpu", None))
        return cls(policy, _read_task(folder))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`; they are few and fixed, since the policy sees the numbers."""
        return PROMPT_TOKENS

    @torch.inference_mode()
    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls` in one batch; see `Engine.generate`."""
        with PROCESS.measure() as spent:
            begun = [self._begin(row, call, is_cancelled) for row, call in enumerate(calls)]
            posed = [entry for entry in begun if isinstance(entry, _PolicyCall)]
            chances = iter(self._chances(posed))
        answers: list[Reply | OrchestraError] = []
        for row, entry in enumerate(begun):
            if isinstance(entry, _PolicyCall):
                entry = entry.reply(next(chances), spent.cpu_s / len(posed))
                if on_text is not None:
                    on_text(row, entry.text)
            answers.append(entry)
        return answers

    def _begin(
        self, row: int, call: Call, is_cancelled: IsCancelled | None
    ) -> _PolicyCall | OrchestraError:
        """What a call asks, or why it is refused."""
        try:
            if is_cancelled is not None and is_cancelled(row):
                raise Cancelled(f"Row {row} was cancelled. Call again if it is wanted.")
            if call.images:
                raise UsageError(
                    f"This model reads a question only, but the call has {len(call.images)} "
                    "images. Ask without photos."
                )
            numbers = self._task.modulus
            plain = None, {number: str(number) for number in range(numbers)}
            key, values = plain if call.schema is None else writings(call.schema, numbers)
            question = call.instruction if call.text is None else call.text
            return _PolicyCall(self._tokens(question), key, values)
        except OrchestraError as error:
            return error

    def _tokens(self, question: str) -> list[int]:
        problem, task = read_sum(question), self._task
        if problem is None or problem.modulus != task.modulus:
            raise OutsideDomain(
                f"{question[:80]!r} is outside what this model learnt: {task.about}. "
                "Ask another model."
            )
        too_large = [n for n in (problem.first, problem.second) if n >= task.numbers]
        if too_large:
            raise OutsideDomain(
                f"The number {too_large[0]!r} is over {task.numbers - 1}, the largest that this "
                f"model learnt ({task.about}). Ask another model."
            )
        return [problem.first, problem.second, task.numbers]

    def _chances(self, posed: Sequence[_PolicyCall]) -> Tensor:
        if not posed:
            return torch.empty(0, self._task.modulus)
        seen_BT = torch.tensor([entry.tokens for entry in posed])
        return action_logits(self._policy, seen_BT, self._task.modulus).softmax(-1)


def _read_task(folder: Path) -> Task:
    path = folder / TASK_FILE
    try:
        return Task.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointInvalid(
            f"{str(path)!r} does not say what the model was trained on: {error}. {RESTORE}"
        ) from error


def writings(schema: Mapping[str, Any], numbers: int) -> tuple[str, dict[int, Any]]:
    """The schema's one property, and for each number under `numbers` that fits its value there.

    Raises InvalidSchema for a schema of several properties, or one that no number fits.
    """
    properties = read_schema(schema).properties
    if len(properties) != 1:
        raise InvalidSchema(
            f"The schema has the properties {[name for name, _ in properties]!r}, and this model "
            "answers one number. Ask for one property."
        )
    name, options = properties[0]
    found: dict[int, Any] = {}
    for number in range(numbers):
        values = [value for option in options for value in _values(option, number)]
        if values:
            found[number] = values[0]
    if not found:
        raise InvalidSchema(
            f"The property {name!r} takes {[option.kind for option in options]!r}, which holds no "
            f"number from 0 to {numbers - 1}. Make it an integer, or a string."
        )
    return name, found


def _values(option: ValueShape, number: int) -> list[Any]:
    """`number` as `option` allows it: one value or none."""
    text = str(number)
    if option.kind == "enum":
        as_number = [v for v in option.values if v == number and not isinstance(v, bool)]
        return as_number or [v for v in option.values if v == text]
    if option.kind in ("integer", "number"):
        return [number] if option.is_within(number) else []
    if option.kind == "string":
        fits = option.is_within(len(text))
        return [text] if fits and (not option.pattern or re.search(option.pattern, text)) else []
    return []
