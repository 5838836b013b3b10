"""What a fleet makes at its first use: clients, plans, and the one fleet that a process shares."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from graphs.answer import build
from orchestra import Budget, Fleet
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.card import FleetFile
from orchestra.fleet.opened import shared_fleet
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.testing import ScriptedEngine
from tests.meeting import Meeting, at_once
from tests.stub_worker import write_fleet

SHAPE = JobShape(40, 0, False)


def test_threads_that_reach_a_model_first_at_one_moment_share_its_client() -> None:
    fleet = Fleet.open("mini")
    name = Meeting().name("r1")
    first, second = at_once(lambda: fleet.client(name))
    assert first is second and fleet.client("r1") is first


async def test_a_model_reached_while_the_fleet_closes_does_not_stop_the_closing() -> None:
    closed: list[str] = []

    class Reaching(InProcessClient):
        async def close(self) -> None:
            fleet.client("vl")
            await super().close()
            closed.append(self.name)

    fleet = Fleet.open("mini", clients={"r1": Reaching("r1", lambda: ScriptedEngine(str))})
    await fleet.close()
    assert closed == ["r1"]


def test_a_plan_of_cards_that_were_changed_meanwhile_is_not_kept() -> None:
    class Changing(FleetFile):
        """Its first plan takes so long that the cards are changed, and planned with, meanwhile."""

        def __getattribute__(self, name: str) -> Any:
            if name == "machines" and fleet.file is self:
                fleet.file = new
                planned()
            return super().__getattribute__(name)

    fleet = Fleet.open("mini")
    new = fleet.file
    graph = compile_graph(build)

    def planned() -> Any:
        return fleet.plan_for(graph, SHAPE, Budget())

    fleet.file = new.model_copy(update={"name": "old"})
    fleet.file = Changing.model_validate(dict(fleet.file))
    assert planned().fleet == "old"
    assert planned().fleet == new.name


def test_threads_that_share_a_fleet_first_at_one_moment_get_the_same(tmp_path: Path) -> None:
    name = Meeting().name(str(write_fleet(tmp_path)))
    first, second = at_once(lambda: asyncio.run(shared_fleet(name)))
    assert first is second
