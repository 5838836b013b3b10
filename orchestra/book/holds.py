"""Who has a thread: one at a time goes on with a run, and nobody with what it was before."""

from __future__ import annotations

from orchestra.book.messages import TakeThread
from orchestra.core.errors import ThreadTaken


def check_free(id: str, holder: str | None, by: str) -> None:
    """Raise `ThreadTaken` when `holder`, who has the thread now, is not `by`."""
    if holder not in (None, by):
        raise ThreadTaken(
            f"Somebody else goes on with the run {id!r} at the moment. Wait for its result, or "
            "read how it stands; give another job a thread_id of its own."
        )


def check_version(taken: TakeThread, version: int | None) -> None:
    """Raise `ThreadTaken` when the thread has another `version` by now; None: it has ended."""
    if version != taken.version:
        raise ThreadTaken(
            f"The run {taken.id!r} was answered meanwhile, and "
            f"{'came to its end' if version is None else 'has gone on'}. Read how it stands; this "
            "answer changed nothing."
        )
