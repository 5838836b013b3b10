"""Which of the runs that wait are asked for: narrowed, and in pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from orchestra.core.errors import UsageError
from orchestra.graph.threads import Thread
from orchestra.serving.words import ThreadList

MOST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """Which runs are asked for; None is any. Those behind `after`, at most `limit`."""

    status: str | None = None
    graph: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    after: str | None = None
    limit: int = MOST_PAGE
    newest: bool = False


def page_of(threads: Sequence[Thread], query: ThreadQuery) -> ThreadList:
    """The page that `query` asks for. Raises `UsageError` for an `after` that is not there."""
    seen = list(reversed(threads)) if query.newest else list(threads)
    if query.after is not None:
        place = next((at for at, t in enumerate(seen) if t.thread_id == query.after), None)
        if place is None:
            raise UsageError(
                f"after is {query.after[:80]!r}, and no run of that name waits any longer. Begin "
                "again without it."
            )
        seen = seen[place + 1 :]
    found = [thread for thread in seen if _is_meant(thread, query)]
    return ThreadList.of(found, query.limit, attrgetter("thread_id"))


def _is_meant(thread: Thread, query: ThreadQuery) -> bool:
    asked = ((query.status, thread.status), (query.graph, thread.graph))
    return all(want is None or want == has for want, has in asked) and all(
        thread.tags.get(key) == value for key, value in query.tags.items()
    )
