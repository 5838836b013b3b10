"""What a policy was trained on: how a question in words becomes what it sees, and what it may do.

`task.json` beside the weights says so. Sums modulo a number are read by their own rule; what any
other environment shows is read by the environment's `read`, or number by number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from orchestra.core import shipped
from orchestra.core.errors import CheckpointInvalid, OutsideDomain
from workers.loading.checkpoint import RESTORE
from workers.zero.sums import read_sum

TASK_FILE = "task.json"
NUMBER = re.compile(r"-?\d+")
Read = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a policy may do: the environment's number for it, and its name, or ""."""

    number: int
    name: str = ""

    @property
    def text(self) -> str:
        """How it is written where words are asked for."""
        return self.name or str(self.number)


class SumsTask(BaseModel):
    """Sums of two numbers under `numbers`, modulo `modulus`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    @property
    def prompt_tokens(self) -> int:
        """The two numbers, and the token that asks for the answer."""
        return 3

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every answer."""
        return tuple(Action(number) for number in range(self.modulus))

    def tokens(self, question: str, read: Read | None = None) -> list[int]:
        """What the policy sees of `question`. Raises `OutsideDomain` for anything else."""
        problem = read_sum(question)
        if problem is None or problem.modulus != self.modulus:
            raise _outside(question, self.about)
        too_large = [n for n in (problem.first, problem.second) if n >= self.numbers]
        if too_large:
            raise OutsideDomain(
                f"The number {too_large[0]!r} is over {self.numbers - 1}, the largest that this "
                f"model learnt ({self.about}). Ask another model."
            )
        return [problem.first, problem.second, self.numbers]


class WorldTask(BaseModel):
    """An environment of anybody's: `sizes` values from `lows` on for each token that it shows.

    `reader` is the class, as `module:Class`, whose `read` turns a question into an observation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str
    sizes: tuple[int, ...]
    lows: tuple[int, ...]
    first_action: int
    meanings: tuple[str, ...]  # of each action, in order; "" where it has no name
    reader: str | None = None

    @property
    def about(self) -> str:
        """The task in words, for errors."""
        ranges = (
            f"{low} to {low + size - 1}" for low, size in zip(self.lows, self.sizes, strict=True)
        )
        how = f"as {self.reader}.read reads it" if self.reader else "written in this order"
        return f"what {self.environment} shows ({', '.join(ranges)}), {how}"

    @property
    def prompt_tokens(self) -> int:
        """What is shown, and the token that asks for an action."""
        return len(self.sizes) + 1

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every action that the policy chooses among."""
        return tuple(Action(self.first_action + at, name) for at, name in enumerate(self.meanings))

    def tokens(self, question: str, read: Read | None = None) -> list[int]:
        """What the policy sees of `question`. Raises `OutsideDomain` for what it does not show."""
        if read is None:
            shown: Any = [int(number) for number in NUMBER.findall(question)]
        else:
            shown = read(question)
        if shown is None:
            raise _outside(question, self.about)
        seen = [int(value) for value in np.asarray(shown).reshape(-1)]
        places = [value - low for value, low in zip(seen, self.lows, strict=False)]
        inside = all(0 <= place < size for place, size in zip(places, self.sizes, strict=False))
        if len(seen) != len(self.sizes) or not inside:
            raise _outside(question, self.about)
        return [*places, max(self.sizes)]

    def load_reader(self) -> Read | None:
        """The environment's own `read`. Raises `CheckpointInvalid` where it is not there."""
        if self.reader is None:
            return None
        try:
            return shipped.attribute(self.reader).read
        except Exception as cause:  # the module is foreign code, and raises what it likes
            raise CheckpointInvalid(
                f"The policy was trained on {self.environment!r}, and {self.reader!r}, which reads "
                f"its questions, cannot be loaded: {cause}. Put its module where Python finds it."
            ) from cause


Task = SumsTask | WorldTask
_TASKS: TypeAdapter[Task] = TypeAdapter(Task)


def read_task(folder: Path) -> Task:
    """The task of a checkpoint. Raises `CheckpointInvalid` where it does not say."""
    path = folder / TASK_FILE
    try:
        return _TASKS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointInvalid(
            f"{str(path)!r} does not say what the model was trained on: {error}. {RESTORE}"
        ) from error


def _outside(question: str, about: str) -> OutsideDomain:
    return OutsideDomain(
        f"{question[:80]!r} is outside what this model learnt: {about}. Ask another model."
    )
