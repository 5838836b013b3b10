"""The HTTP face of a `Service`, under any ASGI server: its guards, its routes, its refusals.

An error before the first piece of a stream is an ordinary error response; one after it ends the
stream with an event that holds the error.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from orchestra.cluster.drain import Door
from orchestra.core.text_limits import plain_bytes
from orchestra.serving.admission.guard import PLACES, Admission
from orchestra.serving.body_limits import BodyLimits, tell_limits
from orchestra.serving.console.routes import add_console
from orchestra.serving.documented import GUARDS, document, errors
from orchestra.serving.draining import Draining
from orchestra.serving.guards import BodyLimit, NothingForeseen
from orchestra.serving.hosts import ANY, HostGuard
from orchestra.serving.methods import Methods
from orchestra.serving.refusals import add_errors, refusal
from orchestra.serving.routes import add_chat, add_jobs, add_state, add_threads
from orchestra.serving.service import Service
from orchestra.serving.stream import KEEPALIVE_S
from orchestra.serving.strict_json import StrictRoute
from orchestra.serving.traced import Traced


def make_app(
    service: Service,
    *,
    keepalive_s: float = KEEPALIVE_S,
    host_names: Sequence[str] = (ANY,),
    queue: int = PLACES,
    max_ongoing: int = 0,
    door: Door | None = None,
) -> FastAPI:
    """The application of one ingress replica; a stream is not silent for longer than `keepalive_s`.

    It answers to its addresses, to loopback's name and to `host_names`; see `HostGuard`.
    `max_ongoing` requests are served at once (0: as many as are found to be served well), and at
    most `queue` wait. `door` is shut when the service stops; by default the one that the
    environment names.
    """
    limits = BodyLimits(plain_bytes(service.fleet.file))
    app = FastAPI(
        title="Orchestra",
        description="One graph, many models, one budget. POST / is the same as POST /v1/jobs.",
        responses=errors(*GUARDS),
        redirect_slashes=False,
        # Its own would have a request's whole address; see `Traced`.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = StrictRoute
    # The last one added is met first.
    app.add_middleware(Methods, routes=app.routes)
    app.add_middleware(Admission, refuse=refusal, places=queue, at_once=max_ongoing)
    app.add_middleware(BodyLimit, limits)
    app.add_middleware(HostGuard, host_names)
    app.add_middleware(Draining, door=Door.of_environment() if door is None else door)
    app.add_middleware(NothingForeseen)
    app.add_middleware(Traced)
    add_errors(app)
    add_jobs(app, service, keepalive_s)
    add_threads(app, service, keepalive_s)
    add_chat(app, service, keepalive_s)
    add_state(app, service)
    add_console(app, service)
    document(app)
    tell_limits(app, limits)
    return app
