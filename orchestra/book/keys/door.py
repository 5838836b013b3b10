"""Who is inside a server, and how often each came in a minute; in memory, and knows no money.

It is the ledger's process that has it, so that several ingresses count together. A process that
begins anew has forgotten it: then a minute begins anew as well.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestra.book.keys.terms import Bounds
from orchestra.core.errors import RateLimited

MINUTE_S = 60.0
LEASE_S = 120.0  # who is not heard of for so long is gone: its ingress died
SOON_S = 1.0  # when to come again where nobody knows
MOST_NAMES = 8192  # that are remembered at once; those that are quiet go first


@dataclass(frozen=True, slots=True)
class Bound:
    """What holds of one who comes in, `shown` so in messages, and its tokens used up to now."""

    name: str
    shown: str
    bounds: Bounds
    tokens: int


@dataclass(eq=False, slots=True)
class _Minute:
    """What came of one name in the last minute: when, and how many more tokens each time."""

    came: deque[float] = field(default_factory=deque[float])
    used: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])
    seen: int | None = None  # tokens in all

    def pass_to(self, now: float) -> None:
        """Forget what is a minute ago."""
        while self.came and self.came[0] <= now - MINUTE_S:
            self.came.popleft()
        while self.used and self.used[0][0] <= now - MINUTE_S:
            self.used.popleft()

    def see(self, now: float, tokens: int) -> None:
        """Note how many tokens there are by now; fewer than before were given back."""
        more = 0 if self.seen is None else tokens - self.seen
        self.seen = tokens
        while more < 0 and self.used:  # what was reserved last is given back first
            at, count = self.used.pop()
            more += count
            if more > 0:
                now = at
        if more <= 0:
            return
        if self.used and now - self.used[-1][0] < 1:  # one a second, so that they are few
            now, before = self.used.pop()
            more += before
        self.used.append((now, more))


@dataclass(eq=False, slots=True)
class _Inside:
    names: tuple[str, ...]
    spenders: tuple[str, ...]  # those of them whose tokens of a minute are bounded
    until: float


class Attendance:
    """Counts who comes in and leaves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._inside: dict[str, _Inside] = {}
        self._busy: Counter[str] = Counter()
        self._minutes: dict[str, _Minute] = {}

    def enter(self, uid: str, bounds: Sequence[Bound]) -> None:
        """Let `uid` in, or raise `RateLimited`, which counts nothing. Again it counts once."""
        now = self._clock()
        if uid in self._inside:
            self._inside[uid].until = now + LEASE_S
            return
        self._drop_gone(now)
        minutes = [self._minute(bound, now) for bound in bounds]
        for bound, minute in zip(bounds, minutes, strict=True):
            self._check(bound, minute, now)
        for bound, minute in zip(bounds, minutes, strict=True):
            self._busy[bound.name] += 1
            if bound.bounds.requests_per_minute is not None:
                minute.came.append(now)
        names = tuple(bound.name for bound in bounds)
        spenders = tuple(one.name for one in bounds if one.bounds.tokens_per_minute is not None)
        self._inside[uid] = _Inside(names, spenders, now + LEASE_S)

    def stay(self, uids: Sequence[str]) -> None:
        """These are still inside."""
        until = self._clock() + LEASE_S
        for uid in uids:
            if uid in self._inside:
                self._inside[uid].until = until

    def leave(self, uid: str) -> tuple[str, ...]:
        """It is over; the names of which the tokens of a minute are to be seen now."""
        gone = self._inside.pop(uid, None)
        for name in () if gone is None else gone.names:
            self._busy[name] -= 1
            if not self._busy[name]:
                del self._busy[name]
        return () if gone is None else gone.spenders

    def see(self, bounds: Sequence[Bound]) -> None:
        """Note what tokens were used, as a request ends."""
        now = self._clock()
        for bound in bounds:
            self._minute(bound, now)

    def _drop_gone(self, now: float) -> None:
        # Leases are renewed in no order, but one that is over is found within a lease's time.
        gone = [uid for uid, one in self._inside.items() if one.until < now]
        for uid in gone:
            self.leave(uid)

    def _check(self, bound: Bound, minute: _Minute, now: float) -> None:
        most = bound.bounds
        if most.concurrent is not None and self._busy[bound.name] >= most.concurrent:
            raise _limited(
                f"{bound.shown} has {self._busy[bound.name]} requests under way, the most that it "
                "may have. Wait until one has ended.",
                SOON_S,
            )
        count = most.requests_per_minute
        if count is not None and len(minute.came) >= count:
            again_s = minute.came[len(minute.came) - count] + MINUTE_S - now
            raise _limited(
                f"{bound.shown} has made {len(minute.came)} requests within a minute, of {count} "
                f"that it may make. Come again in {again_s:.0f} s, or have the limit raised.",
                again_s,
            )
        used = sum(count for _, count in minute.used)
        if most.tokens_per_minute is not None and used >= most.tokens_per_minute:
            again_s = minute.used[0][0] + MINUTE_S - now
            raise _limited(
                f"{bound.shown} has used or reserved {used} tokens within a minute, of "
                f"{most.tokens_per_minute} that it may use. Come again in {again_s:.0f} s, or "
                "have the limit raised.",
                again_s,
            )

    def _minute(self, bound: Bound, now: float) -> _Minute:
        minute = self._minutes.pop(bound.name, None) or _Minute()
        self._minutes[bound.name] = minute  # last used, last dropped
        if len(self._minutes) > MOST_NAMES:
            del self._minutes[next(iter(self._minutes))]
        minute.pass_to(now)
        if bound.bounds.tokens_per_minute is not None:
            minute.see(now, bound.tokens)
        return minute


def _limited(message: str, again_s: float) -> RateLimited:
    error = RateLimited(message)
    error.retry_after_s = again_s
    return error
