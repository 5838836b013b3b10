"""Two ingresses on a real Ray Serve share one book, which outlives them and its own process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from benchmarks.kills.cluster import Asked, ask_all, calls_of, free_port, questions
from graphs.answer import build
from orchestra import serve
from orchestra.cluster.owned import own_cluster, served
from orchestra.cluster.processes import descendants
from tests.stub_worker import write_fleet

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
JOBS = 150


async def test_no_request_and_no_call_is_lost_when_ingresses_roll_and_the_ledgers_process_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # replicas import the stub worker
    book, port = tmp_path / "book.sqlite", free_port()
    args = {"fleet": str(write_fleet(tmp_path)), "book": str(book), "ingresses": "2"}
    url = f"http://127.0.0.1:{port}"
    with own_cluster(cpus=2), served(port):
        from ray import serve as ray_serve

        def deploy(**changed: str) -> None:
            ray_serve.run(serve(build)(args | changed), name="answer")

        deploy()
        first, second = ([Asked(text) for text in questions(JOBS)][at::2] for at in range(2))
        await under_load(url, first, lambda: asyncio.to_thread(deploy, max_ongoing="300"))
        await under_load(url, second, kill_the_ledger)
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            state = (await http.get("/readyz")).json()
            assert (state["status"], state["book"]) == ("ok", "ready")
            spent = {await micro_told(http) for _ in range(8)}  # whichever ingress is asked
    jobs = [*first, *second]
    # No client had to ask again, and none was told of an error.
    assert [(len(job.answers), job.refusals) for job in jobs] == [(1, [])] * JOBS
    calls = calls_of(book)
    assert calls.states == {"settled": JOBS} and calls.paid_again == 0
    paid = sum(round(job.answers[0].cost_usd * 1_000_000) for job in jobs)
    assert calls.cost_micro == paid > 0
    assert spent == {paid}
    with closing(sqlite3.connect(book)) as database:
        epoch = database.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
        left = database.execute("SELECT id FROM accounts WHERE NOT closed").fetchall()
    assert (epoch, left) == ("2", [])
    assert not book.with_name("book.sqlite-wal").exists() or not (
        book.with_name("book.sqlite-wal").stat().st_size
    )


async def under_load(url: str, jobs: list[Asked], change: Callable[[], Awaitable[None]]) -> None:
    """Have all `jobs` answered, and make a change when a third of them are."""

    async def soon() -> None:
        while sum(bool(job.answers) for job in jobs) < len(jobs) // 3:
            await asyncio.sleep(0.02)
        await change()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(soon())
        tasks.create_task(ask_all(url, jobs))


async def kill_the_ledger() -> None:
    (victim,) = (one for one in descendants(os.getpid()) if "LedgerActor" in one.title)
    victim.kill()


async def micro_told(http: httpx.AsyncClient) -> int:
    lines = (await http.get("/metrics")).text.splitlines()
    (line,) = (line for line in lines if line.startswith("orchestra_cost_usd_total{"))
    return round(float(line.split()[-1]) * 1_000_000)
