"""What a run through a fleet adds to LangGraph, on a graph of five nodes, one job at a time.

    python -m benchmarks.steps --jobs 60 --rounds 5

Both sides run the same graph in this process, in turn: a photo to `vl`, a text to `r1`, a join and
two plain functions. What differs is what stands around them: a plan, an account, a deadline, fields
with evidence, a run that may wait. A second pair has five plain functions and no model: what is
added then is all that there is. Prints the p50 of each side, and their ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from benchmarks.overhead import Facts, Given, given_jobs, joined, look_call, read_call
from orchestra import Context, Fleet, Job, JobState, ask, merge

SIDES = ("orchestra", "langgraph")


class Priced(TypedDict, total=False):
    """What the two plain functions leave."""

    price: float
    label: str


class Ours(JobState, Priced, total=False):
    """State of our side."""


class Theirs(Priced, total=False):
    """State of LangGraph's."""

    job: Given
    look: Any
    read: Any
    facts: dict[str, Any]


def price(state: Any) -> Priced:
    """A plain function."""
    return {"price": 1.5}


def label(state: Any) -> Priced:
    """Another one."""
    return {"label": f"{state['price']:.2f} EUR"}


def our_graph() -> StateGraph[Any, Any]:
    """Two asks, their join, and two plain functions."""
    graph = StateGraph(Ours, context_schema=Context)
    graph.add_node("look", ask("vision", "Describe the product shown.", schema=Facts))
    graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
    graph.add_node("join", merge("look", "read"), defer=True)
    return _with_functions(graph, ("look", "read"))


def their_graph(fleet: Fleet) -> Any:
    """The same calls to the same engines, by hand."""

    async def look(state: Theirs) -> Theirs:
        call = await asyncio.to_thread(look_call, state["job"].photo)
        return {"look": await fleet.client("vl").complete(call)}

    async def read(state: Theirs) -> Theirs:
        return {"read": await fleet.client("r1").complete(read_call(state["job"].text))}

    def join(state: Theirs) -> Theirs:
        return {"facts": joined(state["look"], state["read"])}

    graph = StateGraph(Theirs)
    graph.add_node("look_at", look)
    graph.add_node("read_it", read)
    graph.add_node("join", join, defer=True)
    return _with_functions(graph, ("look_at", "read_it")).compile()


def _with_functions(graph: StateGraph[Any, Any], models: tuple[str, ...]) -> StateGraph[Any, Any]:
    for node in models:
        graph.add_edge(START, node)
        graph.add_edge(node, "join")
    graph.add_node("set_price", price)
    graph.add_node("set_label", label)
    graph.add_edge("join", "set_price")
    graph.add_edge("set_price", "set_label")
    graph.add_edge("set_label", END)
    return graph


def plain_graph() -> StateGraph[Any, Any]:
    """Five plain functions in a row."""
    graph = StateGraph(Priced)
    before = START
    for number in range(5):
        graph.add_node(f"step{number}", price)
        graph.add_edge(before, f"step{number}")
        before = f"step{number}"
    return graph


async def compare(
    name: str, sides: Mapping[str, Callable[[Any], Awaitable[Any]]], jobs: int, rounds: int
) -> None:
    """Run both sides job by job, each job of its own, and print medians and their ratio."""
    stream = given_jobs()
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for number in range((rounds + 1) * jobs):
        for side, run in list(sides.items())[:: 1 if number % 2 else -1]:
            given = next(stream)
            began = time.perf_counter()
            await run(given)
            if number >= jobs:  # the first round of a process is slower
                taken[side].append(time.perf_counter() - began)
    ours, theirs = (median(taken[side]) * 1000 for side in SIDES)
    print(
        f"{name}: orchestra {ours:.2f} ms, langgraph {theirs:.2f} ms, "
        f"{ours / theirs:.2f}x (p50, {rounds} rounds of {jobs} jobs)"
    )


async def measure(jobs: int, rounds: int) -> None:
    """Both pairs."""
    async with Fleet.open("mini") as fleet:
        theirs, plain = their_graph(fleet), plain_graph()
        bare = plain.compile()
        await compare(
            "five nodes, two models",
            {
                "orchestra": lambda given: fleet.run(
                    our_graph, Job(text=given.text, images=[given.photo])
                ),
                "langgraph": lambda given: theirs.ainvoke({"job": given}),
            },
            jobs,
            rounds,
        )
        await compare(
            "five functions, no model",
            {
                "orchestra": lambda given: fleet.run(
                    plain, Job(text=given.text), state={"price": 1.0}
                ),
                "langgraph": lambda given: bare.ainvoke({"price": 1.0}),
            },
            jobs,
            rounds,
        )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    asyncio.run(measure(options.jobs, options.rounds))


if __name__ == "__main__":
    main()
