"""The front: admission in Serve's HTTP proxy, before a request costs anything.

A request that is refused in an ingress has cost the proxy and the ingress milliseconds of CPU on
its way, and at five times capacity that is more than the machine has. One proxy stands before all
ingresses, so there is one queue, and what is counted from the socket is. Who asks is known by an
ingress alone, which checks keys: it tells the front in its answer, and the front remembers it by
the credential (`acquainted.py`); others stand together as a tenant of their own.

Serve calls `middlewares` in the proxy's process where `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`
names it, as `orchestra serve` sets it. Where it does not, each ingress does the same for itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.access.principal import Principal
from orchestra.core.garbage import collect_seldom
from orchestra.serving.admission.acquainted import Acquainted, credential_of
from orchestra.serving.admission.arrival import (
    START_HEADER,
    arrived,
    lane_of,
    waited_in_block_s,
    waited_s,
)
from orchestra.serving.admission.guard import Admission, is_work
from orchestra.serving.admission.letter import (
    ENVIRONMENT,
    LETTER,
    WHO,
    Settings,
    Tally,
    read_who,
    settings,
)
from orchestra.serving.admission.patience import Patience
from orchestra.serving.admission.prepared import Prepared, refused
from orchestra.serving.wire import bound_headers

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
PLACE = "orchestra.serving.admission.front:middlewares"
UNKNOWN = Principal(tenant="")
WRONG = 401  # the status of a credential that is nobody's
LETTER_NAME, WHO_NAME = LETTER.encode(), WHO.encode()


def front_environment(places: int, at_once: int) -> Mapping[str, str]:
    """What the processes of a server need in their environment to have a front."""
    told = Settings(secrets.token_hex(16), places, at_once)
    return {CALLBACK: PLACE, ENVIRONMENT: told.text()}


def middlewares() -> list[Middleware]:
    """What Serve's proxy is to wrap around itself; the last is met first."""
    bound_headers()
    told = settings()
    if told is None:
        return []
    collect_seldom()
    return [Middleware(Patience), Middleware(Front, settings=told)]


class Front:
    """Lets requests in, and tells the ingress so."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._secret = settings.secret
        self._tally = Tally()
        self._acquainted = Acquainted()
        self.admission = Admission(
            self._let_in, self._who, refused, self._tally, settings.places, settings.at_once
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, have it wait, or refuse it."""
        if not is_work(scope):
            await self._app(scope, receive, send)
            return
        credential, now_s = credential_of(scope), time.monotonic()
        wrong = self._acquainted.refusal(credential, now_s)
        if wrong is not None:
            self._tally.count(lane_of(scope["headers"], UNKNOWN.lane), "KeyRefused")
            await wrong(scope, receive, send)
        elif not self.admission.turnstile.has_room and self._acquainted.may_ask(credential, now_s):
            at_s = now_s - waited_s(scope["headers"], time.time())
            with self._acquainted.asking(credential), arrived(at_s):
                await self._let_in(scope, receive, send)
        else:
            await self.admission(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [pair for pair in scope["headers"] if pair[0] != LETTER_NAME]
        letter = (LETTER_NAME, self._tally.letter(self._secret))
        if not any(key == START_HEADER for key, _ in headers):
            headers.append((START_HEADER, f"t={time.time() - waited_in_block_s():.6f}".encode()))
        wrong: Message | None = None

        async def heard(message: Message) -> None:
            nonlocal wrong
            if message["type"] == "http.response.start":
                told = [value for key, value in message["headers"] if key == WHO_NAME]
                if told:
                    self._acquainted.remember(credential_of(scope), read_who(told[0]))
                    kept = [pair for pair in message["headers"] if pair[0] != WHO_NAME]
                    message = {**message, "headers": kept}
                elif message["status"] == WRONG:
                    wrong = message
            elif wrong is not None and not message.get("more_body", False):
                answer = Prepared(WRONG, tuple(wrong["headers"]), message["body"])
                self._acquainted.refuse(credential_of(scope), answer, time.monotonic())
            await send(message)

        await self._app({**scope, "headers": [*headers, letter]}, receive, heard)

    def _who(self, scope: Scope) -> Principal:
        return self._acquainted.who(credential_of(scope)) or UNKNOWN
