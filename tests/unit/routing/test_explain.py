"""What budget would change a plan: the planner itself agrees on both sides of each value."""

from __future__ import annotations

from decimal import Decimal

import pytest

from graphs.answer import build as answer
from orchestra.core.errors import NoFeasiblePlan
from orchestra.core.job import Budget
from orchestra.fleet.source import load_fleet
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.explain import Change, Explanation, explain, picture
from orchestra.routing.introspect import view
from orchestra.routing.planner import plan, weigh

ARTICLE = load_fleet("article")[0]
SEEN = view(compile_graph(answer))
BOTH = JobShape(text_bytes=40, images=1)
STEPS = {"cost_usd": Decimal("0.000001"), "tokens": Decimal(1)}
STEP = Decimal("0.001")  # of milliseconds and GiB


def explained(budget: Budget) -> Explanation:
    return explain(weigh(SEEN, BOTH, budget, ARTICLE))


def mix_at(budget: Budget, limit: str, value: Decimal) -> str | None:
    """Nodes and models of the plan with `limit` at `value`."""
    try:
        changed = Budget(**{**dict(budget), limit: str(value)})
        made = plan(SEEN, BOTH, changed, ARTICLE)
    except NoFeasiblePlan:
        return None
    return ", ".join(f"{node.node}={node.model}" for node in made.nodes)


@pytest.mark.parametrize(
    "budget",
    [
        Budget(),
        Budget(memory_gib=30),
        Budget(latency_ms=210, memory_gib=64),
        Budget(cost_usd="0.0002"),
    ],
)
def test_the_plan_changes_at_each_value_that_is_told_and_not_before(budget: Budget) -> None:
    told = explained(budget)
    now = ", ".join(f"{node.node}={node.model}" for node in told.plan.nodes)
    assert told.changes
    for change in told.changes:
        value, step = Decimal(change.value), STEPS.get(change.limit, STEP)
        at, under = (mix_at(budget, change.limit, v) for v in (value, value - step))
        assert (at, under) == ((now, change.option) if change.when == "below" else (at, under))
        if change.when == "from":
            assert (at, under) == (change.option, now)


def test_a_limit_that_binds_names_what_would_let_a_better_plan_in() -> None:
    looser = [
        change for change in explained(Budget(memory_gib=30)).changes if change.when == "from"
    ]
    assert [(change.limit, change.value, change.option) for change in looser] == [
        ("memory_gib", "40", "look=vl, read=r1")
    ]


def test_the_cheapest_plan_of_all_has_nothing_below_it() -> None:
    last = [c for c in explained(Budget(memory_gib=28)).changes if c.limit == "memory_gib"]
    assert Change("memory_gib", "below", "28", None, None, None) in last


def test_a_picture_shows_models_at_their_nodes_and_the_changes() -> None:
    drawn = picture(explained(Budget(memory_gib=30)))
    assert drawn.startswith("flowchart TD")
    assert "look<br/>vl<br/>200 ms" in drawn and "read<br/>v2" in drawn
    assert "memory_gib from 40 GiB: look=vl, read=r1" in drawn
    assert drawn.count("-->") == len(SEEN.edges)


def test_a_skipped_node_is_drawn_with_its_reason() -> None:
    words = explain(weigh(SEEN, JobShape(text_bytes=40, images=0), Budget(), ARTICLE))
    assert "look<br/>skipped: the job has no image" in picture(words)


def test_text_and_json_hold_plan_and_changes() -> None:
    told = explained(Budget(memory_gib=30))
    assert "changes   memory_gib from 40 GiB: look=vl, read=r1 (quality 83.75" in str(told)
    body = told.public()
    assert body["route"] == "text+vision" and body["picture"].startswith("flowchart")
    assert {"limit", "when", "value", "option", "quality", "cost_usd"} == set(body["changes"][0])
