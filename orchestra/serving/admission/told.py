"""What an ingress tells the door of a refusal, in a header of its answer: for whom it holds."""

from __future__ import annotations

from orchestra.core.errors import Overloaded, QueueFull

HEADER = "x-orchestra-refused"
FULL = "full"


def refusal_header(error: Overloaded) -> dict[str, str]:
    """The header of a refusal: the deadline that would do, in seconds, and when to ask again."""
    if isinstance(error, QueueFull):
        return {HEADER: f"{FULL} {error.retry_after_s or 1:.3f}"}
    if error.needed_s is None:
        return {}
    return {HEADER: f"{error.needed_s:.3f} {error.retry_after_s or 1:.3f}"}


def read_refusal(told: str) -> tuple[float | None, float] | None:
    """Seconds that would do (None: however many), and when to ask again; None for nonsense."""
    needed, _, again = told.partition(" ")
    try:
        return (None if needed == FULL else float(needed)), float(again)
    except ValueError:
        return None
