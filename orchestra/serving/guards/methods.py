"""Which methods a path takes: OPTIONS is told, HEAD answered as GET is, a slash at the end ignored.

A path that several routes share takes the methods of all of them, which no single route knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Methods:
    """Stands right before the routes, outside of which no path is known."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as its route takes it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        within = dict(scope)
        path = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            raw = scope.get("raw_path") or b""
            within |= {"path": path.rstrip("/") or "/", "raw_path": raw.rstrip(b"/") or b"/"}
        taken = methods_of(self._routes, within)
        if scope["method"] == "OPTIONS" and taken:
            allowed = {"Allow": ", ".join(taken)}
            await Response(status_code=204, headers=allowed)(scope, receive, send)
            return
        within["orchestra.methods"] = taken
        if scope["method"] == "HEAD" and "GET" in taken:
            within["method"], send = "GET", _without_body(send)
        try:
            await self._app(within, receive, send)
        finally:
            scope["route"] = within.get("route")  # spans are named by it


def methods_of(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """The methods that the path of `scope` takes, in the alphabet's order; none for no path."""
    taken = {
        method
        for route in routes
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    if "GET" in taken:
        taken.add("HEAD")
    return sorted(taken | {"OPTIONS"}) if taken else []


def _without_body(send: Send) -> Send:
    """Sends what comes without its body, whose length stays told."""

    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return headers_only
