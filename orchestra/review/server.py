"""The workbench over HTTP, on this machine alone: pages, photos, and what a person decides.

Requests are small and one person's, so each is answered in a thread of its own under the desk's
lock. What guards them stands in `guard.py`.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import uvicorn
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from orchestra.book.decisions import Action, Decision
from orchestra.core.errors import ImageError, InvalidDecision, OrchestraError, PortTaken, UsageError
from orchestra.core.job import first_problem
from orchestra.pages.style import base_style
from orchestra.pages.wording import asked_language
from orchestra.review.bulk import Deed, decide_all, preview
from orchestra.review.desk import Desk
from orchestra.review.guard import Guard
from orchestra.review.history import PAGE_ENTRIES, entries, latest
from orchestra.review.index import as_choice
from orchestra.review.render import GROUPINGS, Renderer, Shown, asset
from orchestra.review.sheet import sheet_bytes
from orchestra.review.words import word

LOOPBACK = "127.0.0.1"
PHOTO_SIDES_PX = (160, 480, 960)
MOST_PHOTOS = 512  # thumbnails kept in memory
MOST_ITEMS = 400  # fields of one answer; the page shows fewer
NO_STORE = {"cache-control": "no-store"}
KEPT = {"cache-control": "private, max-age=86400, immutable"}
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class _Sent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DecideRequest(_Sent):
    """A decision of one field."""

    row: str
    field: str
    action: Action
    value: str = ""
    why: str = ""


class RowRequest(_Sent):
    """An approval or rejection of a whole product."""

    row: str
    action: Literal["approve", "reject"]


class UndoRequest(_Sent):
    """A decision to take back, or a group of them; neither: the latest."""

    id: int | None = None
    group: str = ""


class BulkRequest(_Sent):
    """A bulk action on all fields of a choice, asked for or, with `expected`, confirmed."""

    query: Mapping[str, str]
    deed: Deed
    value: str = ""
    why: str = ""
    group: str = ""
    expected: int | None = None


class Workbench:
    """Answers the requests of one desk; `base` is what its addresses begin with."""

    def __init__(self, desk: Desk, base: str) -> None:
        self._desk = desk
        self._render = Renderer(desk, base)
        self._thumbnail = lru_cache(MOST_PHOTOS)(desk.folder.images.thumbnail)

    def app(self) -> Starlette:
        """The routes, without their guard."""
        return Starlette(
            routes=[
                Route("/", self._answer(self._page)),
                Route("/work", self._answer(self._work)),
                Route("/history", self._answer(self._history)),
                Route("/sheet.xlsx", self._answer(self._sheet)),
                Route("/photo/{key}", self._answer(self._photo)),
                Route("/base.css", self._answer(lambda _: _plain(base_style(), "text/css"))),
                Route("/page.css", self._answer(lambda _: _asset("page.css", "text/css"))),
                Route("/page.js", self._answer(lambda _: _asset("page.js", "text/javascript"))),
                Route("/decide", self._posted(DecideRequest, self._decide), methods=["POST"]),
                Route("/row", self._posted(RowRequest, self._row), methods=["POST"]),
                Route("/undo", self._posted(UndoRequest, self._undo), methods=["POST"]),
                Route("/preview", self._posted(BulkRequest, self._preview), methods=["POST"]),
                Route("/bulk", self._posted(BulkRequest, self._bulk), methods=["POST"]),
            ]
        )

    def _answer(
        self, handler: Callable[[Request], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await run_in_threadpool(handler, request)
            except OrchestraError as error:
                return _problem(error)

        return answer

    def _posted(
        self, kind: type[BaseModel], handler: Callable[[Any, Shown], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                sent = kind.model_validate_json(await request.body())
                return await run_in_threadpool(handler, sent, _shown(request))
            except ValidationError as error:
                return _problem(
                    UsageError(f"Not a request of this page: {first_problem(error, kind)}")
                )
            except OrchestraError as error:
                return _problem(error)

        return answer

    def _page(self, request: Request) -> Response:
        self._desk.refresh()
        return HTMLResponse(self._render.page(_shown(request)), headers=NO_STORE)

    def _work(self, request: Request) -> Response:
        return HTMLResponse(self._render.work(_shown(request)), headers=NO_STORE)

    def _history(self, request: Request) -> Response:
        self._desk.refresh()
        before = request.query_params.get("before", "")
        last = int(before) if before.isdigit() else None
        found = entries(self._desk.folder.book, last, PAGE_ENTRIES + 1)
        shown = found[:PAGE_ENTRIES]
        older = shown[-1].oldest if len(found) > PAGE_ENTRIES else None
        return HTMLResponse(self._render.history(_shown(request), shown, older), headers=NO_STORE)

    def _sheet(self, request: Request) -> Response:
        content = sheet_bytes(self._desk, _shown(request).choice)
        named = {"content-disposition": 'attachment; filename="review.xlsx"', **NO_STORE}
        return Response(content, media_type=XLSX, headers=named)

    def _photo(self, request: Request) -> Response:
        side = request.query_params.get("side", "")
        side_px = int(side) if side.isdigit() else PHOTO_SIDES_PX[1]
        try:
            content = self._thumbnail(
                request.path_params["key"], next((n for n in PHOTO_SIDES_PX if n >= side_px), 960)
            )
        except ImageError as error:
            return PlainTextResponse(str(error), 404)
        return Response(content, media_type="image/jpeg", headers=KEPT)

    def _decide(self, sent: DecideRequest, shown: Shown) -> Response:
        made = self._desk.decide(sent.row, sent.field, sent.action, sent.value, sent.why)
        said = word(
            shown.language,
            f"did_{self._desk.state_of(sent.row, sent.field)}",
            field=sent.field or word(shown.language, "field_"),
            row=sent.row,
        )
        return self._changed(shown, made, said)

    def _row(self, sent: RowRequest, shown: Shown) -> Response:
        made = self._desk.decide_row(sent.row, sent.action)
        said = word(shown.language, f"did_row_{sent.action}", row=sent.row)
        return self._changed(shown, made, said)

    def _undo(self, sent: UndoRequest, shown: Shown) -> Response:
        book = self._desk.folder.book
        if sent.id is not None:
            return self._undone(shown, self._desk.undo([sent.id]))
        span = book.span_of(sent.group) if sent.group else latest(book)
        if span is None:
            return self._undone(shown, ())
        if span.size > MOST_ITEMS and not book.undone(span):
            count = self._desk.undo_span(span)
            return self._renewed(shown, word(shown.language, "did_undo", count=count))
        return self._undone(shown, self._desk.undo(range(span.first, span.last + 1)))

    def _undone(self, shown: Shown, made: Sequence[Decision]) -> Response:
        if not made:
            return self._changed(shown, (), word(shown.language, "nothing_to_undo"))
        return self._changed(shown, made, word(shown.language, "did_undo", count=len(made)))

    def _preview(self, sent: BulkRequest, shown: Shown) -> Response:
        return self._previewed(sent, shown, is_changed=False)

    def _previewed(self, sent: BulkRequest, shown: Shown, *, is_changed: bool) -> Response:
        found = preview(self._desk, as_choice(sent.query), sent.deed, sent.value)
        html = self._render.preview(shown, found, uuid.uuid4().hex, is_changed=is_changed)
        return JSONResponse({"preview": html, "fields": found.fields})

    def _bulk(self, sent: BulkRequest, shown: Shown) -> Response:
        if sent.expected is None or not sent.group:
            raise InvalidDecision("A bulk action is confirmed in its preview. Open that first.")
        made = decide_all(
            self._desk,
            as_choice(sent.query),
            sent.deed,
            sent.value,
            sent.why,
            sent.group,
            sent.expected,
        )
        if made is None:
            return self._previewed(sent, shown, is_changed=True)
        if sent.deed == "products":
            return self._renewed(shown, word(shown.language, "did_products", count=made))
        return self._renewed(shown, word(shown.language, "did_many", count=made))

    def _renewed(self, shown: Shown, said: str) -> Response:
        """The queue anew, after much of it was decided of."""
        work, progress = self._render.work(shown), self._render.progress(shown)
        return JSONResponse({"work": work, "progress": progress, "said": said})

    def _changed(self, shown: Shown, made: Sequence[Decision], said: str) -> Response:
        """What of the page is another now."""
        items = self._desk.items(dict.fromkeys(one.row_id for one in made), MOST_ITEMS)
        return JSONResponse(
            {
                "items": self._render.items(shown, items),
                "progress": self._render.progress(shown),
                "said": said,
            }
        )


def _shown(request: Request) -> Shown:
    query = request.query_params
    told = asked_language(query.get("lang", ""), request.headers.get("accept-language", ""))
    group, start = query.get("group", ""), query.get("start", "")
    return Shown(
        choice=as_choice(query),
        group=group if group in GROUPINGS else "",
        start=int(start) if start.isdigit() and len(start) < 10 else 0,
        language=told,
    )


def _problem(error: OrchestraError) -> Response:
    body = {"error": {"type": error.kind, "message": str(error)}}
    return JSONResponse(body, 400 if isinstance(error, UsageError) else 500, headers=NO_STORE)


def _asset(name: str, kind: str) -> Response:
    return _plain(asset(name), kind)


def _plain(content: str, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"cache-control": "no-cache"})


def listen(port: int) -> socket.socket:
    """A socket on loopback; `port` 0 is any that is free. Raises `PortTaken`."""
    own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind((LOOPBACK, port))
        own.listen()  # who opens the page at once waits until it is served
    except OSError as error:
        own.close()
        raise PortTaken(
            f"Port {port} on {LOOPBACK} cannot be listened on: {error.strerror}. "
            "Give --port another, or leave it out for one that is free."
        ) from error
    return own


def server_of(desk: Desk, port: int, secret: str) -> uvicorn.Server:
    """What serves the workbench under `/secret` of a socket on `port`, until it is told to end."""
    app = Workbench(desk, f"/{secret}").app()
    config = uvicorn.Config(
        Guard(app, secret, port),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
    )
    return uvicorn.Server(config)
