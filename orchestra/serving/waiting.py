"""Which of the runs that wait who asks may see: their own, narrowed and in pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestra.access.principal import principal
from orchestra.core.errors import ThreadTaken, UsageError
from orchestra.graph.threads import Thread, unknown_thread
from orchestra.serving.words import ThreadList

MOST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """Which runs are asked for; None is any. Those behind `after`, at most `limit`."""

    status: str | None = None
    graph: str | None = None
    tenant: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    after: str | None = None
    limit: int = MOST_PAGE
    newest: bool = False


def may_see(thread: Thread) -> bool:
    """Whether a run is one of who asks; without keys all are everybody's."""
    who = principal()
    return not who.key or who.tenant == thread.tenant


def page_of(threads: Sequence[Thread], query: ThreadQuery) -> ThreadList:
    """The page that `query` asks for. Raises `UsageError` for an `after` that is not there."""
    seen = [thread for thread in threads if may_see(thread)]
    if query.newest:
        seen.reverse()
    if query.after is not None:
        place = next((at for at, t in enumerate(seen) if t.thread_id == query.after), None)
        if place is None:
            raise UsageError(
                f"after is {query.after[:80]!r}, and no run of that name waits any longer. Begin "
                "again without it."
            )
        seen = seen[place + 1 :]
    found = [thread for thread in seen if _is_meant(thread, query)]
    data = found[: query.limit]
    return ThreadList(
        data=data,
        first_id=data[0].thread_id if data else None,
        last_id=data[-1].thread_id if data else None,
        has_more=len(found) > query.limit,
    )


def own(thread: Thread) -> Thread:
    """`thread`, where who asks may see it. Raises `UnknownThread` as if it were not there."""
    if not may_see(thread):
        raise unknown_thread(thread.thread_id)
    return thread


def check_name(threads: Sequence[Thread]) -> None:
    """Raise `ThreadTaken` where a run's name is that of another tenant's run."""
    for thread in threads:
        if not may_see(thread):
            raise ThreadTaken(
                f"The thread_id {thread.thread_id!r} is taken. Give another, with a word of your "
                "own in it."
            )


def _is_meant(thread: Thread, query: ThreadQuery) -> bool:
    asked = ((query.status, thread.status), (query.graph, thread.graph))
    asked += ((query.tenant, thread.tenant),)
    return all(want is None or want == has for want, has in asked) and all(
        thread.tags.get(key) == value for key, value in query.tags.items()
    )
