"""How long a plan takes on a warm process: five models, a graph of four asks, each plan made anew.

    python benchmarks/plan.py --plans 2000

Jobs differ in length and budget, so that no plan is taken over from an earlier one. Prints p50
and p99 in milliseconds without limits, and within limits that bind, with the models chosen: by the
clock, and of the processor, which other programs of a busy machine do not lengthen. `cProfile`'s
view of where a plan's time goes is printed with `--profile`.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import os
import pstats
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from langgraph.graph import END, START, StateGraph

from orchestra import Budget, Card, Context, JobState, ask
from orchestra.core.card import FleetFile
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.planner import plan

MODELS = 5
WARM_UP = 50
LONGEST = 500  # bytes of text beside the first 100: the budgets hold no more


def graph() -> StateGraph[JobState, Context]:
    """look and read side by side, then write, then check."""
    wired = StateGraph(JobState, context_schema=Context)
    wired.add_node("look", ask("vision", "Describe the product shown.", max_tokens=64))
    for name in ("read", "write", "check"):
        wired.add_node(name, ask("text", f"{name}.", max_tokens=64))
    wired.add_edge(START, "look")
    wired.add_edge(START, "read")
    for before, after in (("look", "write"), ("read", "write"), ("write", "check")):
        wired.add_edge(before, after)
    wired.add_edge("check", END)
    return wired


def fleet() -> FleetFile:
    """Five models that read text and photos: the better, the dearer, slower and larger."""
    return FleetFile(name="five", models=tuple(card(size) for size in range(1, MODELS + 1)))


def card(size: int) -> Card:
    """A model whose price, latency, memory and quality grow with `size`."""
    score = {"score": 60 + 6 * size, "origin": "estimated"}
    return Card.model_validate(
        {
            "name": f"m{size}",
            "role": "benchmark",
            "capabilities": ["text", "vision"],
            "price": {
                "as_of": date(2026, 11, 1),
                "usd_per_million_input_tokens": size,
                "usd_per_million_output_tokens": 4 * size,
            },
            "profile": {"origin": "estimated", "fixed_ms": 40 * size, "ms_per_output_token": size},
            "hosting": {"memory_gib": 4 * size},
            "limits": {"context_tokens": 8192, "image_tokens": 256, "max_images": 4},
            "quality": {"text": score, "vision": score},
        }
    )


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of each plan, by the clock and of the processor."""

    clock: list[float]
    processor: list[float]

    def __str__(self) -> str:
        parts = (("clock", self.clock), ("processor", self.processor))
        return "   ".join(
            f"{name} p50 {statistics.median(times):.3f} p99 {percentile(times, 99):.3f} ms"
            for name, times in parts
        )


def percentile(times: list[float], percent: int) -> float:
    """The value that `percent` of `times` are under."""
    return statistics.quantiles(times, n=100)[percent - 1]


def measured(plans: int, budget: Callable[[int], Budget]) -> Times:
    """`plans` plans, each made anew, once the process is warm."""
    seen, file = view(compile_graph(graph)), fleet()
    times = Times([], [])
    for number in range(plans + WARM_UP):
        shape, limits = JobShape(100 + number % LONGEST, 1), budget(number)
        started, used = time.perf_counter_ns(), time.thread_time_ns()
        plan(seen, shape, limits, file)
        used, started = time.thread_time_ns() - used, time.perf_counter_ns() - started
        if number >= WARM_UP:
            times.clock.append(started / 1e6)
            times.processor.append(used / 1e6)
    return times


def profiled(plans: int, budget: Callable[[int], Budget]) -> str:
    """Where the time of `plans` plans goes, the ten functions that take most of it."""
    profile = cProfile.Profile()
    profile.runcall(measured, plans, budget)
    told = io.StringIO()
    pstats.Stats(profile, stream=told).sort_stats("tottime").print_stats(10)
    return told.getvalue()


def main() -> None:
    """Print a line for each kind of budget."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plans", type=int, default=2000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    kinds: dict[str, Callable[[int], Budget]] = {
        "no limits": lambda number: Budget(),
        "cost binds": lambda number: Budget(cost_usd=f"0.{5200 + number:06}"),
        "all bind": lambda number: Budget(
            cost_usd=f"0.{6000 + number:06}", latency_ms=700 + number / 100, memory_gib=24
        ),
    }
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"{MODELS} models, 4 asks, {options.plans} plans, each made anew")
    print(f"load average {load:.2f} on {cores} cores")
    for name, budget in kinds.items():
        times = measured(options.plans, budget)
        chosen = plan(view(compile_graph(graph)), JobShape(600, 1), budget(500), fleet())
        print(f"{name:<12} {times}   {chosen.mix}")
    if options.profile:
        print(profiled(options.plans, kinds["all bind"]))


if __name__ == "__main__":
    main()
