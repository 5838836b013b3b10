"""What an ingress tells of its models' readiness, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from graphs.answer import build
from orchestra.serving.deployment import models_lost
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet


def deployment(message: str = "", **replicas: int) -> Any:
    """One deployment as Serve's status shows it."""
    status = SimpleNamespace(value="UNHEALTHY" if message else "HEALTHY")
    return SimpleNamespace(status=status, replica_states=replicas, message=message)


def lost(deployments: Mapping[str, Any] | None) -> dict[str, str]:
    """What is lost of r1 and vl when the application has these deployments."""
    apps = {} if deployments is None else {"shop": SimpleNamespace(deployments=deployments)}
    return models_lost(lambda: SimpleNamespace(applications=apps), "shop", ["r1", "vl"])


def test_a_model_with_one_running_replica_is_not_lost() -> None:
    some = deployment("one is down", RUNNING=1, STARTING=1)
    assert lost({"r1": some, "vl": deployment(RUNNING=2)}) == {}


def test_a_model_without_a_running_replica_is_lost_and_serves_reason_told() -> None:
    told = lost({"r1": deployment("trace\nno node has 1 GPU", STARTING=1), "vl": deployment()})
    assert told["r1"] == "no replica runs (UNHEALTHY). no node has 1 GPU"
    assert told["vl"].startswith("no replica runs (HEALTHY)")
    assert set(lost({"vl": deployment(RUNNING=1)})) == {"r1"}
    assert set(lost(None)) == {"r1", "vl"}


@pytest.mark.parametrize("now", [{}, {"vl": "no replica runs"}])
async def test_a_model_that_was_ready_is_not_when_its_replicas_are_lost(
    now: dict[str, str],
) -> None:
    fleet, _ = scripted_fleet()

    async def told() -> dict[str, str]:
        return now

    loaded = await Service(fleet, {"answer": build}).ready()
    assert set(loaded.values()) == {"ready"} and {"r1", "vl"} <= set(loaded)
    served = Service(fleet, {"answer": build}, told)
    assert await served.ready() == {**loaded, **now}
    await fleet.close()
