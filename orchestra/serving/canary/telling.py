"""Tells the court of all ingresses what one of them saw of a canary, and this one what it says."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from orchestra.core.errors import BookError
from orchestra.observe.log import log_bug
from orchestra.serving.canary.court import CanaryReport, CanaryVerdict
from orchestra.serving.canary.trial import CanaryTrial

Hear = Callable[[CanaryReport], Awaitable[CanaryVerdict]]
TELL_S = 1.0
FIRST_S = 5.0  # an ingress takes work after so long, whether it heard of a verdict or not


class CanaryTelling:
    """Brings reports of `trial` to the court that `hear` reaches, until there is a verdict."""

    def __init__(self, trial: CanaryTrial, hear: Hear, tell_s: float = TELL_S) -> None:
        self._trial, self._hear, self._tell_s = trial, hear, tell_s
        self._member = uuid.uuid4().hex

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Tell in the block; a verdict that there is already is heard before it begins."""
        task = asyncio.create_task(self._keep_on())
        heard = asyncio.create_task(self.tell())
        await asyncio.wait({heard}, timeout=FIRST_S)
        try:
            yield
        finally:
            for each in (task, heard):
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each

    async def tell(self) -> bool:
        """Tell what the court does not know yet; whether it has come to a verdict."""
        while True:
            report = self._trial.report(self._member)
            try:
                verdict = await self._hear(report)
            except BookError:  # later
                return False
            except Exception as error:  # a defect: the ingress judges by itself
                log_bug(error)
                return False
            self._trial.heard(verdict)
            if verdict.worse is not None:
                return True
            if verdict.known >= report.first + len(report.seen) and not self._trial.untold:
                return False

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(self._tell_s)
            if await self.tell():
                return
