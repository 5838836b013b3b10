"""Kills every part of a served application under load, one after the other, and adds up the money.

    python -m benchmarks.kills.service --between 40

A local cluster of three nodes serves the `answer` graph with two replicas of the bundled `r1` and
two ingresses that share one book. While clients post jobs, each its own, a replica is killed, a
canary is deployed whose model is bad (`bad_engine.py`) and has a fifth of the jobs until its share
is taken back, an ingress, the ledger's process and Serve's controller are killed, the application
is deployed anew with another argument, and a node is killed. A client sends a job again when it
got no answer or the job failed.

What the clients' answers cost, and what the book has settled, must be one sum. Calls that were
under way in a killed ingress are presumed to be spent, and told beside it: nobody was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from benchmarks.kills.cluster import (
    MODEL,
    Asked,
    answered,
    ask_all,
    calls_of,
    free_port,
    questions,
    say,
    write_fleet,
)
from benchmarks.parts.three_nodes import WorkerNode, three_nodes
from graphs.answer import build
from orchestra.cluster.owned import served
from orchestra.cluster.processes import Process, descendants
from orchestra.core.card import Card
from orchestra.core.job import CallRecord
from orchestra.core.money import dollars
from orchestra.core.pricing import Work, cost_micro
from orchestra.fleet.source import load_fleet

APP = "answer"
INGRESSES = 2
SCRAPE_S = 0.5
WAVE = 64  # jobs that clients share, until every part was struck
CANARY_PERCENT = 20
RETURN_S = 2.0  # until each ingress has heard of it
COST = "orchestra_cost_usd_total"
JOBS = "orchestra_jobs_total"
SHARE = "orchestra_canary_percent"
RETRIED = "orchestra_canary_retried_total"
RETURNED = "orchestra_canary_returned_total"


@dataclass(slots=True)
class Watched:
    """Metrics as they were scraped under load, whichever ingress answered."""

    costs: list[float] = field(default_factory=list)
    jobs: list[float] = field(default_factory=list)
    silent: int = 0
    share: float | None = None
    retried: float = 0.0
    returned: float = 0.0
    jobs_at_return: int = 0

    async def scrape(self, url: str) -> None:
        """Ask again and again, until it is cancelled."""
        async with httpx.AsyncClient(base_url=url, timeout=10) as http:
            while True:
                await asyncio.sleep(SCRAPE_S)
                try:
                    answer = await http.get("/metrics")
                except httpx.TransportError:
                    answer = None
                # While an ingress waits for the ledger it tells of neither.
                if answer is None or not answer.is_success or COST not in answer.text:
                    self.silent += 1
                    continue
                self.costs.append(_sum(answer.text, COST))
                if JOBS in answer.text:
                    self.jobs.append(_sum(answer.text, JOBS))
                if SHARE in answer.text:
                    self.share = _sum(answer.text, SHARE)
                self.retried = max(self.retried, _sum(answer.text, RETRIED))
                self.returned = max(self.returned, _sum(answer.text, RETURNED))


def backwards(values: list[float]) -> int:
    """How often a value was less than the one before."""
    return sum(later < sooner for sooner, later in itertools.pairwise(values))


def _sum(text: str, name: str) -> float:
    return sum(
        float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith((f"{name}{{", f"{name} "))
    )


def write_bad_fleet(fleet: Path) -> Path:
    """The fleet with one replica of a model that is bad, which takes no node's room."""
    read = yaml.safe_load(fleet.read_text(encoding="utf-8"))
    hosting = read["models"][0]["hosting"]
    hosting |= {"worker": "benchmarks.kills.bad_engine:BadEngine", "scaling": {"cpus": 0}}
    path = fleet.with_name("bad.yaml")
    path.write_text(yaml.safe_dump(read | {"name": "bad"}), encoding="utf-8")
    return path


def serve_struck(
    fleet: Path, book: Path, jobs: list[Asked], watched: Watched, between: int
) -> None:
    """Have jobs answered, which are added to `jobs`, while each part dies in its turn."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    args = {"fleet": str(fleet), "book": str(book), "ingresses": str(INGRESSES)}
    canary = {"canary_percent": str(CANARY_PERCENT), "canary_fleet": str(write_bad_fleet(fleet))}
    with three_nodes() as nodes:
        from ray import serve as ray_serve

        from orchestra import serve

        def deploy(**changed: str) -> None:
            args.update(changed)
            ray_serve.run(serve(build)(args), name=APP)

        def deploy_canary() -> None:
            deploy(**canary)

        with served(port):
            deploy()
            asyncio.run(_under_load(url, jobs, nodes, (deploy, deploy_canary), watched, between))


async def _under_load(
    url: str,
    jobs: list[Asked],
    nodes: list[WorkerNode],
    deploys: tuple[Callable[..., None], Callable[[], None]],
    watched: Watched,
    between: int,
) -> None:
    scraping = asyncio.create_task(watched.scrape(url))
    striking = asyncio.create_task(_strike(jobs, nodes, deploys, watched, between))
    while not striking.done():
        wave = [Asked(text) for text in questions(len(jobs) + WAVE)[-WAVE:]]
        jobs += wave
        await ask_all(url, wave)
    await striking
    scraping.cancel()
    with suppress(asyncio.CancelledError):
        await scraping
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        state = (await http.get("/readyz")).json()
    print(f"readiness at the end   {state['status']}, book {state['book']}")


async def _strike(
    jobs: list[Asked],
    nodes: list[WorkerNode],
    deploys: tuple[Callable[..., None], Callable[[], None]],
    watched: Watched,
    between: int,
) -> None:
    """Kill each part in its turn, so many answers after the one before."""
    deploy, deploy_canary = deploys

    async def canary() -> str:
        await asyncio.to_thread(deploy_canary)
        say(jobs, f"deployed a bad canary with {CANARY_PERCENT}% of the jobs")
        began = time.monotonic()
        while watched.share != 0:
            await asyncio.sleep(0.1)
        await asyncio.sleep(RETURN_S)
        watched.jobs_at_return = len(jobs)
        return f"the canary's share was taken back after {time.monotonic() - began:.1f} s"

    async def replica() -> str:
        return _kill(f"ServeReplica:{APP}:{MODEL}")

    async def ingress() -> str:
        return _kill(f"ServeReplica:{APP}:ingress")

    async def ledger() -> str:
        return _kill("LedgerActor")

    async def controller() -> str:
        return _kill("ServeController")

    async def roll() -> str:
        await asyncio.to_thread(deploy, max_ongoing="300")
        return "deployed anew with max_ongoing=300"

    async def node() -> str:
        place = max(nodes, key=lambda each: len(each.actors(MODEL)))
        lost = len(place.actors(MODEL))
        place.kill()
        return f"killed a node with {lost} of the replicas"

    steps: list[Callable[[], Awaitable[str]]] = [
        replica, canary, ingress, ledger, controller, roll, node,
    ]  # fmt: skip
    for step in steps:
        await answered(jobs, sum(bool(job.answers) for job in jobs) + between)
        say(jobs, await step())
    await answered(jobs, sum(bool(job.answers) for job in jobs) + between)


def _kill(title: str) -> str:
    """SIGKILL the first process with that title."""
    found: list[Process] = []
    while not found:  # it may be on its way up again
        found = [one for one in descendants(os.getpid()) if title in one.title]
    found[0].kill()
    return f"killed {title} ({found[0].pid})"


def priced(card: Card, call: CallRecord) -> int:
    """What a call of an answer cost, also where an earlier try of its job had paid for it."""
    if not call.reused:
        return round(call.cost_usd * 1_000_000)
    return cost_micro(card, Work(call.input_tokens, call.output_tokens, call.image_count))


def paid_for(card: Card, job: Asked) -> int:
    """What a job's client was told that it paid, in any of its results; each call counts once."""
    paid: Counter[tuple[str, str, str]] = Counter()
    for version, result in job.told:
        for call in result.calls:
            key = (version, call.node, call.prompt_hash)
            paid[key] = max(paid[key], priced(card, call))
    return paid.total()


def _print_canary(jobs: list[Asked], watched: Watched) -> None:
    told = [(job, result) for job in jobs for version, result in job.told if version == "canary"]
    failed = [result for _, result in told if result.status == "failed"]
    free = sum(not result.cost_usd and not result.calls[0].reused for result in failed)
    print(
        f"canary                 {len({id(job) for job, _ in told})} jobs got {len(told)} answers "
        f"of it, {len(failed)} failed ({free} of them for nothing); {watched.retried:.0f} more it "
        f"failed for nothing, and the stable version answered them"
    )
    print(f"                       returned {watched.returned:.0f} times, share {watched.share}%")
    late = [
        job for job in jobs[watched.jobs_at_return :] if any(v == "canary" for v, _ in job.told)
    ]
    print(f"                       of jobs begun after its return it got {len(late)}")


def print_toll(card: Card, jobs: list[Asked], book: Path, watched: Watched) -> None:
    """What came of it."""
    calls = calls_of(book)
    done = [job for job in jobs if job.answers]
    clients = sum(paid_for(card, job) for job in jobs)
    with closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True)) as database:
        sums = dict(database.execute("SELECT state, sum(cost_micro) FROM entries GROUP BY state"))
        twice = database.execute(
            "SELECT count(*) - count(DISTINCT key) FROM entries WHERE state = 'settled'"
        ).fetchone()[0]
        open_now = database.execute("SELECT count(*) FROM accounts WHERE NOT closed").fetchone()[0]
        epoch = database.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
    settled, presumed = sums.get("settled", 0), sums.get("presumed", 0)
    print(f"jobs accepted          {sum(bool(job.sent) for job in jobs)}")
    print(f"lost                   {len(jobs) - len(done)}")
    print(f"answers given twice    {sum(len(job.answers) > 1 for job in jobs)}")
    print(f"jobs sent again        {sum(job.sent > 1 for job in jobs)} by their clients")
    for why, times in Counter(why for job in jobs for why in job.refusals).most_common():
        print(f"                       {times} x {why[:150]}")
    _print_canary(jobs, watched)
    print(f"slowest answers        {', '.join(f'{s:.1f} s' for s in _slowest(jobs))}")
    print(f"calls in the book      {json.dumps(dict(calls.states))} in epoch {epoch}")
    print(f"charged twice          {twice}")
    print(f"book / clients         {dollars(settled)} / {dollars(clients)} settled")
    print(f"presumed beside it     {dollars(presumed)} of {calls.states['presumed']} calls")
    print(f"accounts left open     {open_now}")
    print(
        f"/metrics               {len(watched.costs)} scrapes, {watched.silent} without it; "
        f"spend ran backwards {backwards(watched.costs)} times, jobs {backwards(watched.jobs)}"
    )


def _slowest(jobs: list[Asked]) -> list[float]:
    return sorted(job.seconds for job in jobs)[-3:]


def main() -> None:
    """Parse, and run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--between", type=int, default=40, help="answers from a kill to the next")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fleet, book = write_fleet(folder), folder / "book.sqlite"
        jobs: list[Asked] = []
        watched = Watched()
        serve_struck(fleet, book, jobs, watched, options.between)
        print_toll(load_fleet(str(fleet))[0].card(MODEL), jobs, book, watched)


if __name__ == "__main__":
    main()
