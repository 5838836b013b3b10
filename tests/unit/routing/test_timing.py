"""How long a plan takes and may take: measured spread, load, loops, fan-outs, limits, machines."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from orchestra.core.ask import Ask, ask, prompt_hash
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import NoFeasiblePlan, NoModel
from orchestra.core.job import Budget
from orchestra.core.latency import AnswerLength, Latency, Overhead, WholeJobs
from orchestra.core.state import Context, JobState
from orchestra.quality.policy import Cascade, Escalation, Policy
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.condition import Condition, Unless
from orchestra.routing.introspect import GraphView, view
from orchestra.routing.plan import Plan
from orchestra.routing.planner import plan
from orchestra.routing.timing import IDLE, Load, critical_path, siblings

SHAPE = JobShape(text_bytes=100, images=0)
MEASURED = {"origin": "measured"}


def card(name: str = "a", **changes: Any) -> Card:
    parts: dict[str, Any] = {
        "name": name,
        "role": "test",
        "capabilities": ["text"],
        "price": {"as_of": date(2026, 1, 1), "usd_per_cpu_second": "0.01"},
        "profile": {**MEASURED, "fixed_ms": 1000},
        "hosting": {"memory_gib": 4},
        "limits": {"context_tokens": 1000},
        "quality": {"text": {"score": 50, "origin": "measured"}},
    }
    return Card.model_validate(parts | changes)


def fleet(*cards: Card, **parts: Any) -> FleetFile:
    return FleetFile(name="test", models=cards, **parts)


def reader(**options: Any) -> Ask:
    return ask("text", "Read.", max_tokens=10, **options)


def wired(
    *names: str, edges: list[tuple[str, str]], **options: Any
) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    for name in names:
        graph.add_node(name, reader(**options))
    for a, b in edges:
        graph.add_edge(a, b)
    return graph


def one() -> GraphView:
    return view(compile_graph(wired("read", edges=[(START, "read"), ("read", END)])))


def pair() -> GraphView:
    """left and right side by side."""
    edges = [(START, "left"), (START, "right"), ("left", END), ("right", END)]
    return view(compile_graph(wired("left", "right", edges=edges)))


def planned(seen: GraphView, file: FleetFile, load: Load | None = None, **limits: Any) -> Plan:
    return plan(seen, SHAPE, Budget(**limits), file, load or IDLE)


def test_a_measured_time_is_told_and_the_price_stays_the_profiles() -> None:
    fast = card(latency={"fixed_ms": 40, "p99_ratio": 1.5, "cold_start_ms": 900})
    made = planned(one(), fleet(fast))
    assert (made.latency_ms, made.p99_ms, made.cold_start_ms) == (40, 60, 900)
    assert made.cost_micro == planned(one(), fleet(card())).cost_micro == 10_000


def test_a_deadline_is_accepted_by_what_99_of_100_calls_keep() -> None:
    file = fleet(card(latency={"fixed_ms": 40, "p99_ratio": 1.5}))
    assert planned(one(), file, latency_ms=60).latency_ms == 40
    with pytest.raises(NoFeasiblePlan, match="latency_ms=60") as refusal:
        planned(one(), file, latency_ms=59)
    assert refusal.value.smallest == {"latency_ms": "60"}


def test_a_steady_model_is_taken_where_a_better_one_may_be_late() -> None:
    better = {"text": {"score": 90, "origin": "measured"}}
    wild = card("wild", latency={"fixed_ms": 40, "p99_ratio": 5}, quality=better)
    steady = card("steady", latency={"fixed_ms": 90, "p99_ratio": 1.1})
    assert planned(one(), fleet(wild, steady)).mix == "read=wild"
    assert planned(one(), fleet(wild, steady), latency_ms=100).mix == "read=steady"


def test_calls_under_way_make_a_call_later() -> None:
    slow = {"fixed_ms": 100, "slowdown_per_call": 0.5, "slowdown_per_neighbour": 0.1}
    file = fleet(card(latency=slow), card("b", capabilities=["maths"]))
    load = Load.of({"a": 2, "b": 3}, file)
    assert planned(one(), file).latency_ms == 100
    assert planned(one(), file, load).latency_ms == pytest.approx(100 * (1 + 2 * 0.5 + 3 * 0.1))


def test_calls_on_servers_elsewhere_slow_nothing_here() -> None:
    far = card("far", capabilities=["maths"], data_goes_to="eu")
    place = {"url": "http://127.0.0.1:9/v1", "model": "m"}
    far = far.model_copy(
        update={"hosting": far.hosting.model_validate({"memory_gib": 0, "endpoint": place})}
    )
    file = fleet(card(latency={"fixed_ms": 100, "slowdown_per_neighbour": 0.1}), far)
    assert planned(one(), file, Load.of({"far": 9}, file)).latency_ms == 100


def test_nodes_that_run_side_by_side_slow_each_other_and_others_do_not() -> None:
    slow = {"fixed_ms": 100, "slowdown_per_neighbour": 0.3}
    assert planned(pair(), fleet(card(latency=slow))).latency_ms == pytest.approx(130)
    edges = [(START, "left"), ("left", "right"), ("right", END)]
    chain = view(compile_graph(wired("left", "right", edges=edges)))
    assert planned(chain, fleet(card(latency=slow))).latency_ms == pytest.approx(200)


def test_siblings_are_the_nodes_that_neither_come_before_nor_behind() -> None:
    edges = frozenset({("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")})
    diamond = GraphView(("a", "b", "c", "d"), {}, edges, {})
    assert siblings(diamond, ["a", "b", "c", "d"]) == {"a": 0, "b": 1, "c": 1, "d": 0}
    assert siblings(diamond, ["b"]) == {"b": 0}


def test_a_call_that_waits_for_anothers_answer_takes_its_time_after_it() -> None:
    seen, file = pair(), fleet(card(latency={"fixed_ms": 40, "p99_ratio": 1.5}))
    left, right = planned(seen, file).nodes
    waits = replace(
        right,
        condition=Condition(
            on=("left",), fields=("colour",), least=0.0, beside=("left",), unless=Unless(0.0)
        ),
    )
    assert critical_path((left, right), seen) == 40
    assert critical_path((left, waits), seen) == 80
    assert critical_path((left, waits), seen, bound=True) == 120


def test_a_second_model_counts_as_often_as_it_is_expected_and_in_full_in_each_bound() -> None:
    first = card("first", latency={"fixed_ms": 40, "p99_ratio": 1.5})
    second = card(
        "second", latency={"fixed_ms": 200, "p99_ratio": 2}, profile={**MEASURED, "fixed_ms": 4000}
    )
    cascade = Cascade(
        node="read",
        models=("first", "second"),
        fields={"colour": Escalation(ask="unsure", min_confidence=0.5)},
        escalated=0.25,
    )
    made = plan(one(), SHAPE, Budget(), fleet(first, second), policy=Policy(cascades=(cascade,)))
    assert (made.latency_ms, made.p99_ms) == (40 + 0.25 * 200, 1.5 * 40 + 2 * 200)
    assert made.cost_micro == 10_000 + 40_000
    assert made.nodes[0].expected_micro == 10_000 + 0.25 * 40_000


def test_what_calls_of_the_same_ask_had_is_expected_of_the_next() -> None:
    known = AnswerLength(
        ask=prompt_hash(reader()), calls=50, input_tokens=20, input_tokens_per_byte=0.2,
        output_tokens=1, output_tokens_per_byte=0.05,
    )  # fmt: skip
    latency = Latency(ms_per_input_token=1, ms_per_output_token=10, answers=(known,))
    made = planned(one(), fleet(card(latency=latency)))
    assert made.latency_ms == pytest.approx((20 + 20) + (1 + 5) * 10)


def test_the_jobs_own_steps_are_part_of_its_time() -> None:
    overhead = Overhead(job_ms=2, ms_per_call=1, ms_per_image=5, p99_ratio=2)
    file = fleet(card(latency={"fixed_ms": 100}), overhead=overhead)
    made = planned(pair(), file)
    assert (made.latency_ms, made.p99_ms) == (104, 108)


def test_a_deadline_is_accepted_by_what_whole_jobs_kept_where_that_was_measured() -> None:
    overhead = Overhead(job_ms=10, p99_ratio=9)
    known = card(latency={"fixed_ms": 40, "p99_ratio": 5})
    file = fleet(known, overhead=overhead, whole_jobs=WholeJobs(jobs=200, p99_ratio=2))
    assert planned(one(), file).p99_ms == 100
    assert planned(one(), file, latency_ms=100).latency_ms == 50
    with pytest.raises(NoFeasiblePlan) as refusal:
        planned(one(), file, latency_ms=99)
    assert refusal.value.smallest == {"latency_ms": "100"}


def test_whole_jobs_tell_nothing_of_a_model_whose_time_was_not_measured() -> None:
    file = fleet(card(), whole_jobs=WholeJobs(jobs=200, p99_ratio=2))
    assert planned(one(), file).p99_ms == 1000


def test_a_wait_for_the_next_minute_is_no_longer_for_a_slow_job() -> None:
    held = paced(requests_per_minute=2).model_copy(update={"latency": Latency(fixed_ms=100)})
    file = fleet(held, whole_jobs=WholeJobs(jobs=200, p99_ratio=2))
    assert planned(fan_out(3), file).p99_ms == 60_000 + 200


def looping(visits: int) -> GraphView:
    """read goes round; sum comes behind the loop, though it was declared before it."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("sum", reader())
    graph.add_node("read", reader(max_visits=visits))
    graph.add_edge(START, "read")
    graph.add_conditional_edges("read", lambda state: "sum", ["read", "sum"])
    graph.add_edge("sum", END)
    return view(compile_graph(graph))


def test_a_loop_takes_its_visits_in_turn_and_what_is_behind_it_comes_after() -> None:
    seen = looping(3)
    assert seen.loops == {"read"} and seen.visits == {"sum": 1, "read": 3}
    file = fleet(card(latency={"fixed_ms": 100, "slowdown_per_call": 0.1}))
    made = planned(seen, file)
    assert made.latency_ms == 400
    assert made.cost_micro == 4 * 10_000


def fan_out(width: int) -> GraphView:
    def spread(state: JobState) -> list[Send]:
        return [Send("read", state) for _ in range(width)]

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", reader(max_visits=width))
    graph.add_conditional_edges(START, spread, ["read"])
    graph.add_edge("read", END)
    return view(compile_graph(graph))


def test_a_fan_out_is_paid_for_each_and_takes_time_side_by_side() -> None:
    file = fleet(card(latency={"fixed_ms": 100, "slowdown_per_call": 0.1}))
    made = planned(fan_out(4), file)
    assert made.cost_micro == 4 * 10_000
    assert made.latency_ms == pytest.approx(130)


def test_without_a_measured_slowdown_a_fan_out_is_taken_as_in_turn() -> None:
    assert planned(fan_out(4), fleet(card())).latency_ms == 4000


def paced(**limits: int) -> Card:
    return card("paced", limits={"context_tokens": 1000} | limits,
                quality={"text": {"score": 90, "origin": "measured"}})  # fmt: skip


def test_calls_beyond_a_minutes_requests_wait_for_the_next_one() -> None:
    file = fleet(paced(requests_per_minute=2), card())
    assert planned(fan_out(3), file, latency_ms=50_000).mix == "read=a"
    assert planned(fan_out(3), file).mix == "read=paced"
    assert planned(fan_out(3), file).latency_ms == 60_000 + 3000
    assert planned(fan_out(2), file, latency_ms=50_000).mix == "read=paced"


def test_nodes_on_one_model_share_its_minute() -> None:
    file = fleet(paced(requests_per_minute=1), card())
    mix = planned(pair(), file, latency_ms=50_000).mix
    assert sorted(part.split("=")[1] for part in mix.split()) == ["a", "paced"]


def test_a_minute_that_is_used_up_now_makes_the_call_wait() -> None:
    file = fleet(paced(requests_per_minute=1), card())
    load = Load.of({}, file, {"paced": 40_000})
    assert planned(one(), file, load, latency_ms=30_000).mix == "read=a"


def test_a_call_that_no_minute_holds_is_refused_with_both_numbers() -> None:
    file = fleet(paced(tokens_per_minute=50), card())
    made = planned(one(), file)
    assert made.mix == "read=a"
    assert any("tokens_per_minute is 50" in entry.reason for entry in made.rejected)
    with pytest.raises(NoModel, match=r"'read'.*tokens_per_minute is 50.*Lower max_tokens"):
        planned(one(), fleet(paced(tokens_per_minute=50)))


def two_models(machines: int) -> FleetFile:
    """What reads and what looks differ, so that both must be hosted."""
    text = card("t", hosting={"memory_gib": 4})
    eyes = card("v", capabilities=["vision"], hosting={"memory_gib": 6},
                limits={"context_tokens": 1000, "max_images": 1})  # fmt: skip
    return fleet(text, eyes, machines=machines)


def look_and_read() -> GraphView:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "Look.", max_tokens=10))
    graph.add_node("read", reader())
    for name in ("look", "read"):
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    return view(compile_graph(graph))


def test_memory_is_the_sum_on_one_machine_and_the_fullest_node_on_a_cluster() -> None:
    shape, seen = JobShape(100, 1), look_and_read()
    assert plan(seen, shape, Budget(), two_models(1)).memory_gib == 10
    assert plan(seen, shape, Budget(memory_gib=6), two_models(2)).memory_gib == 6
    with pytest.raises(NoFeasiblePlan, match="memory_gib=6"):
        plan(seen, shape, Budget(memory_gib=6), two_models(1))


def test_each_replica_takes_its_memory_on_a_cluster() -> None:
    many = card(hosting={"memory_gib": 4, "scaling": {"replicas": 3}})
    assert planned(one(), fleet(many, machines=2)).memory_gib == 8
    assert planned(one(), fleet(many, machines=3)).memory_gib == 4


def test_what_replicas_cost_while_they_wait_is_in_the_plan() -> None:
    price = {"as_of": date(2026, 1, 1), "usd_per_hour": "1.20"}
    dear = card(price=price, hosting={"memory_gib": 4, "scaling": {"replicas": 2}})
    made = planned(one(), fleet(dear))
    assert "idle      a: $2.40 an hour for 2 replica(s)" in str(made)
    assert made.public()["hosted"] == [{"model": "a", "replicas": 2, "usd_per_hour": 2.4}]
    assert "idle" not in str(planned(one(), fleet(card())))
