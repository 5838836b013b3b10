"""A guard that lets no new work in while the service stops, and counts what is under way."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestra.cluster.drain import Entrance
from orchestra.observe import metrics
from orchestra.serving.problems import body
from orchestra.serving.words import Health

READS = ("GET", "HEAD", "OPTIONS")
READY = "/readyz"
RETRY_AFTER = {"Retry-After": "5"}
STOPPING = (
    "The server is stopping: it finishes what it has and takes no new work. Send the request again "
    "in some seconds, to another server or to the one that follows."
)


class Draining:
    """Answers new work with 503 and `/readyz` with "stopping" once the door is shut.

    Reading (GET) goes on, so that probes, metrics and the runs that wait are seen to the end.
    """

    def __init__(self, app: ASGIApp, door: Entrance) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] in READS:
            if scope["path"] == READY and self._door.is_shut:
                answer = JSONResponse(Health(status="stopping").model_dump(), 503, RETRY_AFTER)
                await answer(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        elif self._door.enter():
            try:
                await self._app(scope, receive, send)
            finally:
                self._door.leave()
        else:
            metrics.count_problem("Stopping")
            await JSONResponse(body(503, "Stopping", STOPPING), 503, RETRY_AFTER)(
                scope, receive, send
            )
