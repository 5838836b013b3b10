"""Kills a replica, then a whole node, under load; then a batch's driver, again and again.

    python benchmarks/kills/cluster.py --jobs 400 --rows 200 --kills 5

First: a local cluster of three nodes serves the `answer` graph with two replicas of the bundled
`r1`, while clients post jobs, each its own. A client sends a job again when it got no answer or
the answer says that a model was unavailable. The book is read afterwards.
Then: `orchestra batch --on ray`, killed as `resume.py` does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.kills.resume import (
    IN_FLIGHT,
    print_toll,
    run_clean,
    run_killed,
    toll,
    write_table,
)
from benchmarks.parts.three_nodes import WorkerNode, three_nodes
from graphs.answer import build
from orchestra import Fleet, Job, Result
from orchestra.cluster.owned import served
from orchestra.cluster.processes import descendants, seconds_until_gone
from orchestra.core.money import dollars
from orchestra.fleet.source import load_fleet

MODEL = "r1"
REPLICAS = 2
CLIENTS = 16
TRIES, TRY_AGAIN_S = 20, 1.0
ANSWER_S = 240.0  # a client that gives up pays for what it left, and again for the next try
GONE_S = 100.0  # how long a killed driver's processes are watched for


@dataclass(slots=True)
class Asked:
    """One job as its client saw it: every answer that came, and how often it was sent.

    `told` are all results, failed ones too, each with the version that it is of, where a canary
    stands beside.
    """

    text: str
    sent: int = 0
    answers: list[Result] = field(default_factory=list)
    told: list[tuple[str, Result]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Calls:
    """What the ingress's book holds of one model's calls."""

    states: Counter[str]
    paid_again: int
    cost_micro: int


def write_fleet(folder: Path) -> Path:
    """The bundled `r1` alone, `REPLICAS` of it."""
    file, home = load_fleet("mini")
    card = file.card(MODEL).model_dump(mode="json", exclude_defaults=True)
    card["hosting"]["checkpoint"] = str((home / card["hosting"]["checkpoint"]).resolve())
    card["hosting"]["scaling"] = {"replicas": REPLICAS}
    path = folder / "two-replicas.yaml"
    path.write_text(yaml.safe_dump({"name": "two-replicas", "models": [card]}), encoding="utf-8")
    return path


def questions(count: int) -> list[str]:
    """Texts, each its own, so that none is answered from the journal."""
    kinds, places = ("apple", "lemon", "shirt", "tomato"), ("Italy", "Spain", "Peru")
    return [
        f"A {kinds[at % len(kinds)]} from {places[at % len(places)]}, lot {at}. Where is it from?"
        for at in range(count)
    ]


async def ask_all(url: str, jobs: list[Asked]) -> None:
    """Post every job, `CLIENTS` at once, each until it is answered."""
    waiting = iter(jobs)

    async def client(http: httpx.AsyncClient) -> None:
        for job in waiting:
            await _ask(http, job)

    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_S) as http:
        await asyncio.gather(*(client(http) for _ in range(CLIENTS)))


async def _ask(http: httpx.AsyncClient, job: Asked) -> None:
    started = time.monotonic()
    while job.sent < TRIES:
        job.sent += 1
        try:
            answer = await http.post("/v1/jobs", json={"text": job.text})
        except httpx.TransportError as error:
            job.refusals.append(type(error).__name__)
        else:
            result = Result.model_validate(answer.json()) if answer.is_success else None
            if result is not None:
                job.told.append((answer.headers.get("X-Orchestra-Version", ""), result))
            if result is not None and result.status != "failed":
                job.answers.append(result)
                break
            job.refusals.append(result.errors[0].message if result else answer.text)
        await asyncio.sleep(TRY_AGAIN_S)
    job.seconds = time.monotonic() - started


async def strike(jobs: list[Asked], nodes: list[WorkerNode]) -> None:
    """SIGKILL a replica when a third of the jobs is answered, and a node at two thirds."""
    await answered(jobs, len(jobs) // 3)
    victim = nodes[0].actors(MODEL)[0]
    victim.kill()
    say(jobs, f"killed the replica {victim.title.strip(chr(0))!r} (process {victim.pid})")
    await answered(jobs, 2 * len(jobs) // 3)
    place = max(nodes, key=lambda node: len(node.actors(MODEL)))
    lost = len(place.actors(MODEL))
    place.kill()
    say(jobs, f"killed a node with {lost} of the replicas")


async def answered(jobs: list[Asked], count: int) -> None:
    """Wait until so many of the jobs are answered."""
    while sum(bool(job.answers) for job in jobs) < count:
        await asyncio.sleep(0.05)


def say(jobs: list[Asked], what: str) -> None:
    """Print what was done, and after how many answers."""
    print(f"{what} after {sum(bool(job.answers) for job in jobs)} answers", flush=True)


async def run_here(fleet: Path, texts: list[str]) -> list[Result]:
    """The same jobs in this process, undisturbed."""
    slots = asyncio.Semaphore(CLIENTS)
    async with Fleet.open(str(fleet)) as opened:

        async def one(text: str) -> Result:
            async with slots:
                return await opened.run(build, Job(text=text))

        return list(await asyncio.gather(*map(one, texts)))


def calls_of(book: Path) -> Calls:
    """Count the entries of a book; a call is paid again when its key was paid for before."""
    with closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True)) as database:
        entries = database.execute("SELECT state, key, cost_micro FROM entries").fetchall()
    paid = [key for state, key, _ in entries if state in ("settled", "presumed")]
    return Calls(
        Counter(state for state, _, _ in entries),
        len(paid) - len(set(paid)),
        sum(cost for _, _, cost in entries),
    )


def serve_killed(folder: Path, count: int) -> None:
    """The first part: serve, strike, and print what came of it."""
    fleet, book = write_fleet(folder), folder / "book.sqlite"
    jobs = [Asked(text) for text in questions(count)]
    serve_struck(fleet, book, jobs)
    clean = asyncio.run(run_here(fleet, [job.text for job in jobs]))
    _print_served(jobs, clean, calls_of(book))


def serve_struck(fleet: Path, book: Path, jobs: list[Asked]) -> None:
    """Have `jobs` answered by a cluster that loses a replica of `MODEL`, then a node."""
    port = free_port()
    with three_nodes() as nodes:
        from ray import serve as ray_serve

        from orchestra import serve

        with served(port):
            ray_serve.run(serve(build)({"fleet": str(fleet), "book": str(book)}), name="answer")
            spread = [len(node.actors(MODEL)) for node in nodes]
            print(f"replicas on the worker nodes: {spread}", flush=True)
            asyncio.run(_under_load(f"http://127.0.0.1:{port}", jobs, nodes))


async def _under_load(url: str, jobs: list[Asked], nodes: list[WorkerNode]) -> None:
    striking = asyncio.create_task(strike(jobs, nodes))
    await ask_all(url, jobs)
    await striking


def _print_served(jobs: list[Asked], clean: list[Result], calls: Calls) -> None:
    answered = [job for job in jobs if job.answers]
    differing = sum(
        _values(job.answers[0]) != _values(result)
        for job, result in zip(jobs, clean, strict=True)
        if job.answers
    )
    expected = sum(round(result.cost_usd * 1_000_000) for result in clean)
    slow = sorted(job.seconds for job in jobs)
    print(f"jobs accepted          {sum(bool(job.sent) for job in jobs)}")
    print(f"answered               {len(answered)}")
    print(f"lost                   {len(jobs) - len(answered)}")
    print(f"answers given twice    {sum(len(job.answers) > 1 for job in jobs)}")
    print(f"answers that differ    {differing} (from the same jobs in this process)")
    print(f"jobs sent again        {sum(job.sent > 1 for job in jobs)} by their clients")
    for why, times in Counter(why for job in jobs for why in job.refusals).items():
        print(f"                       {times} x {why}")
    print(f"slowest answers        {', '.join(f'{s:.1f} s' for s in slow[-3:])}")
    print(f"calls in the book      {json.dumps(dict(calls.states))}")
    print(f"calls settled per job  {calls.states['settled'] / len(jobs):.3f}")
    print(f"calls paid twice       {calls.paid_again}")
    print(f"presumed calls         {calls.states['presumed']}")
    print(f"total clean / killed   {dollars(expected)} / {dollars(calls.cost_micro)}")


def _values(result: Result) -> dict[str, Any]:
    return {name: (item.value, item.source) for name, item in result.fields.items()}


def batch_killed(folder: Path, fleet: str, rows: int, kills: int, seed: int) -> None:
    """The second part: a batch on a cluster of its own, whose driver is killed.

    The next run starts at once, beside what is left of the killed one's cluster.
    """
    table = folder / "products.csv"
    write_table(table, rows)
    on = ("--on", "ray")
    run_clean(table, folder / "clean", fleet, on)
    with ThreadPoolExecutor(kills) as watchers:
        watched: list[Future[float | None]] = []

        def kill(driver: subprocess.Popen[bytes]) -> None:
            cluster = descendants(driver.pid)
            driver.kill()
            driver.wait()
            watched.append(watchers.submit(seconds_until_gone, cluster, GONE_S))

        struck = run_killed(
            table, folder / "killed", fleet, rows, kills, seed, options=on, kill=kill
        )
    hosts = os.cpu_count() or 1
    print_toll(toll(folder / "clean"), toll(folder / "killed"), struck, IN_FLIGHT * hosts)
    gone = [watch.result() for watch in watched]
    told = ", ".join("not" if seconds is None else f"{seconds:.1f} s" for seconds in gone)
    print(f"all processes of each killed driver gone after: {told}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Parse, run both parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=400, help="0 leaves the first part out")
    parser.add_argument("--rows", type=int, default=200, help="0 leaves the second part out")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fleet", default="mini", help="of the second part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.jobs:
            serve_killed(Path(temporary), options.jobs)
        if options.rows:
            batch_killed(Path(temporary), options.fleet, options.rows, options.kills, options.seed)


if __name__ == "__main__":
    main()
