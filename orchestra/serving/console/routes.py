"""The console's routes: an empty page and its files for everybody, and what it shows for who may.

Jobs, plans and answers go to the routes that every client uses; here what they give is only made
readable. What is under `/v1` is guarded as that is.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from orchestra.core.job import Result
from orchestra.pages.wording import asked_language
from orchestra.serving.console.drawing import drawing_of
from orchestra.serving.console.render import STATICS, Renderer, static
from orchestra.serving.console.shown import shown_result
from orchestra.serving.console.spend import spend_of
from orchestra.serving.console.waiting import photo_uris, waiting_run
from orchestra.serving.service import Service
from orchestra.serving.words import JobRequest, Received

PAGE = "/console"
PARTS = "/v1/console"
POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class ResultRequest(Received):
    """A result to be shown, of a job with this `text`.

    With `photos` the page has not all of the photos itself, and those kept here are sent along.
    """

    result: Result
    text: str = ""
    photos: bool = False


def add_console(app: FastAPI, service: Service) -> None:
    """The page at `/console`, and what it asks for."""

    @app.get(PAGE, include_in_schema=False)
    async def page(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        return _html(_renderer(request).page(root), {"Vary": "Accept-Language"})

    @app.get(f"{PAGE}/static/{{name}}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in STATICS:
            raise HTTPException(404, "Not Found")
        headers = {**HEADERS, "Cache-Control": "no-cache"}
        return Response(static(name), media_type=STATICS[name], headers=headers)

    @app.post(f"{PARTS}/plan", include_in_schema=False)
    async def plan(job: JobRequest, request: Request) -> Response:
        made = await service.plan(job)
        build = service.graphs[job.graph or next(iter(service.graphs))]
        return _html(_renderer(request).plan(made, drawing_of(build)))

    @app.post(f"{PARTS}/result", include_in_schema=False)
    async def result(given: ResultRequest, request: Request) -> Response:
        shown = shown_result(given.result, given.text)
        photos: dict[str, str] = {}
        if given.photos:
            photos = await run_in_threadpool(photo_uris, service.fleet.images, shown.photos)
        return _html(_renderer(request).result(shown, photos))

    @app.get(f"{PARTS}/waiting", include_in_schema=False)
    async def waiting(request: Request) -> Response:
        return _html(_renderer(request).waiting(await service.threads()))

    @app.get(f"{PARTS}/waiting/{{thread_id:path}}", include_in_schema=False)
    async def one_waiting(thread_id: str, request: Request) -> Response:
        return _html(_renderer(request).waiting_run(await waiting_run(service, thread_id)))

    @app.get(f"{PARTS}/spend", include_in_schema=False)
    async def spend(request: Request, by: str = "model") -> Response:
        return _html(_renderer(request).spend(await spend_of(service, by)))


def _renderer(request: Request) -> Renderer:
    given = request.query_params.get("lang", "")
    return Renderer(asked_language(given, request.headers.get("accept-language", "")))


def _html(content: str, more: dict[str, Any] | None = None) -> Response:
    headers = {**HEADERS, "Cache-Control": "no-store", **(more or {})}
    return HTMLResponse(content, headers=headers)
