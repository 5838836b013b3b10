"""What Orchestra adds: against a hand-written Ray Serve app, and against LangGraph alone.

    python benchmarks/overhead.py --jobs 192 --concurrent 32 --rounds 3

Both sides of each pair run in this one run, in turn, and make the very same two model calls for
a job (a photo to `vl`, a text to `r1`, the same schemas), so what differs is what stands around
them: planning, budgets, ledger, evidence, validation. Every job is new, so that no reply is
reused, and no side decodes photos in its event loop. Prints p50, p99 and jobs/s of each side, and
their ratios.

The hand-written app is what a careful user would write with Ray Serve's own means: an ingress,
two deployments, `serve.batch`, both calls at once.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import httpx
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from orchestra import Context, Fleet, Job, JobState, ask, merge
from orchestra.cluster.owned import own_cluster, served
from orchestra.core.call import Call, Reply
from orchestra.core.schema import narrow
from orchestra.fleet.source import load_fleet, load_worker
from orchestra.images.intake import normalise

LOOK, READ = "Describe the product shown.", "Extract what the text states."
COLOURS = ("red", "green", "blue", "yellow", "white", "black")
PLACES = ("Italy", "Spain", "Sweden", "Peru", "Chile")
THINGS = ("apple", "shirt", "lemon", "carton of milk", "hat", "tomato", "pear")


class Facts(BaseModel):
    """What both models are asked for."""

    category: str | None
    colour: str | None


SCHEMA = json.dumps(Facts.model_json_schema())


def build() -> StateGraph[JobState, Context]:
    """The graph of DESIGN's example."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", LOOK, schema=Facts))
    graph.add_node("read", ask("text", READ, schema=Facts))
    graph.add_node("merge", merge("look", "read", prefer="image"), defer=True)
    graph.add_edge(START, "look")
    graph.add_edge(START, "read")
    graph.add_edge("look", "merge")
    graph.add_edge("read", "merge")
    graph.add_edge("merge", END)
    return graph


@dataclass(frozen=True, slots=True)
class Given:
    """One job: a text and a photo as a data URI."""

    text: str
    photo: str


def given_jobs() -> Iterator[Given]:
    """Jobs without end, no two the same."""
    number = 0
    while True:
        number += 1
        colour, thing = COLOURS[number % 6], THINGS[number % 7]
        text = f"A {colour} {thing} from {PLACES[number % 5]}, lot {number}."
        image = Image.new("RGB", (128, 128), (255, 255, 255))
        image.paste((number * 37 % 256, number * 91 % 256, number % 256), (24, 24, 104, 104))
        image.putpixel((0, 0), (number % 256, number // 256 % 256, 0))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        yield Given(text, f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}")


def look_call(photo: str) -> Call:
    """The call of the vision model."""
    image = normalise(photo)
    return Call(LOOK, images=(image,), schema=json.loads(SCHEMA), max_tokens=bound())


def read_call(text: str) -> Call:
    """The call of the text model."""
    return Call(READ, text=text, schema=narrow(SCHEMA, text), max_tokens=bound())


def bound() -> int:
    """The bound that `ask` gives this schema, so that both sides have it."""
    return ask("text", READ, schema=Facts).max_tokens


def joined(look: Any, read: Any) -> dict[str, Any]:
    """The photo's values, then the text's."""
    seen = look.value if isinstance(look, Reply) else {}
    said = read.value if isinstance(read, Reply) else {}
    return {name: seen.get(name) or said.get(name) for name in Facts.model_fields}


class PlainModel:
    """A model as a Ray Serve user would host it."""

    def __init__(self, model: str) -> None:
        from ray import serve

        file, folder = load_fleet("mini")
        hosting = file.card(model).hosting
        worker = load_worker(hosting.worker or "")
        self._engine = worker.load(folder / (hosting.checkpoint or ""), threads=1)
        self._answer = serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)(self._batch)

    async def _batch(self, calls: list[Call]) -> list[Any]:
        return await asyncio.to_thread(self._engine.generate, calls)

    async def complete(self, call: Call) -> Any:
        """Answer one call, batched with those that wait."""
        return await self._answer(call)


class PlainIngress:
    """POST a text and a photo, get the joined facts."""

    def __init__(self, vl: Any, r1: Any) -> None:
        self._vl, self._r1 = vl, r1

    async def __call__(self, request: Any) -> dict[str, Any]:
        """Both calls at once."""
        body = await request.json()
        look = await asyncio.to_thread(look_call, body["images"][0])  # decoding blocks others
        look, read = await asyncio.gather(
            self._vl.complete.remote(look),
            self._r1.complete.remote(read_call(body["text"])),
        )
        return {"fields": joined(look, read)}


def plain_app() -> Any:
    """The hand-written application."""
    from ray import serve

    options: dict[str, Any] = {"max_ongoing_requests": 64, "ray_actor_options": {"num_cpus": 1}}
    models = [
        serve.deployment(name=f"plain-{name}", **options)(PlainModel).bind(name)
        for name in ("vl", "r1")
    ]
    ingress: Any = serve.deployment(
        name="plain", max_ongoing_requests=256, ray_actor_options={"num_cpus": 0}
    )(PlainIngress)
    return ingress.bind(*models)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of each job, and of the whole round."""

    each_s: list[float]
    whole_s: float

    @property
    def row(self) -> tuple[float, float, float]:
        """p50 and p99 in ms, jobs/s."""
        cuts = statistics.quantiles(self.each_s, n=100)
        return cuts[49] * 1000, cuts[98] * 1000, len(self.each_s) / self.whole_s


async def timed(
    answer: Callable[[Given], Awaitable[Any]], jobs: list[Given], concurrent: int
) -> Timing:
    """Answer `jobs`, `concurrent` at a time."""
    gate, each = asyncio.Semaphore(concurrent), []

    async def one(job: Given) -> None:
        async with gate:
            began = time.perf_counter()
            await answer(job)
            each.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*map(one, jobs))
    return Timing(each, time.perf_counter() - began)


async def compare(
    name: str,
    sides: Mapping[str, Callable[[Given], Awaitable[Any]]],
    options: argparse.Namespace,
    stream: Iterator[Given],
) -> None:
    """Run both sides in turn and print their medians over the rounds, and the ratios."""
    rows: dict[str, list[tuple[float, float, float]]] = {side: [] for side in sides}
    for answer in sides.values():  # the first calls of a process are slower
        await timed(answer, [next(stream) for _ in range(options.concurrent)], options.concurrent)
    for turn in range(options.rounds):
        order = list(sides.items()) if turn % 2 == 0 else list(sides.items())[::-1]
        for side, answer in order:
            jobs = [next(stream) for _ in range(options.jobs)]
            rows[side].append((await timed(answer, jobs, options.concurrent)).row)
    print(f"\n{name}: {options.rounds} rounds of {options.jobs} jobs, {options.concurrent} at once")
    medians = {
        side: tuple(statistics.median(column) for column in zip(*found, strict=True))
        for side, found in rows.items()
    }
    for side, (p50, p99, rate) in medians.items():
        print(f"  {side:<12} p50 {p50:8.1f} ms   p99 {p99:8.1f} ms   {rate:7.1f} jobs/s")
    ours, theirs = medians.values()
    print(
        f"  ours/theirs  p50 {ours[0] / theirs[0]:8.2f}x     p99 {ours[1] / theirs[1]:8.2f}x    "
        f"{ours[2] / theirs[2]:7.2f}x"
    )


async def over_http(options: argparse.Namespace, url: str, stream: Iterator[Given]) -> None:
    """Ours and the hand-written app, on one Ray Serve."""
    limits = httpx.Limits(max_connections=options.concurrent)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:

        async def post(path: str, job: Given) -> None:
            answer = await client.post(path, json={"text": job.text, "images": [job.photo]})
            answer.raise_for_status()

        sides = {
            "orchestra": lambda job: post("/ours/v1/jobs", job),
            "hand-written": lambda job: post("/plain", job),
        }
        await compare("Ray Serve", sides, options, stream)


class PlainState(TypedDict, total=False):
    """State of the graph that knows no Orchestra."""

    job: Given
    look: Any
    read: Any
    facts: dict[str, Any]


def plain_graph(fleet: Fleet) -> Any:
    """LangGraph alone, calling the same two engines through the same batching queue."""

    async def look(state: PlainState) -> PlainState:
        call = await asyncio.to_thread(look_call, state["job"].photo)
        return {"look": await fleet.client("vl").complete(call)}

    async def read(state: PlainState) -> PlainState:
        return {"read": await fleet.client("r1").complete(read_call(state["job"].text))}

    def join(state: PlainState) -> PlainState:
        return {"facts": joined(state["look"], state["read"])}

    graph = StateGraph(PlainState)
    graph.add_node("look_at", look)
    graph.add_node("read_it", read)
    graph.add_node("join", join, defer=True)
    for node in ("look_at", "read_it"):
        graph.add_edge(START, node)
        graph.add_edge(node, "join")
    graph.add_edge("join", END)
    return graph.compile()


async def in_process(options: argparse.Namespace, stream: Iterator[Given]) -> None:
    """Ours and LangGraph alone, over the same two engines of this process."""
    async with Fleet.open("mini") as fleet:
        plain = plain_graph(fleet)
        sides = {
            "orchestra": lambda job: fleet.run(build, Job(text=job.text, images=[job.photo])),
            "langgraph": lambda job: plain.ainvoke({"job": job}),
        }
        await compare("In process", sides, options, stream)


def main() -> None:
    """Parse the command line and run both pairs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=192)
    parser.add_argument("--concurrent", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    stream = given_jobs()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with own_cluster(cpus=8), served(port):
        from ray import serve as ray_serve

        from orchestra import serve

        ray_serve.run(serve(build)({"fleet": "mini"}), name="ours", route_prefix="/ours")
        ray_serve.run(plain_app(), name="plain", route_prefix="/plain")
        asyncio.run(over_http(options, f"http://127.0.0.1:{port}", stream))
    asyncio.run(in_process(options, stream))


if __name__ == "__main__":
    main()
