"""Asks each request for its key, and lets it in with what that may: plain ASGI, around the routes.

One message to the ledger lets a request in, and one that nobody waits for lets it out. Failures are
told alike and after the same work, whatever was wrong; who fails often waits longer each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestra.access.principal import Principal, asking
from orchestra.access.secret import MOST_CHARS, digest_of, id_of
from orchestra.book.keys.gate import NO_KEY
from orchestra.book.keys.key_messages import Enter, Leave
from orchestra.book.keys.terms import Route
from orchestra.book.ledger import Ledger
from orchestra.core.errors import KeyRefused, OrchestraError, RateLimited
from orchestra.observe import metrics
from orchestra.serving.problems import reported
from orchestra.serving.ticker import Ticker

OPEN = frozenset(
    (
        "/console",
        "/console/",
        "/docs",
        "/docs/oauth2-redirect",
        "/favicon.ico",
        "/healthz",
        "/openapi.json",
        "/readyz",
    )
)
OPEN_FOLDERS = ("/console/static/",)
ROUTES: tuple[tuple[str, Route], ...] = (
    ("/v1/jobs", "jobs"),
    ("/v1/plan", "jobs"),
    ("/v1/chat", "chat"),
    ("/v1/responses", "chat"),
    ("/v1/embeddings", "embeddings"),
    ("/v1/batches", "batches"),
    ("/v1/files", "batches"),
    ("/v1/threads", "threads"),
    ("/v1/console/waiting", "threads"),
    ("/v1/keys", "admin"),
    ("/v1/tenants", "admin"),
    ("/metrics", "metrics"),
)
WORK = ("jobs", "chat", "embeddings", "batches", "threads")
HEADERS = (b"api-key", b"x-api-key")  # as some clients of OpenAI's API send it
BEARER = "bearer "
FIRST_WAIT_S, MOST_WAIT_S = 0.1, 5.0
FORGIVEN_S = 60.0  # after so long without a failure an address begins anew
MOST_ADDRESSES = 4096
MOST_WAITING = 16  # failures of one address whose answer waits


@dataclass(frozen=True, slots=True)
class Access:
    """Whether keys are asked for, and the server's own ceiling of a day in micro-dollars."""

    keys: bool = False
    day_micro: int | None = None

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to ask at the gate."""
        return self.keys or self.day_micro is not None


class KeyGuard:
    """Lets in who has a key that may do what is asked, as the `Principal` of the request."""

    def __init__(self, app: ASGIApp, ledger: Ledger, access: Access, ticker: Ticker) -> None:
        self._app = app
        self._ledger = ledger
        self._access = access
        self._ticker = ticker
        self._guessers = Guessers()
        self._sent: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan":
            async with self._ticker:
                await self._app(scope, receive, send)
            return
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        route, is_work = _route_of(scope["method"], scope["path"])
        uid = uuid.uuid4().hex
        try:
            try:
                who = await self._let_in(scope, uid, route, is_work=is_work)
            except OrchestraError as error:
                await self._refuse(error, scope, receive, send)
                return
            with asking(who):
                await self._app(scope, receive, send)
        finally:
            if is_work:
                self._ticker.inside.discard(uid)
                self._begin(self._ledger.send(Leave(uid)))  # nobody waits for it

    async def _let_in(
        self, scope: Scope, uid: str, route: Route | None, *, is_work: bool
    ) -> Principal:
        key = None
        if self._access.keys:
            key = _key_of(scope)
            if not key:
                raise KeyRefused(NO_KEY, reason="none")
        asked = Enter(
            uid,
            "" if key is None else id_of(key),
            None if key is None else digest_of(key),
            route,
            is_work,
            self._access.day_micro,
        )
        who = Principal.of(await self._ledger.send(asked))
        if is_work:
            self._ticker.inside.add(uid)
            self._ticker.begin()  # a server may not have told us that it began
        return who

    async def _refuse(
        self, error: OrchestraError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if isinstance(error, KeyRefused):
            metrics.count_key_refused(error.reason or "wrong")
            error = await self._guessers.slowed(_address(scope), error)
        status, answer = reported(error)
        headers: dict[str, str] = {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        await JSONResponse(answer, status, headers)(scope, receive, send)

    def _begin(self, sending: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(_quietly(sending))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)


class Guessers:
    """Addresses whose keys were refused of late; each failure makes the next answer wait longer.

    A key that is valid never waits. An address with many waiting answers is told 429 at once.
    """

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting: dict[str, int] = {}

    async def slowed(self, address: str, error: KeyRefused) -> OrchestraError:
        """What a failure of `address` is answered with, once its time has come."""
        wait_s = self._count(address, time.monotonic())
        if self._waiting.get(address, 0) >= MOST_WAITING:
            limited = RateLimited(
                f"{MOST_WAITING} requests from here wait already to hear that their key is not "
                "valid. Mend the key, and come again later."
            )
            limited.retry_after_s = MOST_WAIT_S
            return limited
        self._waiting[address] = self._waiting.get(address, 0) + 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
        return error

    def _count(self, address: str, now: float) -> float:
        """How long the answer to one more failure waits."""
        count, last = self._failed.pop(address, (0, now))
        count = 0 if now - last > FORGIVEN_S else count
        self._failed[address] = (count + 1, now)
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)
        return min(MOST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(count, 16))


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_FOLDERS)


def _route_of(method: str, path: str) -> tuple[Route | None, bool]:
    """What is asked for, and whether it may spend; None for what any key may ask."""
    found: Route | None = "jobs" if path == "/" else None
    for start, route in ROUTES:
        if path == start or path.startswith(f"{start}/"):
            found = route
    is_work = method == "POST" and found in WORK and not path.endswith("/cancel")
    return found, is_work


def _key_of(scope: Scope) -> str:
    """The key that came with a request; empty where none did, or two different ones."""
    sent: set[str] = set()
    for name, value in scope["headers"]:
        text = value.decode("latin-1").strip()
        if name == b"authorization" and text[: len(BEARER)].lower() == BEARER:
            sent.add(text[len(BEARER) :].strip())
        elif name in HEADERS:
            sent.add(text)
    return next(iter(sent))[:MOST_CHARS] if len(sent) == 1 else ""


def _address(scope: Scope) -> str:
    """Where a request is from: of IPv6 the network, which one client has whole."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    return str(ipaddress.ip_network((address, 64), strict=False))


async def _quietly(sending: Coroutine[Any, Any, Any]) -> None:
    """Who is not heard of counts as gone in the end, so that a lost message costs no more."""
    with contextlib.suppress(OrchestraError):
        await sending
