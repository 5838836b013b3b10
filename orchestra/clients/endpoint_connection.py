"""The connection to one OpenAI-compatible server: key, time limits, and rest after failures.

`TurnedAway` says that the server did no work on a request, so
that it may be sent again; every other failure may have been billed once the request was sent.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from orchestra.clients.endpoint_refusal import Refusal
from orchestra.core.address import is_loopback
from orchestra.core.card import Endpoint
from orchestra.core.errors import AccessRefused, DeadlineExceeded, ModelUnavailable, OrchestraError
from orchestra.core.loops import PerLoop
from orchestra.observe.trace import traceparent


class TurnedAway(Exception):
    """The server did no work: `error` if nothing helps, else send again after `after_s` seconds.

    `part` is what the server refused of the request, which the next one goes without.
    """

    def __init__(
        self, error: OrchestraError, *, after_s: float | None = None, part: str | None = None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s
        self.part = part


@dataclass(eq=False)
class Breaker:
    """A circuit breaker: leaves a server alone, so that fallbacks answer at once.

    After `most` failed connections in a row, on behalf of one model, the server rests for
    `rest_s`; then one call tries it, and the others are refused until that call has ended well.
    """

    where: str
    most: int
    rest_s: float
    clock: Callable[[], float] = time.monotonic
    _failures: int = 0
    _rests_until: float = 0.0
    _why: str = ""

    def check(self) -> None:
        """Let a call through, or raise `ModelUnavailable` while the server rests."""
        if self._failures < self.most:
            return
        left_s = self._rests_until - self.clock()
        if left_s > 0:
            raise ModelUnavailable(
                f"{self.where} failed {self._failures} times in a row ({self._why}) and is left "
                f"alone; it is tried again in {left_s:.1f} s. Look at its log, or set "
                "hosting.endpoint.failures_in_row and rest_s on the card."
            )
        self._rests_until = self.clock() + self.rest_s

    def failed(self, why: str) -> None:
        """Count a connection that was refused, broke, or gave nothing in time."""
        self._failures += 1
        self._why = why
        self._rests_until = self.clock() + self.rest_s

    def answered(self) -> None:
        """The server answers, if only to refuse: the count begins anew."""
        self._failures = 0


@dataclass(eq=False)
class Connection:
    """Requests to `endpoint` on behalf of the model `name`."""

    name: str
    endpoint: Endpoint
    breaker: Breaker = field(init=False)
    _http: PerLoop[httpx.AsyncClient] = field(init=False)

    def __post_init__(self) -> None:
        endpoint = self.endpoint
        where = f"The server {endpoint.shown_url!r}"
        self.breaker = Breaker(where, endpoint.failures_in_row, endpoint.rest_s)
        self._http = PerLoop(self._connections)

    @asynccontextmanager
    async def post(
        self, route: str, body: Mapping[str, Any], left_s: float | None
    ) -> AsyncIterator[httpx.Response]:
        """Send `body` to a route under the url; that of the answer is still to be read inside.

        Raises `TurnedAway`, `AccessRefused`, `DeadlineExceeded` or `ModelUnavailable`.
        """
        headers = self._headers() | traceparent()
        async with self._bounded(self.endpoint.timeout_s, left_s):
            http = self._http.here()
            request = http.build_request("POST", route, json=body, headers=headers)
            answer = await http.send(request, stream=True)
            try:
                yield answer
            finally:
                await answer.aclose()

    async def get_models(self) -> httpx.Response:
        """Ask for the list of models, on a connection of its own. Raises as `post` does."""
        # A server that fails here may drop the connection, and no paid call should be the next.
        headers = {**self._headers(), "Connection": "close"}
        async with self._bounded(self.endpoint.timeout_s, None):
            return await self._http.here().get("models", headers=headers)

    def refusal(self, answer: httpx.Response) -> Refusal:
        """What a read answer without success says, with the key masked."""
        return Refusal.of(answer.status_code, answer.content, answer.headers, self._key())

    def refusal_inside(self, body: Any) -> Refusal:
        """What an error under a status of success says, with the key masked."""
        return Refusal.inside(body, self._key())

    def without_key(self, text: str) -> str:
        """`text` of the server's, which may repeat the key that it was shown."""
        key = self._key()
        return text if key is None else text.replace(key, "***")

    async def close(self) -> None:
        """Close the running loop's connections."""
        http = self._http.drop()
        if http is not None:
            await http.aclose()

    def _key(self) -> str | None:
        name = self.endpoint.api_key_env
        if name is None:
            return None
        key = os.environ.get(name, "").strip()
        if not key:
            raise AccessRefused(
                f"The model {self.name!r} needs a key for {self.endpoint.shown_url!r}, and the "
                f"environment variable {name!r} is not set. Set it: export {name}=..."
            )
        return key

    def _headers(self) -> dict[str, str]:
        key = self._key()
        return {} if key is None else {"Authorization": f"Bearer {key}"}

    def _connections(self) -> httpx.AsyncClient:
        """New connections, for one event loop: those of another one cannot be used there."""
        return httpx.AsyncClient(
            base_url=self.endpoint.url.rstrip("/") + "/",
            timeout=httpx.Timeout(None, connect=self.endpoint.connect_timeout_s),
            # A proxy of the environment is for servers elsewhere.
            trust_env=not is_loopback(self.endpoint.url),
        )

    @asynccontextmanager
    async def _bounded(self, timeout_s: float, left_s: float | None) -> AsyncIterator[None]:
        """Bounds one request in time, translates what a connection raises, and counts it."""
        where = f"The server {self.endpoint.shown_url!r}"
        is_deadline = left_s is not None and left_s <= timeout_s
        try:
            async with asyncio.timeout(left_s if is_deadline else timeout_s):
                yield
            self.breaker.answered()
        except (OrchestraError, TurnedAway):
            self.breaker.answered()  # it was read, and what it says is wrong
            raise
        except TimeoutError:
            if is_deadline:
                raise deadline_passed(self.name, left_s) from None
            self.breaker.failed(f"no answer within {timeout_s:g} s")
            raise ModelUnavailable(
                f"{where} did not answer within {timeout_s:g} s. Raise hosting.endpoint.timeout_s, "
                "or look at the server's load; the call may have been billed.",
                may_have_spent=True,
            ) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            why = self._failed(error)
            raise TurnedAway(
                ModelUnavailable(f"{where} cannot be reached ({why}). Start it, or mend the url.")
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = self._failed(error)
            raise ModelUnavailable(
                f"{where} broke the connection ({why}). Look at its log; the call may have been "
                "billed.",
                may_have_spent=True,
            ) from error

    def _failed(self, error: Exception) -> str:
        why = f"{type(error).__name__}: {error}".rstrip(": ")
        self.breaker.failed(why)
        return why


def deadline_passed(name: str, left_s: float | None) -> DeadlineExceeded:
    """The error of a deadline that passed while, or before, the model `name` worked."""
    return DeadlineExceeded(
        f"The deadline passed at model {name!r} ({max(0.0, left_s or 0.0) * 1000:.0f} ms were "
        "left). Raise latency_ms."
    )
