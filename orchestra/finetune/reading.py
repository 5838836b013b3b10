"""What a run that learns a user's fields is asked for, what came of it, and how to ask for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestra.core.errors import UsageError
from orchestra.core.stats import Interval
from orchestra.finetune.labelled import LabelledRow, Labels
from orchestra.finetune.order import Say
from orchestra.finetune.values import ValueScore

READER = "workers.tagging.engine:TaggerEngine"
INSTRUCTION = "Extract what the text states."


@dataclass(frozen=True, slots=True)
class LearntFields:
    """The fields that were learnt: spans of the text, choices with their labels, and which of the
    spans may have several values.
    """

    spans: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]]
    lists: tuple[str, ...] = ()


ReaderTrainer = Callable[[Sequence[LabelledRow], Path, int, Say], LearntFields]


@dataclass(frozen=True, slots=True)
class ReadingOrder:
    """A run: the labels, the folder for the result, the share held out, the model (as
    `fleet/card`) that the result is compared with, and the worker that learns.
    """

    labels: Labels
    out: Path
    val: float = 0.2
    seed: int = 0
    base: str = "mini/encoder"
    worker: str = READER

    def __post_init__(self) -> None:
        if not 0 < self.val < 1:
            raise UsageError(f"--val is {self.val!r}; give a share between 0 and 1, as in 0.2.")

    @property
    def name(self) -> str:
        """A hash of all that decides what the run learns."""
        labels = {k: str(v) for k, v in asdict(self.labels).items() if k not in ("data", "gold")}
        files = [self.labels.data, self.labels.gold]
        bytes_ = [p.read_bytes() if p is not None and p.is_file() else b"" for p in files]
        parts = json.dumps([labels, self.val, self.seed, self.base, self.worker])
        return hashlib.sha256(b"\0".join([parts.encode(), *bytes_])).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Measured:
    """Held-out rows: what the reader comes to on all, and both on those that both were asked."""

    score: ValueScore
    seconds: float
    fields: Mapping[str, ValueScore]
    base: ValueScore | None = None
    beside: ValueScore | None = None
    gain: Interval | None = None
    compared_rows: int = 0
    why_not: str = ""


def schema_of(learnt: LearntFields, fields: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON schema that asks for what was learnt, or only for some `fields` of it."""
    properties: dict[str, Any] = {}
    for name in learnt.spans:
        text = {"type": "string"}
        shape = {"type": "array", "items": text} if name in learnt.lists else text
        properties[name] = {"anyOf": [shape, {"type": "null"}]}
    for name, labels in learnt.choices.items():
        properties[name] = {"enum": [*labels, None]}
    names = [name for name in fields if name in properties] or list(properties)
    return {
        "type": "object",
        "properties": {name: properties[name] for name in names},
        "required": names,
        "additionalProperties": False,
    }
