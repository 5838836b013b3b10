"""The front: admission in Serve's HTTP proxy, before a request costs anything.

A request that is refused in an ingress has cost the proxy and the ingress milliseconds of CPU on
its way, and at five times capacity that is more than the machine has. One proxy stands before all
ingresses, so there is one queue, and what is counted from the socket is. Who asks is known by an
ingress alone, which checks keys: it tells the front in its answer, and the front remembers it by
the credential; requests with one that it has not seen stand together as a tenant of their own.

Serve calls `middlewares` in the proxy's process where `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`
names it, as `orchestra serve` sets it. Where it does not, each ingress does the same for itself.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping

from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.access.principal import Principal
from orchestra.core.errors import Overloaded
from orchestra.core.garbage import collect_seldom
from orchestra.serving.admission.arrival import START_HEADER, waited_in_block_s
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
from orchestra.serving.problems import headers_of, problem
from orchestra.serving.wire import bound_headers

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
PLACE = "orchestra.serving.admission.front:middlewares"
KNOWN = 4096  # credentials whose tenants are remembered, the last seen
CREDENTIALS = (b"authorization", b"x-api-key")
UNKNOWN = Principal(tenant="")


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
    return [Middleware(Front, settings=told), Middleware(Patience)]


class Front:
    """Lets requests in, and tells the ingress so."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._secret = settings.secret
        self._tally = Tally()
        self._tenants: OrderedDict[tuple[bytes, ...], Principal] = OrderedDict()
        self.admission = Admission(
            self._let_in, self._who, _refusal, self._tally, settings.places, settings.at_once
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, have it wait, or refuse it."""
        await self.admission(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_work(scope):
            await self._app(scope, receive, send)
            return
        name = LETTER.encode()
        headers = [pair for pair in scope["headers"] if pair[0] != name]
        letter = (name, self._tally.letter(self._secret))
        if not any(key == START_HEADER for key, _ in headers):
            headers.append((START_HEADER, f"t={time.time() - waited_in_block_s():.6f}".encode()))
        who = WHO.encode()

        async def heard(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = [value for key, value in message["headers"] if key == who]
                if told:
                    self._remember(_credential(scope), read_who(told[0]))
                    kept = [pair for pair in message["headers"] if pair[0] != who]
                    message = {**message, "headers": kept}
            await send(message)

        await self._app({**scope, "headers": [*headers, letter]}, receive, heard)

    def _who(self, scope: Scope) -> Principal:
        return self._tenants.get(_credential(scope), UNKNOWN)

    def _remember(self, credential: tuple[bytes, ...], who: Principal) -> None:
        self._tenants[credential] = who
        self._tenants.move_to_end(credential)
        if len(self._tenants) > KNOWN:
            self._tenants.popitem(last=False)


def _refusal(error: Overloaded) -> Response:
    status, answer = problem(error)
    return JSONResponse(answer, status, headers_of(status, error.retry_after_s))


def _credential(scope: Scope) -> tuple[bytes, ...]:
    sent: dict[bytes, bytes] = dict(scope["headers"])
    return tuple(sent.get(name, b"") for name in CREDENTIALS)
