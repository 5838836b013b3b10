"""Admission in an ingress: what the front let in passes, and the front is told who asked."""

from __future__ import annotations

import time

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.access.principal import principal
from orchestra.core.errors import Overloaded
from orchestra.serving.admission.arrival import arrived, waited_s
from orchestra.serving.admission.guard import Admission, is_work
from orchestra.serving.admission.letter import Metrics, read_letter, settings, who_header
from orchestra.serving.admission.turnstile import Turnstile
from orchestra.serving.refusals import refusal


class IngressAdmission:
    """The guard of an ingress's application: behind a front it lets in, without one it admits.

    `turnstile` is where lines of batches wait as well: what a front let in takes a place of it.
    """

    def __init__(self, app: ASGIApp, turnstile: Turnstile) -> None:
        told = settings()
        self._app = app
        self._secret = None if told is None else told.secret
        self.admission = Admission(
            app, lambda scope: principal(), _refusal, Metrics(), turnstile=turnstile
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when its turn comes, or at once where it came already."""
        if self._secret is None or not is_work(scope) or not read_letter(scope, self._secret):
            await self.admission(scope, receive, send)
            return
        who = who_header(principal())

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], who]}
            await send(message)

        at_s = time.monotonic() - waited_s(scope["headers"], time.time())
        turnstile = self.admission.turnstile
        turnstile.pass_in()
        try:
            with arrived(at_s):
                await self._app(scope, receive, told)
        finally:
            turnstile.pass_out(time.monotonic())


def _refusal(error: Overloaded) -> Response:
    return refusal(error)
