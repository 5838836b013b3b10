"""A second version that runs beside the first, in the same ingress."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI

from orchestra.serving.canary.telling import CanaryTelling
from orchestra.serving.canary.trial import CanaryTrial
from orchestra.serving.guards.strict_json import StrictRoute
from orchestra.serving.refusals import add_errors
from orchestra.serving.routes import add_chat, add_jobs
from orchestra.serving.service import Service


@dataclass(frozen=True, slots=True)
class Sharing:
    """A second version that runs, and the share of the work that it has.

    `telling` has all ingresses judge it together, where there are several or a book.
    """

    service: Service
    trial: CanaryTrial
    telling: CanaryTelling | None = None


def canary_app(service: Service, keepalive_s: float) -> FastAPI:
    """The routes of the work that is shared, without guards: a request has passed them."""
    app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    app.router.route_class = StrictRoute
    add_errors(app)
    add_jobs(app, service, keepalive_s)
    add_chat(app, service, keepalive_s)
    return app
