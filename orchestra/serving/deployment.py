"""The Ray Serve shim: lifecycle and HTTP only; what is answered is decided in `JobIngress`."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse

from orchestra.fleet.fleet import Build, Fleet
from orchestra.serving.app import JobIngress


class Ingress:
    """One replica: a fleet opened once, and a job answered for each request."""

    def __init__(self, build: Build, fleet: str) -> None:
        self._ingress = JobIngress(build, Fleet.open(fleet))

    async def __call__(self, request: Request) -> JSONResponse:
        """Answer one HTTP request."""
        try:
            body = await request.json()
        except json.JSONDecodeError as error:
            message = f"The body is not JSON: {error}. POST a job, e.g. {{'text': '...'}}."
            return JSONResponse({"error": {"type": "InvalidJob", "message": message}}, 400)
        status, answer = await self._ingress.answer(body)
        return JSONResponse(answer, status)
