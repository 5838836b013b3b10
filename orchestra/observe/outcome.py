"""How the runs of a request ended, told to who passes the request on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_NOTED: ContextVar[list[str] | None] = ContextVar("orchestra_outcomes", default=None)


@contextmanager
def noted_outcomes() -> Iterator[list[str]]:
    """The statuses of the results that end in the block, tasks begun in it included."""
    noted: list[str] = []
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)


def note_outcome(status: str) -> None:
    """A result ended with this status."""
    noted = _NOTED.get()
    if noted is not None:
        noted.append(status)
