"""What is filed beside a book: files, batches and their lines, kept answers, messages out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FilePurpose = Literal["batch", "batch_output", "vision", "user_data"]
BatchStatus = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
OVER: tuple[BatchStatus, ...] = ("failed", "completed", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class FiledFile:
    """A file of a tenant; times are seconds since 1970. Its bytes lie in the folder, by its id."""

    id: str
    tenant: str
    purpose: FilePurpose
    filename: str
    bytes: int
    created: int
    expires: int | None = None


@dataclass(frozen=True, slots=True)
class LineUse:
    """Tokens that lines used; `cached` of `sent` were not paid for again."""

    sent: int = 0
    cached: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class FiledBatch:
    """A batch of requests: each line of `input_file` goes to `endpoint`, before it `expires`.

    `key` and `weight` are of who asks, as `tenant` is. `times` tell when it came to each status.
    `problems` say why it failed as a whole.
    """

    id: str
    tenant: str
    key: str
    weight: float
    endpoint: str
    input_file: str
    window: str
    created: int
    expires: int
    status: BatchStatus = "validating"
    metadata: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    output_file: str | None = None
    error_file: str | None = None
    problems: tuple[Mapping[str, str | int | None], ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it came to its end."""
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class LineOutcome:
    """What one line came to: its whole line of the output or, where it failed, of the errors."""

    line: int
    is_failed: bool
    outcome: str
    use: LineUse = LineUse()


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How many lines were answered and failed, and the tokens that all of them used."""

    completed: int
    failed: int
    use: LineUse


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer that a key of a tenant had; while it is not there, who came first is at work."""

    asked: str
    status: int | None
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class OutMessage:
    """A message to be delivered: its `body` is JSON, `tries` were made already."""

    id: str
    body: str
    tries: int
    created: int
