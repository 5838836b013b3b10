"""The HTTP face of a `Service`, under any ASGI server: its guards, its routes, its refusals.

An error before the first piece of a stream is an ordinary error response; one after it ends the
stream with an event that holds the error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace

from fastapi import FastAPI

from orchestra.book.filing.filing import Filing
from orchestra.cluster.drain import Entrance
from orchestra.core.text_limits import plain_bytes
from orchestra.serving.admin import add_keys, add_usage
from orchestra.serving.admission.guard import PLACES, turnstile_of
from orchestra.serving.admission.ingress import IngressAdmission
from orchestra.serving.admission.patience import Patience
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


def make_app(
    service: Service,
    *,
    keepalive_s: float = KEEPALIVE_S,
    host_names: Sequence[str] = (ANY,),
    queue: int = PLACES,
    max_ongoing: int = 0,
    door: Entrance | None = None,
    access: Access = UNASKED,
    canary: Sharing | None = None,
    filing: Filing | None = None,
    webhook: Webhook | None = None,
) -> FastAPI:
    """The application of one ingress replica; a stream is not silent for longer than `keepalive_s`.

    It answers to its addresses, to loopback's name and to `host_names`; see `HostGuard`.
    `max_ongoing` requests are served at once (0: as many as are found to be served well), and at
    most `queue` wait. `door` is shut when the service stops; by default the one that the
    environment names. `access` says whether requests need a key, and what the server may spend in
    a day. `canary` takes a share of the work.
    Files and batches are kept in `filing`; without one, in a folder that ends with this process.
    `webhook` is told of batches that end and runs that begin to wait.
    """
    limits = BodyLimits(plain_bytes(service.fleet.file), own=UPLOADS)
    filed = filing or Filing.open(None)
    herald = WaitingHerald(filed, service.fleet.ledger, has_tenants=access.keys)
    service = replace(service, on_wait=herald.tell)
    responder = Responder(service, Shelf(filed))
    turns = turnstile_of(queue, max_ongoing)
    ticker = Ticker(service.fleet.ledger, access.day_micro)
    entrance = LineEntrance(service.fleet.ledger, access, turns, ticker.inside)
    courier = Courier(filed, webhook, None if webhook is None else herald.catch_up)
    work = BatchWork(filed, endpoints(service, responder), entrance, courier)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        work.begin()
        telling = None if canary is None else canary.telling
        async with nullcontext() if telling is None else telling.going_on():
            yield
        await work.end()
        if filing is None:
            filed.close()

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
    # The last one added is met first.
    if canary is not None:
        second = canary_app(replace(canary.service, on_wait=herald.tell), keepalive_s)
        app.add_middleware(Canary, other=second, trial=canary.trial)
    app.add_middleware(Methods, routes=app.routes)
    app.add_middleware(Once, filing=filed)
    app.add_middleware(IngressAdmission, turnstile=turns)
    if access.is_needed:
        app.add_middleware(KeyGuard, ledger=service.fleet.ledger, access=access, ticker=ticker)
    app.add_middleware(BodyLimit, limits)
    app.add_middleware(HostGuard, host_names)
    app.add_middleware(Patience)
    app.add_middleware(Draining, door=Entrance.of_environment() if door is None else door)
    app.add_middleware(NothingForeseen)
    app.add_middleware(Traced)
    add_errors(app)
    add_jobs(app, service, keepalive_s)
    add_threads(app, service, keepalive_s)
    add_chat(app, service, keepalive_s)
    add_responses(app, responder, keepalive_s)
    add_files(app, Shelf(filed))
    add_batches(app, BatchDesk(filed, work))
    add_state(app, service)
    add_usage(app, service)
    if access.keys:
        add_keys(app, service)
    add_console(app, service)
    document(app)
    tell_limits(app, limits)
    return app
