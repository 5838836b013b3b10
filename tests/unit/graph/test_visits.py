"""Fan-outs and limits of a minute at run time: each call made and paid, none beyond the plan."""

from __future__ import annotations

from decimal import Decimal

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel

from orchestra import Budget, Context, Fleet, Job, JobState, ask
from orchestra.core.card import FleetFile
from orchestra.core.errors import NoFeasiblePlan
from orchestra.graph.intake import take_in
from orchestra.graph.run import run_job
from orchestra.routing.compiled import compile_graph
from orchestra.testing import ScriptedEngine
from tests.scripted import scripted_fleet


class Facts(BaseModel):
    colour: str | None


def fan_out(width: int, declared: int) -> StateGraph[JobState, Context]:
    """read is sent to `width` times, each time with a text of its own."""

    def spread(state: JobState) -> list[Send]:
        job = state["job"]
        texts = [f"{job['text']} {number}" for number in range(width)]
        return [Send("read", {**state, "job": job | {"text": text}}) for text in texts]

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Extract.", schema=Facts, max_visits=declared))
    graph.add_conditional_edges(START, spread, ["read"])
    graph.add_edge("read", END)
    return graph


async def test_each_call_of_a_fan_out_is_made_and_paid_within_the_plans_ceiling() -> None:
    fleet, engines = scripted_fleet(lambda call: {"colour": None})
    async with fleet:
        result = await fleet.run(lambda: fan_out(3, 3), Job(text="A red cup, lot"))
    assert len(engines["r1"].calls) == len(result.calls) == 3
    assert result.plan["nodes"][0]["visits"] == 3
    assert result.cost_usd == sum(call.cost_usd for call in result.calls)
    assert 0 < result.cost_usd <= Decimal(str(result.plan["total"]["cost_usd"]))


async def test_a_wider_fan_out_than_declared_never_passes_what_was_planned() -> None:
    fleet, engines = scripted_fleet(lambda call: {"colour": None}, delay_s=0.02)
    async with fleet:
        result = await fleet.run(lambda: fan_out(12, 2), Job(text="A red cup, lot"))
    assert 2 <= len(engines["r1"].calls) < 12
    assert result.cost_usd <= Decimal(str(result.plan["total"]["cost_usd"]))


def paced_fleet(**limits: int) -> tuple[Fleet, dict[str, ScriptedEngine]]:
    """The scripted fleet with r1 alone for text, within limits of a minute."""
    fleet, engines = scripted_fleet(lambda call: {"colour": None})
    card = fleet.file.card("r1")
    bound = card.model_copy(update={"limits": card.limits.model_copy(update=limits)})
    fleet.file = FleetFile(**{**dict(fleet.file), "models": (bound,)})
    return fleet, engines


async def test_a_model_of_this_machine_keeps_its_limit_of_a_minute_too() -> None:
    fleet, engines = paced_fleet(requests_per_minute=2)

    def one() -> StateGraph[JobState, Context]:
        return fan_out(1, 1)

    async with fleet:
        for number in range(2):
            await fleet.run(one, Job(text=f"Cup {number}, lot"))
        with pytest.raises(NoFeasiblePlan, match="latency_ms"):
            fleet.plan(one, Job(text="Cup 3, lot", budget=Budget(latency_ms=20_000)))
        made = fleet.plan(one, Job(text="Cup 3, lot", budget=Budget(latency_ms=61_000)))
    assert 30_000 < made.latency_ms < 61_000
    assert len(engines["r1"].calls) == 2


async def test_a_call_that_would_start_after_the_deadline_is_not_made_and_costs_nothing() -> None:
    fleet, engines = paced_fleet(requests_per_minute=1)
    graph = compile_graph(fan_out(1, 1))
    job = Job(text="Cup, lot", budget=Budget(latency_ms=20_000))
    async with fleet:
        intake = await take_in(fleet, job)
        planned = fleet.plan_for(graph, intake.shape, job.budget)
        pace = fleet.caller.paces.of(fleet.file.card("r1"))
        assert pace is not None
        pace.book(10)  # another job came first once the plan was made
        result = await run_job(fleet, graph, intake, account="job", planned=planned)
    assert [error.type for error in result.errors] == ["RateLimited"]
    assert (result.cost_usd, engines["r1"].calls) == (0, [])
