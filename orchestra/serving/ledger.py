"""The ledger of a served application: one named actor on the head node, which all ingresses share.

It outlives them, so that a new one can start while an old one still finishes what it has, and is
named after its book, so that whoever is given the same file finds the same actor. Where it dies Ray
starts it again (see `book/shared/server.py` for what becomes of what was under way).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestra.book.postgres import is_postgres
from orchestra.book.shared.member import LedgerMember
from orchestra.book.shared.server import CHECK_S, LedgerServer
from orchestra.book.shared.words import Answered, Bundle, Collected
from orchestra.clients.handle import LOST, ActorLink, shared_link
from orchestra.core.errors import BookUnavailable
from orchestra.observe import metrics
from orchestra.serving.args import AppArgs
from orchestra.serving.canary.court import CanaryCourt, CanaryReport, CanaryVerdict

NAMESPACE = "orchestra-ledger"
PATIENCE_S, TRY_AGAIN_S = 30.0, 0.2  # Ray starts an actor again within seconds


class LedgerActor(LedgerServer):
    """A `LedgerServer` in a process of its own, which keeps the time."""

    _ticking: asyncio.Task[None] | None = None
    _court: CanaryCourt | None = None

    async def apply(self, bundle: Bundle) -> Answered:
        """See `LedgerServer.apply`."""
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._keep_time())
        return await super().apply(bundle)

    async def judge(self, report: CanaryReport) -> CanaryVerdict:
        """What an ingress tells of a canary leads to. Raises `BookError`."""
        if self._court is None:
            self._court = CanaryCourt(self.note, self.keep_note)
        return self._court.hear(report)

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            await self.tick()


class ActorReach:
    """The way to an actor that `find` finds or starts; what was lost on it is sent again."""

    def __init__(self, find: Callable[[], ActorLink]) -> None:
        self._find = find
        self._link: ActorLink | None = None
        self._silent_since: float | None = None

    async def apply(self, bundle: Bundle) -> Answered:
        """See `Reach.apply`."""
        return await self._call("apply", bundle)

    async def collect(self, member: str, samples: bytes) -> Collected:
        """See `Reach.collect`."""
        return await self._call("collect", member, samples)

    async def leave(self, member: str, samples: bytes) -> None:
        """See `Reach.leave`."""
        await self._call("leave", member, samples)

    async def judge(self, report: CanaryReport) -> CanaryVerdict:
        """What the court of all ingresses makes of a report. Raises `BookError`."""
        return await self._call("judge", report)

    async def _call(self, method: str, *arguments: Any) -> Any:
        while True:
            try:
                if self._link is None:
                    self._link = await asyncio.to_thread(self._find)
                answer = await self._link.call(method, *arguments)
            except LOST as error:
                now = time.monotonic()
                self._link = None
                self._silent_since = self._silent_since or now
                if now - self._silent_since > PATIENCE_S:  # who comes later does not wait as long
                    raise BookUnavailable(
                        f"The ledger's process has not answered for {now - self._silent_since:.0f} "
                        f"s ({type(error).__name__}). It is started again by itself; send the "
                        "request again."
                    ) from error
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                self._silent_since = None
                return answer


def reach_of(args: AppArgs, app: str) -> ActorReach:
    """The way to the ledger of the app's book; without one, to the application's own."""
    book: Path | str | None = args.book or None
    if args.book and not is_postgres(args.book):
        book = Path(args.book).resolve()
    digest = hashlib.sha256(str(book).encode()).hexdigest()[:16]
    name = f"memory of {app}" if book is None else digest

    def find() -> ActorLink:
        return shared_link(f"ledger {name}", NAMESPACE, LedgerActor, book)

    return ActorReach(find)


def member_of(reach: ActorReach) -> LedgerMember:
    """This ingress as a member of the ledger."""
    return LedgerMember(reach, metrics.exposition)
