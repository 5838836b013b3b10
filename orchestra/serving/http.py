"""The HTTP face of a `Service`, under any ASGI server: its guards, its routes, its refusals.

An error before the first piece of a stream is an ordinary error response; one after it ends the
stream with an event that holds the error.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from orchestra.serving.admission.guard import PLACES
from orchestra.serving.admission.ingress import IngressAdmission
from orchestra.serving.admission.patience import Patience
from orchestra.serving.guards import BodyLimit, NothingForeseen
from orchestra.serving.problems import CLIENT_CLOSED, STATUSES
from orchestra.serving.refusals import add_errors
from orchestra.serving.routes import add_chat, add_jobs, add_state, add_threads
from orchestra.serving.service import Service
from orchestra.serving.stream import KEEPALIVE_S
from orchestra.serving.words import ProblemBody

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody}
    for status in sorted({413, *(status for _, status in STATUSES)} - {CLIENT_CLOSED})
}


def make_app(
    service: Service,
    *,
    keepalive_s: float = KEEPALIVE_S,
    queue: int = PLACES,
    max_ongoing: int = 0,
) -> FastAPI:
    """The application of one ingress replica; a stream is not silent for longer than `keepalive_s`.

    `max_ongoing` requests are served at once (0: as many as are found to be served well), and at
    most `queue` wait.
    """
    app = FastAPI(
        title="Orchestra",
        description="One graph, many models, one budget. POST / is the same as POST /v1/jobs.",
        responses=ERRORS,
    )
    # The last one added is met first.
    app.add_middleware(IngressAdmission, places=queue, at_once=max_ongoing)
    app.add_middleware(BodyLimit)
    app.add_middleware(Patience)
    app.add_middleware(NothingForeseen)
    add_errors(app)
    add_jobs(app, service, keepalive_s)
    add_threads(app, service, keepalive_s)
    add_chat(app, service, keepalive_s)
    add_state(app, service)
    return app
