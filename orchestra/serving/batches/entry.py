"""How a line of a batch comes in: by the queue that requests wait in, then by its batch's key.

The key that a batch was begun with is looked at again for each line, by its id: one that was
revoked, or whose money is spent, runs no more of them. In the queue lines go after requests that
somebody waits for.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from orchestra.access.principal import Principal
from orchestra.book.keys.key_messages import Enter, Leave
from orchestra.book.ledger import Ledger
from orchestra.core.errors import OrchestraError
from orchestra.serving.admission.queue import Arrival
from orchestra.serving.admission.turnstile import Turnstile
from orchestra.serving.guards.keys import Access

# Of who began a batch and its endpoint, who asks now; the line runs inside.
Entrance = Callable[[Principal, str], AbstractAsyncContextManager[Principal]]


@dataclass(frozen=True, slots=True)
class LineEntrance:
    """Lets lines in as the guards of the HTTP face let requests in.

    Those that are let in are `inside`, of whom a `Ticker` tells the ledger that they still are.
    """

    ledger: Ledger
    access: Access
    turnstile: Turnstile
    inside: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def __call__(self, who: Principal, endpoint: str) -> AsyncIterator[Principal]:
        """Let one in, and out at the end.

        Raises `KeyRefused`, `NotAllowed` and `BudgetExceeded` for who may not ask any more, and
        `RateLimited` and `Overloaded` for who may later.
        """
        # Its money, rates and concurrency are counted while it runs, not while it waits.
        async with self._turn(who, endpoint), self._keyed(who) as now:
            yield now

    @asynccontextmanager
    async def _keyed(self, who: Principal) -> AsyncIterator[Principal]:
        if not self.access.is_needed:
            yield who
            return
        uid = uuid.uuid4().hex
        asked = Enter(uid, who.key, route="batches", day_micro=self.access.day_micro)
        try:
            entered = Principal.of(await self.ledger.send(asked))
            self.inside.add(uid)
            yield replace(entered, lane="batch")
        finally:
            self.inside.discard(uid)
            # A ledger that does not answer forgets it in time, and costs no line its outcome.
            with suppress(OrchestraError):
                await self.ledger.send(Leave(uid))

    @asynccontextmanager
    async def _turn(self, who: Principal, endpoint: str) -> AsyncIterator[None]:
        """Wait for a place at the models."""
        now_s = time.monotonic()
        entry = Arrival(who.tenant, who.weight, "batch", f"{endpoint} of a batch", now_s)
        turn = entry.told = asyncio.get_running_loop().create_future()
        self.turnstile.offer(entry, now_s)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled() or not turn.done():
                self.turnstile.leave(entry, time.monotonic())
            else:
                self.turnstile.end(entry, time.monotonic(), is_answered=False)
            raise
        is_answered = False
        try:
            yield
            is_answered = True
        finally:
            self.turnstile.end(entry, time.monotonic(), is_answered=is_answered)
