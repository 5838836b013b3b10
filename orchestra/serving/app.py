"""`serve`: a graph as a Ray Serve application; ray is imported only when one is built.

The graph and its models run in the ingress replica. One deployment a model comes with the
serving milestone; what a caller sends and gets stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from orchestra.errors import MissingExtra, OrchestraError
from orchestra.fleet.fleet import Build, Fleet
from orchestra.job import Job


@dataclass(frozen=True, slots=True)
class JobIngress:
    """Answers one job a request: POST a `Job` as JSON, get its `Result`."""

    build: Build
    fleet: Fleet

    async def answer(self, body: Any) -> tuple[int, dict[str, Any]]:
        """HTTP status and body for a request's JSON; errors name their cure."""
        try:
            job = Job.model_validate(body)
            result = await self.fleet.run(self.build, job)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "body"
            message = f"{place}: {first['msg']}. Keys: {', '.join(Job.model_fields)}."
            return 422, {"error": {"type": "InvalidJob", "message": message}}
        except OrchestraError as error:
            return 400, {"error": {"type": error.kind, "message": str(error)}}
        return 200, result.model_dump(mode="json")


def serve(build: Build) -> Callable[[dict[str, str]], Any]:
    """An application builder for `serve run module:app fleet=mini`.

    Raises `MissingExtra` when it is called without ray installed.
    """

    def app(args: dict[str, str]) -> Any:
        try:
            from ray import serve as ray_serve
        except ImportError as cause:
            raise MissingExtra(
                "Serving needs ray, which is not installed. "
                "Install it: pip install 'orchestra-fleet[ray,local]'."
            ) from cause
        from orchestra.serving.deployment import Ingress

        deployment = ray_serve.deployment(name="orchestra")(Ingress)
        return deployment.bind(build, args.get("fleet", "mini"))

    return app
