"""One span around each request, by OpenTelemetry's conventions for HTTP servers.

A route is told by its template, never by the path or the query that came: a client may write
anything there.
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.observe.trace import is_on, mark, span

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
PROBED = frozenset({"/healthz", "/readyz", "/metrics"})  # every few seconds, by machines
OTHER = "_OTHER"  # the conventions' word for a method that nobody knows


class Traced:
    """Goes on with the caller's trace, from the first byte of a request to the last of its answer.

    It stands around all guards, so that what they refuse is traced as well.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["path"] in PROBED or not is_on():
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else OTHER
        told: dict[str, Any] = {"http.request.method": method, "url.scheme": scope["scheme"]}
        if scope.get("server"):
            told["server.address"], port = scope["server"]
            told |= {} if port is None else {"server.port": port}
        with span(method, told, _carrier(scope), "server") as seen:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    seen.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        mark(seen, str(status))
                await send(message)

            try:
                await self._app(scope, receive, noted)
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is not None:
                    seen.update_name(f"{method} {route}")
                    seen.set_attribute("http.route", route)


def _carrier(scope: Scope) -> dict[str, str]:
    """The caller's trace, as its headers say it."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"traceparent", b"tracestate")
    }
