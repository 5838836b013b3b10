"""Looks at the clock for the ledger: days that begin, who is still inside, alerts that are due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Self

from orchestra.access.webhooks import WebhookFailed, send_webhook
from orchestra.book.keys.key_messages import AlertSent, DueAlert, Left, Stay, Tick
from orchestra.book.ledger import Ledger
from orchestra.core.errors import OrchestraError
from orchestra.observe import metrics

TICK_S = 5.0
STAY_TICKS = 6  # a lease lasts longer
LOG = logging.getLogger("orchestra")


class Ticker:
    """While it is entered, it looks every few seconds. `inside` are requests under way."""

    def __init__(
        self, ledger: Ledger, day_micro: int | None = None, period_s: float = TICK_S
    ) -> None:
        self.inside: set[str] = set()
        self._ledger = ledger
        self._day_micro = day_micro
        self._period_s = period_s
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look from now on, unless it does already."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._go_on())

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(self, *_: Any) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """Once: let a new day begin, note what is left, and send what is due."""
        ticked = await self._ledger.send(Tick(self._day_micro))
        for one in ticked.left:
            _note(one)
        await asyncio.gather(*map(self._send, ticked.due))

    async def _go_on(self) -> None:
        ticks = 0
        while True:
            try:
                await self.look()
                if ticks % STAY_TICKS == 0 and self.inside:
                    await self._ledger.send(Stay(tuple(self.inside)))
            except OrchestraError as error:  # a book that is back later is asked again
                LOG.warning("budgets were not looked at: %s", error.kind)
            ticks += 1
            await asyncio.sleep(self._period_s)

    async def _send(self, due: DueAlert) -> None:
        to = due.to
        try:
            await send_webhook(
                to.url, to.secret, due.id, due.body.encode(), allow_private=to.allow_private
            )
        except WebhookFailed as error:
            LOG.warning("the alert %s was not taken, try %d: %s", due.id, due.tries + 1, error)
            return
        await self._ledger.send(AlertSent(due.id))


def _note(one: Left) -> None:
    if one.kind != "key":  # keys are many, and no label
        metrics.note_budget_left(one.name, one.period, one.left_micro / 1_000_000)
