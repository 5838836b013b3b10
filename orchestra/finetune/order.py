"""What a fine-tuning run is asked for, what a trainer is given, and what it gives back.

A trainer is named by the worker class of a card, as its attribute `trainer`: "module:function".
This module knows no model library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestra.core.errors import UsageError
from orchestra.finetune.rows import TrainingRow
from orchestra.finetune.score import FieldScore

Method = Literal["full", "lora"]
Say = Callable[[str], None]
STATE = "state"
PASSES = 5  # over the rows, when neither steps nor minutes are given


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """How long and how a model learns; without `lr` the trainer takes one by the model's size.

    `steps` repeats exactly; `minutes` is wall clock, without it and steps the rows are passed
    `PASSES` times. `snapshot_s` is the time between two states that a killed run goes on from.
    """

    method: Method = "full"
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    lr: float | None = None
    batch: int = 16
    snapshot_s: float = 60.0

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise UsageError(
                f"Both --steps {self.steps!r} and --minutes {self.minutes!r} are given. Give one."
            )
        for name, value in (("steps", self.steps), ("minutes", self.minutes),
                            ("lr", self.lr), ("batch", self.batch)):  # fmt: skip
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"--{name} is {value!r}; give a number over 0.")


@dataclass(frozen=True, slots=True)
class Order:
    """A run: the base as `fleet/model`, the table, the folder for the result, the share kept."""

    base: str
    data: Path
    out: Path
    val: float = 0.2
    settings: FinetuneSettings = FinetuneSettings()

    def __post_init__(self) -> None:
        if not 0 < self.val < 1:
            raise UsageError(f"--val is {self.val!r}; give a share between 0 and 1, as in 0.2.")


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What a trainer is given: the checkpoint, rows and their schemas, and where to write.

    `name` tells one run from another: a state of another name is not gone on from.
    """

    name: str
    checkpoint: Path | str
    device: str
    out: Path
    train: Sequence[TrainingRow]
    held_out: Sequence[TrainingRow]
    schemas: Mapping[tuple[str, ...], dict[str, Any]]
    settings: FinetuneSettings

    @property
    def state(self) -> Path:
        """A folder for what a killed run goes on from; it is removed when the run is finished."""
        return self.out / STATE


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it. `worker` runs the checkpoint in `out`; `tokens` were learnt from."""

    worker: str
    before: Sequence[FieldScore]
    after: Sequence[FieldScore]
    steps: int
    tokens: int
    seconds: float
    parameters: int
    trained_parameters: int


Trainer = Callable[[TrainingTask, Say], Trained]
