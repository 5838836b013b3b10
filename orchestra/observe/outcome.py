"""How the runs of a request ended, told to who passes the request on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The status of a result, and what it cost in dollars."""

    status: str
    cost_usd: Decimal


_NOTED: ContextVar[list[RunEnd] | None] = ContextVar("orchestra_outcomes", default=None)


@contextmanager
def noted_outcomes() -> Iterator[list[RunEnd]]:
    """How runs end in the block, those of tasks begun in it included."""
    noted: list[RunEnd] = []
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)


def note_outcome(status: str, cost_usd: Decimal) -> None:
    """A result ended with this status, and cost so much."""
    noted = _NOTED.get()
    if noted is not None:
        noted.append(RunEnd(status, cost_usd))
