"""The HTTP face of a `Service`, under any ASGI server: its guards, its routes, its refusals.

An error before the first piece of a stream is an ordinary error response; one after it ends the
stream with an event that holds the error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace

from fastapi import FastAPI
from starlette.middleware import Middleware

from orchestra.book.filing.filing import Filing
from orchestra.cluster.drain import Entrance
from orchestra.core.text_limits import plain_bytes
from orchestra.serving.admin import add_keys, add_usage
from orchestra.serving.admission.guard import PLACES, turnstile_of
from orchestra.serving.admission.ingress import IngressAdmission
from orchestra.serving.admission.patience import Patience
from orchestra.serving.admission.turnstile import Turnstile
from orchestra.serving.batches.desk import BatchDesk
from orchestra.serving.batches.entry import LineEntrance
from orchestra.serving.batches.lines import endpoints
from orchestra.serving.batches.routes import add_batches
from orchestra.serving.batches.work import BatchWork
from orchestra.serving.canary.guard import Canary
from orchestra.serving.canary.sharing import Sharing, canary_app
from orchestra.serving.console.routes import add_console
from orchestra.serving.courier import Courier, Webhook
from orchestra.serving.documented import GUARDS, document, errors
from orchestra.serving.files.routes import add_files
from orchestra.serving.files.shelf import UPLOADS, Shelf
from orchestra.serving.guards.bodies import BodyLimit, NothingForeseen
from orchestra.serving.guards.body_limits import BodyLimits, tell_limits
from orchestra.serving.guards.draining import Draining
from orchestra.serving.guards.hosts import ANY, HostGuard
from orchestra.serving.guards.keys import Access, KeyGuard
from orchestra.serving.guards.methods import Methods
from orchestra.serving.guards.once import Once
from orchestra.serving.guards.strict_json import StrictRoute
from orchestra.serving.guards.traced import Traced
from orchestra.serving.herald import WaitingHerald
from orchestra.serving.refusals import add_errors
from orchestra.serving.responses.responder import Responder
from orchestra.serving.responses.routes import add_responses
from orchestra.serving.routes import add_chat, add_jobs, add_state, add_threads
from orchestra.serving.service import Service
from orchestra.serving.stream import KEEPALIVE_S
from orchestra.serving.ticker import Ticker

UNASKED = Access()


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Who may ask of one ingress, how much at once, and what it shares with others.

    A stream is not silent for longer than `keepalive_s`. It answers to its addresses, to
    loopback's name and to `host_names`; see `HostGuard`. `max_ongoing` requests are served at once
    (0: as many as are found to be served well), and at most `queue` wait. `door` is shut when the
    service stops; None is the one that the environment names. `access` says whether requests need
    a key, and what the server may spend in a day. `canary` takes a share of the work. Files and
    batches are kept in `filing`; None is a folder that ends with this process. `webhook` is told
    of batches that end and runs that begin to wait.
    """

    keepalive_s: float = KEEPALIVE_S
    host_names: Sequence[str] = (ANY,)
    queue: int = PLACES
    max_ongoing: int = 0
    door: Entrance | None = None
    access: Access = UNASKED
    canary: Sharing | None = None
    filing: Filing | None = None
    webhook: Webhook | None = None


USUAL = HttpSettings()


def make_app(service: Service, settings: HttpSettings = USUAL) -> FastAPI:
    """The application of one ingress replica."""
    access, keepalive_s = settings.access, settings.keepalive_s
    limits = BodyLimits(plain_bytes(service.fleet.file), own=UPLOADS)
    filing = settings.filing or Filing.open(None)
    herald = WaitingHerald(filing, service.fleet.ledger, has_tenants=access.keys)
    service = replace(service, day_micro=access.day_micro, on_wait=herald.tell)
    responder = Responder(service, Shelf(filing))
    turns = turnstile_of(settings.queue, settings.max_ongoing)
    ticker = Ticker(service.fleet.ledger, access.day_micro)
    entrance = LineEntrance(service.fleet.ledger, access, turns, ticker.inside)
    told = None if settings.webhook is None else herald.catch_up
    courier = Courier(filing, settings.webhook, told)
    work = BatchWork(filing, endpoints(service, responder), entrance, courier)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        work.begin()
        telling = None if settings.canary is None else settings.canary.telling
        async with nullcontext() if telling is None else telling.going_on():
            yield
        await work.end()
        if settings.filing is None:
            filing.close()

    app = FastAPI(
        title="Orchestra",
        description="One graph, many models, one budget. POST / is the same as POST /v1/jobs.",
        responses=errors(*GUARDS),
        redirect_slashes=False,
        lifespan=lifespan,
        # Its own would have a request's whole address; see `Traced`.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = StrictRoute
    guards = _guards(app, service, settings, _Shared(limits, turns, ticker, filing))
    for guard in reversed(list(guards)):
        app.add_middleware(guard.cls, *guard.args, **guard.kwargs)  # the last one is met first
    add_errors(app)
    add_jobs(app, service, keepalive_s)
    add_threads(app, service, keepalive_s)
    add_chat(app, service, keepalive_s)
    add_responses(app, responder, keepalive_s)
    add_files(app, Shelf(filing))
    add_batches(app, BatchDesk(filing, work))
    add_state(app, service)
    add_usage(app, service)
    if access.keys:
        add_keys(app, service)
    add_console(app, service)
    document(app)
    tell_limits(app, limits)
    return app


@dataclass(frozen=True, slots=True)
class _Shared:
    """What guards and routes of one application share."""

    limits: BodyLimits
    turns: Turnstile
    ticker: Ticker
    filing: Filing


def _guards(
    app: FastAPI, service: Service, settings: HttpSettings, shared: _Shared
) -> Iterator[Middleware]:
    """What a request passes on its way to a route, the first one first."""
    yield Middleware(Traced)  # sees what all others answer
    yield Middleware(NothingForeseen)
    door = settings.door
    yield Middleware(Draining, door=Entrance.of_environment() if door is None else door)
    yield Middleware(Patience)  # whatever answers, from here on: who reads nothing of it has left
    yield Middleware(HostGuard, settings.host_names)
    yield Middleware(BodyLimit, shared.limits)  # strangers, too, send no more than is taken
    if settings.access.is_needed:
        ledger, ticker = service.fleet.ledger, shared.ticker
        yield Middleware(KeyGuard, ledger=ledger, access=settings.access, ticker=ticker)
    yield Middleware(IngressAdmission, turnstile=shared.turns)  # tenants share it: who came?
    yield Middleware(Once, filing=shared.filing)  # idempotency keys are their tenant's own
    yield Middleware(Methods, routes=app.routes)
    canary = settings.canary
    if canary is not None:  # a request that was answered before is not shared out again
        second = replace(canary.service, on_wait=service.on_wait)
        other = canary_app(second, settings.keepalive_s)
        yield Middleware(Canary, other=other, trial=canary.trial)
