"""How long a plan takes on a warm process: five models, a graph of four asks, each plan made anew.

    python benchmarks/plan.py --plans 2000

Jobs differ in length and budget, so that no plan is taken over from an earlier one. Prints p50
and p99 in milliseconds without limits, and within limits that bind, with the models chosen.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import date

from langgraph.graph import END, START, StateGraph

from orchestra import Budget, Card, Context, JobState, ask
from orchestra.fleet.card import FleetFile
from orchestra.routing.introspect import compile_graph, view
from orchestra.routing.planner import JobShape, plan

MODELS = 5


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


def measured(plans: int, budget: Callable[[int], Budget]) -> tuple[float, float]:
    """p50 and p99 of `plans` plans, in milliseconds."""
    seen, file = view(compile_graph(graph)), fleet()
    times: list[float] = []
    for number in range(plans + 50):
        shape, limits = JobShape(100 + number, 1), budget(number)
        started = time.perf_counter()
        plan(seen, shape, limits, file)
        times.append((time.perf_counter() - started) * 1000)
    warm = times[50:]
    return statistics.median(warm), statistics.quantiles(warm, n=100)[98]


def main() -> None:
    """Print a line for each kind of budget."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plans", type=int, default=2000)
    plans = parser.parse_args().plans
    kinds: dict[str, Callable[[int], Budget]] = {
        "no limits": lambda number: Budget(),
        "cost binds": lambda number: Budget(cost_usd=f"0.00{4000 + number}"),
        "all bind": lambda number: Budget(
            cost_usd=f"0.00{6000 + number}", latency_ms=700 + number / 100, memory_gib=24
        ),
    }
    print(f"{MODELS} models, 4 asks, {plans} plans, each made anew")
    for name, budget in kinds.items():
        p50, p99 = measured(plans, budget)
        chosen = plan(view(compile_graph(graph)), JobShape(600, 1), budget(500), fleet())
        print(f"{name:<12} p50 {p50:.3f} ms   p99 {p99:.3f} ms   {chosen.mix}")


if __name__ == "__main__":
    main()
