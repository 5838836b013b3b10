"""Predicted against actual latency of mixed jobs on the bundled fleet, before and after a re-fit.

    python -m benchmarks.latency --data DIR --jobs 500 --load 0.4 --bare

Texts of several lengths, photos (of `DIR/grocery/images`, cropped at random so that no two are
alike; without `--data` drawn scenes) and both go through the graphs `answer` and `listing` in this
process, arriving at random times that keep it busy for `--load` of the time. The first half of the
jobs runs on models drawn at random, and is what `orchestra refit` fits. The second half is planned
by the fitted fleet, each job with a deadline drawn between half and six times its expected time;
what the plan refuses runs without one. Prints the median relative error of both fleets on the
second half, and how many of the accepted jobs met their deadline.

Times are those of the machine as it is: the load average is printed, and on a busy one the spread
says more about its neighbours. `--out FILE` keeps the fitted latencies, which are that machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from langgraph.graph.state import CompiledStateGraph
from PIL import Image

from graphs.answer import build as answer
from graphs.listing import build as listing
from orchestra import Budget, Fleet, Job
from orchestra.book.book import Book
from orchestra.core.card import FleetFile
from orchestra.core.errors import NoFeasiblePlan, NothingLearnt
from orchestra.core.job import Result
from orchestra.core.stats import wilson
from orchestra.fleet.fitted import write_fitted
from orchestra.graph.intake import Intake, take_in
from orchestra.graph.run import run_job
from orchestra.refit.fit import TimedJob
from orchestra.refit.refit import refit, with_latencies
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.options import options_of
from orchestra.routing.plan import Plan
from orchestra.routing.planner import plan
from orchestra.routing.timing import Load
from workers.synthetic.scenes import compose, draw_scene

GRAPHS = {"answer": compile_graph(answer), "listing": compile_graph(listing)}
COLOURS = ("red", "green", "blue", "yellow", "white", "black")
THINGS = ("apple", "shirt", "lemon", "carton of milk", "hat", "tomato", "pear")
PLACES = ("Italy", "Spain", "Sweden", "Peru", "Chile")
MORE = "It is washed by hand, packed in a box of {n} and kept cool until it is sold in shops. "
SENTENCES = (0, 2, 6)
KINDS = ("text", "photo", "both")
EASIEST, HARDEST = 6.0, 0.5  # of the expected time
EASES = (HARDEST, 2.0, 3.0, 4.0, 5.0, EASIEST + 0.001)
WARM_UPS, PROBES = 2, 24


@dataclass(frozen=True, slots=True)
class Given:
    """One job: which graph, what kind, and the job."""

    graph: str
    kind: str
    job: Job


@dataclass(slots=True)
class Timed:
    """How one job went: milliseconds as `told` by each fleet, and as it took."""

    given: Given
    actual_ms: float
    result: Result
    told_ms: dict[str, float] = field(default_factory=dict)
    deadline_ms: float | None = None
    accepted: bool = False
    account: str = ""
    ease: float = 0.0  # the deadline over the expected time

    @property
    def is_plain(self) -> bool:
        """Whether every call was made for this job: taking a reply over takes no time."""
        return not any(call.reused for call in self.result.calls)

    @property
    def met(self) -> bool:
        """Whether the job was done before its deadline."""
        late = any(error.type == "DeadlineExceeded" for error in self.result.errors)
        return not late and self.deadline_ms is not None and self.actual_ms <= self.deadline_ms


def given_jobs(folder: Path, draw: random.Random, photos: Sequence[Path] = ()) -> Iterator[Given]:
    """Jobs without end, no two the same; their photos are parts of `photos`, or drawn."""
    for number in iter(int, 1):
        del number
        serial, kind = draw.randrange(10**9), draw.choice(KINDS)
        text, images = None, ()
        if kind != "photo":
            words = f"A {draw.choice(COLOURS)} {draw.choice(THINGS)} from {draw.choice(PLACES)}"
            text = f"{words}, lot {serial}. " + MORE.format(n=serial % 90) * draw.choice(SENTENCES)
        if kind != "text":
            images = (str(photo(folder, serial, photos)),)
        yield Given(draw.choice(sorted(GRAPHS)), kind, Job(text=text, images=images))


def photo(folder: Path, serial: int, photos: Sequence[Path]) -> Path:
    """A photo that no other is like, of a kind that the models know: others they refuse unread."""
    draw = random.Random(serial)
    if photos:
        with Image.open(draw.choice(photos)) as opened:
            whole = opened.convert("RGB")
        left, top = draw.randrange(whole.width // 8), draw.randrange(whole.height // 8)
        picture = whole.crop((left, top, left + whole.width * 7 // 8, top + whole.height * 7 // 8))
    else:
        picture = draw_scene(compose(serial), seed=serial, size=400)
    path = folder / f"{serial}.jpg"
    picture.save(path, quality=90)
    return path


@dataclass(slots=True)
class Bench:
    """The fleet under test, and the two of its files that predict."""

    fleet: Fleet
    draw: random.Random
    files: dict[str, FleetFile]

    def load(self) -> Load:
        """What is under way now."""
        return Load.of(self.fleet.caller.traffic.now(), self.fleet.file)

    def told(self, given: Given, intake: Intake, planned: Plan, load: Load) -> dict[str, float]:
        """What each file expects of the plan's own assignment, in ms."""
        seen = view(GRAPHS[given.graph])
        active = {node.node: seen.asks[node.node] for node in planned.nodes}
        expected: dict[str, float] = {}
        for name, file in self.files.items():
            options = options_of(seen, active, intake.shape, Budget(), file, load)
            same = tuple(
                next(choice for choice in choices if choice.model == node.model)
                for node, choices in zip(planned.nodes, options.choices, strict=True)
            )
            expected[name] = options.expected_ms(same)
        return expected

    async def run(self, given: Given, intake: Intake, planned: Plan, **more: Any) -> Timed:
        """Run a job that was planned, within its budget."""
        told = self.told(given, intake, planned, self.load())
        account = f"job:{uuid.uuid4().hex}"
        graph: CompiledStateGraph[Any, Any, Any, Any] = GRAPHS[given.graph]
        result = await run_job(self.fleet, graph, intake, account=account, planned=planned)
        actual_ms = (result.intake_seconds + result.seconds) * 1000
        return Timed(given, actual_ms, result, told, account=account, **more)

    async def on_drawn_models(self, given: Given) -> Timed:
        """Run a job on models drawn at random, so that each has calls to be fitted on."""
        intake = await take_in(self.fleet, given.job)
        text = self.draw.choice(("r1", "v2", "v3"))
        eyes = self.draw.choice(("vl", "v3"))
        file = self.fleet.file
        few = tuple(card for card in file.models if card.name in (text, eyes))
        if text != "v3" and eyes == "v3":  # it reads as well, and would be asked for both
            few = tuple(
                card.model_copy(update={"capabilities": ("vision",)}) if card.name == eyes else card
                for card in few
            )
        drawn = FleetFile(**{**dict(file), "models": few})
        planned = plan(view(GRAPHS[given.graph]), intake.shape, Budget(), drawn, self.load())
        return await self.run(given, intake, planned)

    async def within_deadline(self, given: Given) -> Timed:
        """Run a job within a deadline where the plan accepts it, else without one."""
        intake = await take_in(self.fleet, given.job)
        seen, file = view(GRAPHS[given.graph]), self.fleet.file
        free = plan(seen, intake.shape, Budget(), file)
        ease = self.draw.uniform(HARDEST, EASIEST)
        deadline_ms = free.latency_ms * ease
        budget = Budget(latency_ms=deadline_ms)
        try:
            planned = plan(seen, intake.shape, budget, file, self.load())
        except NoFeasiblePlan:
            return await self.run(given, intake, free, deadline_ms=deadline_ms, ease=ease)
        held = replace(intake, job=intake.job.model_copy(update={"budget": budget}))
        more = {"deadline_ms": deadline_ms, "ease": ease, "accepted": True}
        return await self.run(given, held, planned, **more)

    async def arriving(self, jobs: Sequence[Given], each_s: float, run: Any) -> list[Timed]:
        """Run `jobs`, arriving `each_s` apart in the mean, as a Poisson process does."""
        tasks: list[asyncio.Task[Timed]] = []
        for given in jobs:
            tasks.append(asyncio.create_task(run(given)))
            await asyncio.sleep(self.draw.expovariate(1 / each_s))
        return list(await asyncio.gather(*tasks))


async def measured(options: argparse.Namespace, folder: Path) -> tuple[list[Timed], FleetFile]:
    """Both halves: the second half's jobs, and the fleet as it was fitted between."""
    draw = random.Random(options.seed)
    photos = known_photos(options.data)
    jobs = given_jobs(folder, draw, photos)
    async with Fleet.open("mini", book=folder / "book.sqlite", images=folder / "store") as fleet:
        if options.bare:
            fleet.file = without_latencies(fleet.file)
        bench = Bench(fleet, draw, {"before": fleet.file})
        loading = {card.name: await loading_ms(fleet, card.name) for card in fleet.file.models}
        for _ in range(WARM_UPS * 12):
            await bench.on_drawn_models(next(jobs))
        began = time.perf_counter()
        for _ in range(PROBES):
            await bench.on_drawn_models(next(jobs))
        each_s = (time.perf_counter() - began) / PROBES / options.load
        print(f"one job a mean {each_s * 1000:.0f} ms, which keeps it busy {options.load:.0%}")
        half = options.jobs // 2
        told_load("first half")
        first = await bench.arriving(
            [next(jobs) for _ in range(half)], each_s, bench.on_drawn_models
        )
        if fleet.book is None:
            raise SystemExit("the fleet was opened without a book")
        timed = [timed_job(job) for job in first if job.is_plain and not job.result.errors]
        fleet.file = bench.files["after"] = fitted(fleet.file, fleet.book, timed, loading)
        told_load("second half")
        second = await bench.arriving(
            [next(jobs) for _ in range(options.jobs - half)], each_s, bench.within_deadline
        )
        told_load("end")
        return second, fleet.file


def known_photos(data: Path | None) -> Sequence[Path]:
    """The photos in `data`; none for none given."""
    if data is None:
        return ()
    found = sorted(data.glob("grocery/images/**/*.jpg"))
    if not found:
        raise SystemExit(f"{data} has no grocery/images/**/*.jpg. Give another --data, or none.")
    return found


def without_latencies(file: FleetFile) -> FleetFile:
    """`file` as if nobody had measured its times: its profiles tell them."""
    cards = tuple(card.model_copy(update={"latency": None}) for card in file.models)
    return FleetFile(**{**dict(file), "models": cards, "overhead": None, "whole_jobs": None})


async def loading_ms(fleet: Fleet, model: str) -> float:
    """How long a model takes to load, in ms."""
    began = time.perf_counter()
    await fleet.client(model).prepare()
    return (time.perf_counter() - began) * 1000


def fitted(
    file: FleetFile, book: Book, jobs: Sequence[TimedJob], loading: Mapping[str, float]
) -> FleetFile:
    """`file` re-fitted to the calls of `book`, where that gains; told as it goes."""
    try:
        found = refit(file, book.timed_calls(), jobs)
    except NothingLearnt as refusal:
        print(f"no re-fit: {refusal}")
        return file
    for fit in found.models:
        if fit.before is not None and fit.after is not None:
            print(f"  {fit.model}: {fit.before:.1%} to {fit.after:.1%} on {fit.held_out} held out")
    cold = {
        card.name: card.latency.model_copy(
            update={"cold_start_ms": float(f"{loading[card.name]:.3g}")}
        )
        for card in found.new.models
        if card.latency is not None
    }
    if found.whole_jobs is not None:
        whole = found.whole_jobs
        print(f"  whole jobs: 99 of 100 within {whole.p99_ratio} times, of {whole.jobs}")
    return with_latencies(found.new, cold, found.new.overhead)


def timed_job(job: Timed) -> TimedJob:
    """A job's own time, as `orchestra refit` reads it from a batch's rows."""
    result = job.result
    own_ms = job.actual_ms - result.model_seconds * 1000
    return TimedJob(own_ms, len(result.calls), len(result.images), job.account, job.actual_ms)


def told_load(when: str) -> None:
    """The machine's load average: 1 a core is all that it can do."""
    one, five, _ = os.getloadavg()
    print(f"{when}: load average {one:.2f} (5 minutes: {five:.2f}) on {os.cpu_count()} cores")


def summary(second: Sequence[Timed]) -> dict[str, Any]:
    """The figures of the second half."""
    plain = [job for job in second if job.is_plain and not job.result.errors]
    errors = {
        name: [abs(job.told_ms[name] - job.actual_ms) / job.actual_ms for job in plain]
        for name in ("before", "after")
    }
    accepted = [job for job in second if job.accepted]
    refused = [job for job in second if not job.accepted]
    met = sum(job.met for job in accepted)
    low, high = wilson(met, len(accepted)) or (0.0, 1.0)
    return {
        "jobs": len(second),
        "left_out": len(second) - len(plain),
        "median_ms": statistics.median(job.actual_ms for job in plain),
        "error_before": statistics.median(errors["before"]),
        "error_after": statistics.median(errors["after"]),
        "error_after_p90": statistics.quantiles(errors["after"], n=10)[8],
        "by_kind": {
            f"{graph} {kind}": [len(group), round(statistics.median(group), 3)]
            for graph in sorted(GRAPHS)
            for kind in KINDS
            if (group := _errors_of(plain, errors["after"], graph, kind))
        },
        "accepted": len(accepted),
        "met": met,
        "met_share": met / len(accepted) if accepted else None,
        "met_95": [low, high],
        "refused": len(refused),
        "refused_in_vain": sum(job.actual_ms <= (job.deadline_ms or 0) for job in refused),
        "by_ease": {
            f"{low:g} to {high:.0f}": [len(group), sum(job.accepted for job in group)]
            for low, high in itertools.pairwise(EASES)
            if (group := [job for job in second if low <= job.ease < high])
        },
    }


def _errors_of(
    plain: Sequence[Timed], errors: Sequence[float], graph: str, kind: str
) -> list[float]:
    return [
        error
        for job, error in zip(plain, errors, strict=True)
        if (job.given.graph, job.given.kind) == (graph, kind)
    ]


def told(figures: dict[str, Any]) -> str:
    """The figures as a person reads them."""
    lines = [
        f"second half: {figures['jobs']} jobs, median {figures['median_ms']:.1f} ms "
        f"({figures['left_out']} left out: a reply taken over, or an error)",
        f"median relative error of the prediction: {figures['error_before']:.1%} before, "
        f"{figures['error_after']:.1%} after the re-fit (goal 15%; nine of ten within "
        f"{figures['error_after_p90']:.1%})",
        "  " + "; ".join(f"{k}: {e:.1%} of {n}" for k, (n, e) in figures["by_kind"].items()),
    ]
    if figures["accepted"]:
        low, high = figures["met_95"]
        lines.append(
            f"accepted {figures['accepted']}, met their deadline {figures['met']}: "
            f"{figures['met_share']:.1%} [{low:.1%}, {high:.1%}] (goal 99%); refused "
            f"{figures['refused']}, of which {figures['refused_in_vain']} would have met it"
        )
    bands = (f"{ease} times {a} of {n}" for ease, (n, a) in figures["by_ease"].items())
    lines.append("accepted by deadline over expected time: " + "; ".join(bands))
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of grocery/images; else scenes are drawn")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--load", type=float, default=0.4, help="share of the time kept busy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bare", action="store_true", help="begin with the cards' profiles alone")
    parser.add_argument("--out", type=Path, help="write the fitted latencies to this file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        second, file = asyncio.run(measured(options, Path(folder)))
    if options.out is not None:
        write_fitted(options.out, file)
    figures = summary(second)
    print(json.dumps(figures, indent=2) if options.json else told(figures))


if __name__ == "__main__":
    main()
