"""Three nodes: a served graph that loses a replica and a node, a batch that loses a node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from benchmarks.kills.cluster import MODEL, REPLICAS, Asked, calls_of, questions, serve_struck
from benchmarks.kills.resume import finished, toll, write_table
from benchmarks.parts.three_nodes import CPUS, three_nodes
from orchestra import Fleet
from orchestra.fleet.source import load_graph
from tests.stub_worker import FLEET
from tests.stub_worker import write_fleet as write_stub

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
JOBS, ROWS, IN_FLIGHT = 90, 240, 4


def test_no_accepted_job_is_lost_or_paid_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # replicas import the stub worker
    file = yaml.safe_load(FLEET)
    (card,) = file["models"]
    assert card["name"] == MODEL
    card["hosting"]["scaling"] = {"replicas": REPLICAS}
    fleet = tmp_path / "two-replicas.yaml"
    fleet.write_text(yaml.safe_dump(file), encoding="utf-8")
    jobs = [Asked(text) for text in questions(JOBS)]
    serve_struck(fleet, tmp_path / "book.sqlite", jobs)
    assert [len(job.answers) for job in jobs] == [1] * JOBS
    # The proxy stands on the head node, beside the ingress: no client had to ask again.
    assert [why for job in jobs for why in job.refusals] == []
    calls = calls_of(tmp_path / "book.sqlite")
    assert calls.states == {"settled": JOBS}
    assert calls.paid_again == 0


def test_a_batch_goes_on_with_the_hosts_that_a_lost_node_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    table, out = tmp_path / "products.csv", tmp_path / "out"
    write_table(table, ROWS)
    with three_nodes() as nodes:

        async def kill() -> None:
            while finished(out) < ROWS // 4:
                await asyncio.sleep(0.02)
            nodes[0].kill()

        async def run() -> None:
            killing = asyncio.create_task(kill())
            async with Fleet.open(str(write_stub(tmp_path))) as fleet:
                graph = load_graph("listing")
                # Paused at once if a row finds no host: the lost ones have nowhere to come back.
                summary = await fleet.batch(
                    graph, table, out=out, on="auto", in_flight=IN_FLIGHT, probe_delays_s=()
                )
            await killing
            assert (summary.rows, summary.pending, summary.failed) == (ROWS, 0, 0)

        asyncio.run(run())
    counts = toll(out)
    assert counts.rows == ROWS
    assert counts.presumed <= CPUS * IN_FLIGHT and counts.repeated_calls <= CPUS * IN_FLIGHT
