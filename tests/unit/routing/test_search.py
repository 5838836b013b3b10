"""The search finds what comparing every assignment finds, under any limits."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph

from orchestra.core.ask import ask
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import NoFeasiblePlan
from orchestra.core.job import Budget
from orchestra.core.latency import Latency, Overhead, WholeJobs
from orchestra.core.state import Context, JobState
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.options import Options, options_of, rank
from orchestra.routing.plan import Option
from orchestra.routing.planner import plan
from orchestra.routing.search import best_fitting

SHAPE = JobShape(text_bytes=80, images=1)


def drawn_card(draw: random.Random, number: int, names: list[str]) -> Card:
    others = [name for name in names if name != f"m{number}"]
    score = {"score": draw.choice([50, 60, 60, 70, 90]), "origin": "measured"}
    parts: dict[str, Any] = {
        "name": f"m{number}",
        "role": "test",
        "capabilities": ["text", "vision"],
        "price": {"as_of": date(2026, 1, 1), "usd_per_cpu_second": draw.choice([0, 0.01, 0.05])},
        "profile": {"origin": "measured", "fixed_ms": draw.choice([10, 100, 100, 900])},
        "hosting": {"memory_gib": draw.choice([1, 2, 8])},
        "limits": {"context_tokens": draw.choice([500, 2000]), "max_images": 2},
        "quality": {} if draw.random() < 0.2 else {"text": score, "vision": score},
        "fallback": draw.choice(others) if draw.random() < 0.3 else None,
    }
    return Card.model_validate(parts)


def drawn_budget(draw: random.Random) -> Budget:
    limits: dict[str, Any] = {
        "cost_usd": draw.choice(["0.0005", "0.01", "0.03"]),
        "tokens": draw.choice([900, 3000, 9000]),
        "latency_ms": draw.choice([150, 320, 1500]),
        "memory_gib": draw.choice([2, 4, 12]),
    }
    kept = draw.sample(sorted(limits), k=draw.randint(0, 3))
    return Budget(**{name: limits[name] for name in kept})


def graph() -> StateGraph[JobState, Context]:
    wired = StateGraph(JobState, context_schema=Context)
    wired.add_node("look", ask("vision", "Look.", max_tokens=20))
    wired.add_node("read", ask("text", "Read.", max_tokens=20))
    wired.add_node("write", ask("text", "Write.", max_tokens=40))
    wired.add_edge(START, "look")
    wired.add_edge(START, "read")
    wired.add_edge("look", "write")
    wired.add_edge("read", "write")
    wired.add_edge("write", END)
    return wired


def options(fleet: FleetFile, budget: Budget) -> Options:
    seen = view(compile_graph(graph))
    return options_of(seen, seen.asks, SHAPE, budget, fleet)


def compared(all_options: Options) -> Option | None:
    """The best of all that fit, by comparing every one."""
    fitting = [option for option in all_options.all() if not all_options.broken(option)]
    return min(fitting, key=rank, default=None)


@pytest.mark.parametrize("seed", range(120))
def test_the_best_assignment_is_found_whatever_binds(seed: int) -> None:
    draw = random.Random(seed)
    names = [f"m{number}" for number in range(draw.randint(2, 5))]
    fleet = FleetFile(
        name="drawn", models=tuple(drawn_card(draw, number, names) for number in range(len(names)))
    )
    weighed = options(fleet, drawn_budget(draw))
    found, best = best_fitting(weighed), compared(weighed)
    assert (found is None) == (best is None)
    if found is not None and best is not None:
        assert not weighed.broken(found)
        assert rank(found)[:3] == pytest.approx(rank(best)[:3])


@pytest.mark.parametrize("seed", range(120))
def test_the_best_is_found_where_whole_jobs_bind_and_some_models_are_not_measured(
    seed: int,
) -> None:
    draw = random.Random(seed)
    names = [f"m{number}" for number in range(draw.randint(2, 5))]
    cards = [drawn_card(draw, number, names) for number in range(len(names))]
    timed = tuple(
        card.model_copy(update={"latency": drawn_latency(draw)}) if draw.random() < 0.7 else card
        for card in cards
    )
    fleet = FleetFile(
        name="drawn",
        models=timed,
        overhead=Overhead(job_ms=20, p99_ratio=draw.choice([1, 4])),
        whole_jobs=WholeJobs(jobs=100, p99_ratio=draw.choice([1, 2, 3.5])),
    )
    budget = Budget(latency_ms=draw.choice([100, 200, 400, 900]))
    weighed = options(fleet, budget)
    found, best = best_fitting(weighed), compared(weighed)
    assert (found is None) == (best is None)
    if found is not None and best is not None:
        assert not weighed.broken(found)
        assert rank(found)[:3] == pytest.approx(rank(best)[:3])


def drawn_latency(draw: random.Random) -> Latency:
    return Latency(fixed_ms=draw.choice([10, 40, 90]), p99_ratio=draw.choice([1, 2.5, 6]))


def test_reasons_are_told_when_they_are_read() -> None:
    draw = random.Random(1)
    fleet = FleetFile(
        name="drawn", models=tuple(drawn_card(draw, n, ["m1", "m2", "m3"]) for n in (1, 2, 3))
    )
    planned = plan(view(compile_graph(graph)), SHAPE, Budget(), fleet)
    assert len(planned.rejected) == 3**3 - 1
    assert all(entry.reason for entry in planned.rejected)
    assert planned.public()["rejected"][0]["option"] == planned.rejected[0].option


def test_nothing_that_fits_is_an_error_that_names_what_would() -> None:
    draw = random.Random(2)
    alone = drawn_card(draw, 1, ["m1", "m2"]).model_copy(update={"fallback": None})
    fleet = FleetFile(name="drawn", models=(alone,))
    with pytest.raises(NoFeasiblePlan) as refusal:
        plan(view(compile_graph(graph)), SHAPE, Budget(memory_gib=0.5), fleet)
    assert refusal.value.tightest == "memory_gib"
