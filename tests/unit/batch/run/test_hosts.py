"""Which host takes a row, and what becomes of one that is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from orchestra.batch.row_run import Ran
from orchestra.batch.run.hosts import Hosts
from orchestra.batch.tables.row import Row
from orchestra.clients.handle import ActorLink
from orchestra.core.errors import InvalidFleet, ModelUnavailable, OrchestraError

ROW = Row(0, {"name": "apple"})


class FakeLink(ActorLink):
    """A host here: `is_up` says whether it answers, `rows` counts those it was given.

    `unloaded` is the error that it raises instead of loading its models.
    """

    def __init__(self, *, is_up: bool = True, loss: Exception | None = None) -> None:
        self.loss = loss or ActorDiedError()
        self.is_up = is_up
        self.unloaded: OrchestraError | None = None
        self.rows = 0
        self.methods: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.was_stopped = False

    async def call(self, method: str, *arguments: Any) -> Any:
        """Ray's error from a dead host, else what a `RowHost` answers or raises."""
        self.methods.append(method)
        if method == "run":
            self.rows += 1
            await self.go_on.wait()
        if not self.is_up:
            raise self.loss
        if method == "prepare" and self.unloaded is not None:
            raise self.unloaded
        return {"run": Ran("finished"), "answers": True}.get(method)

    def stop(self) -> None:
        """Note the end."""
        self.was_stopped = True


async def test_a_row_goes_to_the_host_with_the_fewest() -> None:
    links = [FakeLink(), FakeLink()]
    hosts = Hosts(links, ["r1"])
    links[0].go_on.clear()
    slow = asyncio.create_task(hosts.run(ROW, "row:0"))
    await asyncio.sleep(0)
    for _ in range(3):
        assert await hosts.run(ROW, "row:1") == Ran("finished")
    assert [link.rows for link in links] == [1, 3]
    links[0].go_on.set()
    await slow
    hosts.end()
    assert all(link.was_stopped for link in links)


async def test_a_lost_host_gets_no_row_until_it_has_its_models_again() -> None:
    links = [FakeLink(is_up=False), FakeLink()]
    hosts = Hosts(links, ["r1"], again_s=0)
    with pytest.raises(ActorDiedError):
        await hosts.run(ROW, "row:0")
    assert hosts.up == 1
    for _ in range(5):
        assert await hosts.run(ROW, "row:1") == Ran("finished")
    assert [link.rows for link in links] == [1, 5]
    links[0].is_up = True
    while hosts.up < 2:
        await asyncio.sleep(0)
    await hosts.run(ROW, "row:2")
    assert [link.rows for link in links] == [2, 5]
    hosts.end()


async def test_a_host_that_is_back_without_its_models_gets_no_row() -> None:
    links = [FakeLink(is_up=False), FakeLink()]
    hosts = Hosts(links, ["r1"], again_s=0)
    with pytest.raises(ActorDiedError):
        await hosts.run(ROW, "row:0")
    links[0].is_up, links[0].unloaded = True, ModelUnavailable("No memory for 'r1'.")
    while links[0].methods.count("prepare") < 3:
        await asyncio.sleep(0)
    assert hosts.up == 1
    links[0].unloaded = None
    while hosts.up < 2:
        await asyncio.sleep(0)
    hosts.end()


async def test_models_that_cannot_be_loaded_on_one_host_are_an_error_before_any_row() -> None:
    links = [FakeLink(), FakeLink()]
    links[1].unloaded = InvalidFleet(NO_FLEET)
    with pytest.raises(InvalidFleet, match="no fleet file"):
        await Hosts(links, ["r1"]).prepare()


async def test_every_host_that_is_there_is_told_to_stop_and_a_lost_one_is_no_error() -> None:
    links = [FakeLink(is_up=False), FakeLink(), FakeLink()]
    hosts = Hosts(links, ["r1"])
    hosts.stop_rows()
    while not all(link.methods for link in links):
        await asyncio.sleep(0)
    assert [link.methods for link in links] == [["stop"]] * 3
    hosts.end()


async def test_a_model_is_asked_on_a_host_that_is_up() -> None:
    links = [FakeLink(is_up=False), FakeLink()]
    hosts = Hosts(links, ["r1"], again_s=60)
    with pytest.raises(ActorDiedError):
        await hosts.answers("r1")
    assert await hosts.answers("r1")
    assert [link.methods for link in links] == [["answers"], ["answers"]]
    hosts.end()


async def test_rows_wait_for_a_host_while_none_is_up() -> None:
    link = FakeLink(is_up=False)
    hosts = Hosts([link], ["r1"], again_s=0)
    with pytest.raises(ActorDiedError):
        await hosts.run(ROW, "row:0")
    waiting = asyncio.create_task(hosts.run(ROW, "row:1"))
    await asyncio.sleep(0)
    assert link.rows == 1
    link.is_up = True
    assert await waiting == Ran("finished")
    hosts.end()


async def test_no_host_that_comes_back_is_an_error_that_says_so() -> None:
    hosts = Hosts([FakeLink(is_up=False)], ["r1"], back_s=0.01, again_s=0)
    with pytest.raises(ActorDiedError):
        await hosts.run(ROW, "row:0")
    with pytest.raises(ModelUnavailable, match="All 1 hosts of the batch were lost"):
        await hosts.run(ROW, "row:1")
    hosts.end()


NO_FLEET = "There is no fleet file 'f.yaml'."
TRACE = f"Traceback (most recent call last):\norchestra.errors.InvalidFleet: {NO_FLEET}"


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (ActorDiedError(), "killed for memory, or crashed"),
        (
            ActorDiedError(RayTaskError("__init__", TRACE, InvalidFleet(NO_FLEET))),
            f"InvalidFleet: {NO_FLEET}",
        ),
    ],
)
async def test_a_host_that_dies_while_it_loads_is_named_with_cause_and_cure(
    loss: Exception, told: str
) -> None:
    link = FakeLink(is_up=False, loss=loss)
    with pytest.raises(ModelUnavailable, match=f"before it had loaded r1: .*{told}"):
        await Hosts([link, FakeLink()], ["r1"]).prepare()
