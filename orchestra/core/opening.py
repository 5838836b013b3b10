"""Who makes the run of a graph that was invoked without `Fleet.run` (LangGraph Studio, a script).

The top of the package says who, at import; so nothing down here names a fleet or loads one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Opener = Callable[[str], Awaitable[Any]]  # from a fleet's name to an `ask.Run`
_OPENERS: list[Opener] = []


def open_runs_with(opener: Opener) -> None:
    """Let `opener` make the runs that nobody prepared."""
    _OPENERS[:] = [opener]


def opener() -> Opener | None:
    """Who makes the runs that nobody prepared, if anybody does."""
    return _OPENERS[0] if _OPENERS else None
