"""Serves a policy that learnt from rewards alone: sums modulo a number, or a user's own world.

How a question is read stands in its task (`workers.zero.task`); the answer is the action that the
policy finds likeliest, not computed. It fills one property: as a number, or in a string as its
name. A question outside the task that the checkpoint was trained on is refused. It plays no
environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.call import Call, IsCancelled, OnText, Reply, Usage
from orchestra.core.errors import Cancelled, InvalidSchema, OrchestraError, UsageError
from workers.decoding.meter import PROCESS
from workers.decoding.shape import ValueShape, read_schema
from workers.loading.checkpoint import architecture, read_config, require_known
from workers.zero.policy import PolicyNet
from workers.zero.task import Action, Task, WorldTask, read_task

ARCHITECTURE = "Qwen2ForCausalLM"


@dataclass(frozen=True, slots=True)
class _PolicyCall:
    """A call inside the task: its tokens, the property to fill (None without a schema), and what
    may stand there, by the action's place.
    """

    tokens: list[int]
    key: str | None
    writings: dict[int, Any]

    def reply(self, chances_A: NDArray[np.float32], cpu_s: float) -> Reply:
        """The likeliest answer of those that the schema allows, and its share of their chances."""
        allowed = {place: float(chances_A[place]) for place in self.writings}
        answer = max(allowed, key=lambda place: allowed[place])
        usage = Usage(len(self.tokens), 1, cpu_s=cpu_s)
        if self.key is None:
            written = self.writings[answer]
            return Reply(written, written, usage=usage)
        value = {self.key: self.writings[answer]}
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        return Reply(text, value, {self.key: allowed[answer] / sum(allowed.values())}, usage)


class ZeroEngine:
    """One policy in memory; see `orchestra.core.call.Engine` for the contract.

    It reads the call's data, or its instruction where there is none; earlier turns are not read.
    """

    def __init__(self, policy: PolicyNet, task: Task) -> None:
        self._policy = policy
        self._task = task
        self._actions = task.actions
        self._read = task.load_reader() if isinstance(task, WorldTask) else None

    @classmethod
    def load(cls, checkpoint: Path | str, *, threads: int | None = None) -> ZeroEngine:
        """Load a folder that `workers.training.zero.train` wrote. Raises CheckpointInvalid.

        `threads` is the contract's; so small a policy needs one.
        """
        folder = Path(checkpoint)
        config = read_config(folder)
        require_known(architecture(config), [ARCHITECTURE], folder)
        return cls(PolicyNet.load(folder, config), read_task(folder))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`; they are few and fixed, since the policy sees the numbers."""
        return self._task.prompt_tokens

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
            plain = None, {place: action.text for place, action in enumerate(self._actions)}
            key, values = plain if call.schema is None else writings(call.schema, self._actions)
            question = call.instruction if call.text is None else call.text
            return _PolicyCall(self._task.tokens(question, self._read), key, values)
        except OrchestraError as error:
            return error

    def _chances(self, posed: Sequence[_PolicyCall]) -> NDArray[np.float32]:
        if not posed:
            return np.empty((0, len(self._actions)), np.float32)
        seen_BT = np.array([entry.tokens for entry in posed])
        return self._policy.chances(seen_BT, len(self._actions))


def writings(schema: Mapping[str, Any], actions: Sequence[Action]) -> tuple[str, dict[int, Any]]:
    """The schema's one property, and by place what each of `actions` that fits is written as.

    Raises InvalidSchema for a schema of several properties, or one that no action fits.
    """
    properties = read_schema(schema).properties
    if len(properties) != 1:
        raise InvalidSchema(
            f"The schema has the properties {[name for name, _ in properties]!r}, and this model "
            "gives one answer. Ask for one property."
        )
    name, options = properties[0]
    found: dict[int, Any] = {}
    for place, action in enumerate(actions):
        values = [value for option in options for value in _values(option, action)]
        if values:
            found[place] = values[0]
    if not found:
        raise InvalidSchema(
            f"The property {name!r} takes {[option.kind for option in options]!r}, which holds "
            f"none of the answers from {actions[0].text!r} to {actions[-1].text!r}. Make it an "
            "integer, or a string."
        )
    return name, found


def _values(option: ValueShape, action: Action) -> list[Any]:
    """`action` as `option` allows it: one value or none."""
    number, text = action.number, action.text
    if option.kind == "enum":
        as_number = [v for v in option.values if v == number and not isinstance(v, bool)]
        return as_number or [v for v in option.values if v in (text, str(number))]
    if option.kind in ("integer", "number"):
        return [number] if option.is_within(number) else []
    if option.kind in ("string", "span"):
        fits = option.kind == "span" or option.is_within(len(text))
        return [text] if fits and (not option.pattern or re.search(option.pattern, text)) else []
    return []
