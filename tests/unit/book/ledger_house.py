"""A ledger that members share, without processes: it can die, be silent, and time passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestra.book.messages import BeginCall
from orchestra.book.shared.member import LedgerMember
from orchestra.book.shared.server import LedgerServer
from orchestra.book.shared.words import Answered, Bundle, Collected
from orchestra.core.errors import BookUnavailable


def begin(uid: str, account: str = "job", cost_micro: int = 10) -> BeginCall:
    """A call that begins."""
    return BeginCall(uid, account, f"key {uid}", "read", "r1", cost_micro, 5)


class Clock:
    """A time that only tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class House:
    """A ledger's process that can die: the next one finds the book as that one left it."""

    def __init__(self, path: Path | str | None) -> None:
        self.clock = Clock()
        self._path = path
        self.server = LedgerServer(path, self.clock)
        self.is_away = False

    def die(self) -> None:
        """As by SIGKILL; another process begins at once."""
        self.server.close()
        self.server = LedgerServer(self._path, self.clock)

    async def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        await self.server.tick()

    def member(self, samples: Callable[[], bytes] = bytes) -> LedgerMember:
        return LedgerMember(self, samples, beat_s=3600)

    async def apply(self, bundle: Bundle) -> Answered:
        if self.is_away:
            raise BookUnavailable("The ledger does not answer.")
        return await self.server.apply(bundle)

    async def collect(self, member: str, samples: bytes) -> Collected:
        return await self.server.collect(member, samples)

    async def leave(self, member: str, samples: bytes) -> None:
        await self.server.leave(member, samples)
