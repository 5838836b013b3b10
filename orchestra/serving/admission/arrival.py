"""When a request arrived, and what its first bytes say of it: its deadline, its kind, its lane.

The time it waited before this process counts where it can be known: a proxy in front says it in
`X-Request-Start` (as nginx and Heroku write it). A body is not parsed here, only looked at: most
of those that are refused are refused by its length and two numbers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from orchestra.access.principal import Lane
from orchestra.core.job import Budget

START_HEADER = b"x-request-start"
LANE_HEADER = b"x-orchestra-priority"
MOST_WAITED_S = 600.0  # a clock that is further off says nothing
# Inside a text of JSON the second quote would have a backslash before it.
DEADLINE = re.compile(rb'"latency_ms"\s*:\s*"?([0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]+)?)')
STARTED = re.compile(rb"(?:t=)?([0-9]{1,20}(?:\.[0-9]{1,9})?)")
NAMED = re.compile(rb'"(?:graph|model)"\s*:\s*"([\w.:/ -]{1,64})"')
LOOKED_AT = 64 * 2**10  # bytes at each end of a body in which its name is looked for

Headers = Iterable[tuple[bytes, bytes]]
_ARRIVED: ContextVar[float | None] = ContextVar("orchestra_arrived", default=None)


@contextmanager
def arrived(at_s: float) -> Iterator[None]:
    """The request that is answered in this block arrived then, on the monotonic clock."""
    token = _ARRIVED.set(at_s)
    try:
        yield
    finally:
        _ARRIVED.reset(token)


def waited_in_block_s() -> float:
    """Seconds since the request that is answered here arrived; 0 where that is not known."""
    at_s = _ARRIVED.get()
    return 0.0 if at_s is None else time.monotonic() - at_s


def left_of(budget: Budget) -> Budget:
    """`budget` with what is left of its deadline, which counts from the request's arrival."""
    at_s = _ARRIVED.get()
    if at_s is None or budget.latency_ms is None:
        return budget
    left_ms = budget.latency_ms - waited_in_block_s() * 1000
    return budget.model_copy(update={"latency_ms": left_ms})


def waited_s(headers: Headers, unix_s: float) -> float:
    """Seconds since a proxy in front took the request; 0 where none says so, or says nonsense.

    Read are seconds, milliseconds and microseconds since 1970, with or without `t=`.
    """
    told = _header(headers, START_HEADER)
    if told is None:
        return 0.0
    found = STARTED.fullmatch(told.strip())
    if found is None:
        return 0.0
    started = float(found[1])
    for _ in range(2):  # milliseconds, microseconds
        started /= 1000 if started > 1e11 else 1  # in seconds that is the year 5138
    waited = unix_s - started
    return waited if 0 < waited < MOST_WAITED_S else 0.0


def lane_of(headers: Headers, lane: Lane) -> Lane:
    """The lane that a request asks for; a key's own batch lane is never left by a header."""
    told = _header(headers, LANE_HEADER)
    return "batch" if told is not None and told.strip().lower() == b"batch" else lane


def _header(headers: Headers, wanted: bytes) -> bytes | None:
    for name, value in headers:
        if name == wanted:
            return value
    return None


def deadline_s(body: bytes) -> float | None:
    """The seconds that a body's budget gives, the last where several stand there."""
    at = body.rfind(b'"latency_ms"')  # a search at the speed of memory, also through photos
    found = DEADLINE.match(body, at) if at >= 0 else None
    return None if found is None else float(found[1]) / 1000


def kind_of(path: str, body: bytes, size: int) -> str:
    """What requests are counted together by: route, graph or model, and about how large."""
    found = NAMED.search(body[:LOOKED_AT]) or NAMED.search(body[-LOOKED_AT:])
    named = "" if found is None else found[1].decode("ascii", "replace")
    return f"{path} {named} {(size >> 11).bit_length()}"
