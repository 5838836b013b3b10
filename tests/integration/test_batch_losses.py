"""A batch on a real cluster that loses processes, or its budget, before its end."""

from __future__ import annotations

import asyncio
import csv
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from benchmarks.kills.resume import Toll, finished, toll, write_table
from graphs.listing import build
from orchestra import Budget, Fleet
from orchestra.batch.folder import Folder
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.survey import Wish
from orchestra.batch.run.far import run_far
from orchestra.batch.spec import BatchSpec, RunSettings
from orchestra.batch.start import run_here
from orchestra.cluster.owned import own_cluster
from orchestra.cluster.processes import descendants
from orchestra.core.errors import InvalidTable, ModelUnavailable
from orchestra.core.money import dollars
from orchestra.fleet.source import load_graph
from tests.servers.failing_servers import ModelServer
from tests.servers.fake_server import endpoint_card
from tests.serving_workers import DyingWorker
from tests.serving_workers import write_fleet as write_other_fleet
from tests.stub_worker import write_fleet

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
ROWS, HOSTS, IN_FLIGHT = 120, 2, 4


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    os.environ["PYTHONPATH"] = str(ROOT)  # the hosts import the stub worker
    with own_cluster(cpus=HOSTS):
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "products.csv"
    write_table(path, ROWS)
    return path


@pytest.fixture(scope="module")
def clean(table: Path) -> Path:
    """What comes out in one process, undisturbed."""
    out = table.parent / "clean"
    asyncio.run(run(table, out, on=None))
    return out


async def run(table: Path, out: Path, **options: Any) -> Summary:
    """The batch on the cluster of this module, or in this process with `on=None`."""
    options = {"on": "auto", "in_flight": IN_FLIGHT, **options}
    async with Fleet.open(str(write_fleet(table.parent))) as fleet:
        return await fleet.batch(load_graph("listing"), table, out=out, **options)


@asynccontextmanager
async def killed(title: str, out: Path, after: int) -> AsyncIterator[None]:
    """SIGKILL one actor of that title once `after` rows are finished."""

    async def kill() -> None:
        while finished(out) < after:
            await asyncio.sleep(0.02)
        victim = next(one for one in descendants(os.getpid()) if title in one.title)
        victim.kill()

    killing = asyncio.create_task(kill())
    yield
    assert killing.done() and killing.exception() is None, "the batch was over before the kill"


def ids(out: Path) -> list[str]:
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        return [row["id"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(("title", "most_lost"), [("RowHost", IN_FLIGHT), ("BookKeeper", 0)])
async def test_a_killed_actor_costs_no_row_and_none_is_there_twice(
    table: Path, clean: Path, tmp_path: Path, title: str, most_lost: int
) -> None:
    out = tmp_path / "killed"
    async with killed(title, out, after=ROWS // 4):
        summary = await run(table, out)
    assert (summary.rows, summary.pending, summary.failed) == (ROWS, 0, 0)
    assert ids(out) == ids(clean)
    lost, whole = toll(out), toll(clean)
    assert lost.rows == ROWS
    # Only what was on its way on the killed host may be made again, and is presumed.
    assert lost.presumed <= most_lost and lost.repeated_calls <= most_lost
    assert whole.cost_micro <= lost.cost_micro <= whole.cost_micro + lost.presumed_micro


async def test_a_budget_stops_the_cluster_and_a_larger_one_goes_on(
    table: Path, clean: Path, tmp_path: Path
) -> None:
    whole = toll(clean)
    limit_micro = whole.cost_micro // 2
    out = tmp_path / "out"
    stopped = await run(table, out, budget=Budget(cost_usd=dollars(limit_micro).strip("$")))
    part = toll(out)
    assert 0 < part.rows < ROWS and stopped.pending == ROWS - part.rows
    assert part.cost_micro <= limit_micro
    rest = await run(table, out)
    assert (rest.rows, rest.pending) == (ROWS, 0)
    assert toll(out) == whole  # nothing was paid twice


async def test_a_plan_is_run_on_the_cluster_as_in_one_process_and_its_time_is_not_compared(
    table: Path, clean: Path, tmp_path: Path
) -> None:
    cap = Budget(cost_usd=dollars(toll(clean).cost_micro * 3 // 4).strip("$"))
    graph, here, there = load_graph("listing"), tmp_path / "here", tmp_path / "there"
    async with Fleet.open(str(write_fleet(table.parent))) as fleet:
        made = await fleet.plan_batch(graph, table, Wish(budget=cap, sample=12), out=here)
        copytree(here, there)  # both begin from what the sample paid
        one = await fleet.batch(graph, table, out=here, budget=cap, plan=made)
        options = {"on": "auto", "in_flight": IN_FLIGHT}
        many = await fleet.batch(graph, table, out=there, budget=cap, plan=made, **options)
    assert many.rows == one.rows == ROWS
    assert many.pending == many.over_budget > 0 and many.failed == 0
    # Rows end in another order there, so a few at the edge of the budget may be others.
    assert abs(many.over_budget - one.over_budget) <= HOSTS * IN_FLIGHT
    assert ids(there) == ids(here)
    assert many.cost_usd <= cap.cost_usd  # type: ignore[operator]
    assert one.quote is not None and many.quote is not None
    assert "why" not in one.quote["seconds"]
    assert many.quote["seconds"]["within"] is None
    assert "cluster" in many.quote["seconds"]["why"]


async def test_a_row_that_a_server_fails_on_fails_alone_on_a_cluster_too(
    table: Path, tmp_path: Path
) -> None:
    rows, first, last = list(csv.DictReader(table.open(encoding="utf-8"))), 0, ROWS - 1
    poison = tuple(rows[at]["name"] for at in (first, last))
    server = ModelServer(poison)
    with server.serving() as url:
        card = endpoint_card(url).model_dump(mode="json")
        fleet = tmp_path / "far.yaml"
        fleet.write_text(json.dumps({"name": "far", "models": [card]}), encoding="utf-8")
        async with Fleet.open(str(fleet)) as opened:
            options: Any = {"on": "auto", "in_flight": IN_FLIGHT, "text_columns": ["name"]}
            options |= {"yes": True, "probe_delays_s": (0.1, 0.1, 0.1), "out": tmp_path / "out"}
            done = await opened.batch(load_graph("answer"), table, **options)
            server.poison = ()
            again = await opened.batch(load_graph("answer"), table, retry_failed=True, **options)
    assert (done.rows, done.failed, done.pending) == (ROWS, len(poison), 0)
    assert (again.failed, again.pending) == (0, 0)


async def test_a_model_that_kills_its_host_as_it_loads_is_named_and_nothing_is_spent(
    table: Path, tmp_path: Path
) -> None:
    fleet = write_other_fleet(tmp_path, DyingWorker, name="dying")
    async with Fleet.open(str(fleet)) as opened:
        with pytest.raises(ModelUnavailable, match=r"died before it had loaded dying: .*memory"):
            await opened.batch(load_graph("answer"), table, out=tmp_path / "out", on="auto")
    assert toll(tmp_path / "out") == Toll(0, 0, 0, 0, 0)


async def test_a_batch_asked_for_from_outside_is_run_by_the_head_node_as_it_was_asked_for(
    table: Path, clean: Path, tmp_path: Path
) -> None:
    asked = BatchSpec(table=table, graph=build, fleet=str(write_fleet(table.parent)), maps=True)
    settings = RunSettings(out=tmp_path / "out", in_flight=IN_FLIGHT, limit=8, tags={"a": "b"})
    summary = await run_far(run_here, asked.named(), settings, None)
    assert (summary.rows, summary.pending, summary.failed) == (8, 0, 0)
    assert ids(tmp_path / "out") == ids(clean)[:8]
    folder = Folder.read(tmp_path / "out")
    assert folder.spec.recipe is not None and folder.spec.recipe.maps
    folder.book.close()
    with pytest.raises(InvalidTable, match="'nope'"):
        wrong = asked.model_copy(update={"id_column": "nope"})
        await run_far(run_here, wrong.named(), settings, None)
