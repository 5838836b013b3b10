"""What a table comes to along routes that spare calls: how often, and how sure that is."""

from __future__ import annotations

import pytest
from langgraph.graph import START, StateGraph

from graphs.answer import build as answer
from graphs.listing import build, default_recipe
from orchestra import Context, JobState, ask, cascade
from orchestra.batch.plan.forecast import Forecaster
from orchestra.batch.plan.kinds import RowShape, TableShape
from orchestra.batch.plan.sample import Sample, SampledCall, SampledRow
from orchestra.batch.tables.row import Row
from orchestra.core.job import Result
from orchestra.core.stats import spread_of
from orchestra.fleet.source import load_fleet
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.routes import Prices, Route

MINI = load_fleet("mini")[0]
LISTING = view(compile_graph(build(default_recipe().model_copy(update={"write": None}))))
ASKED = view(compile_graph(answer))
KIND = "text+photo"
SCHEMA = {"type": "object", "properties": {"category": {"type": ["string", "null"]}}}
BOTH, SPARING = Route.named("look=vl read=r1"), Route.named("look=vl?category@0.5 read=r1")


def seen(ordinal: int, looked: bool) -> SampledRow:
    """A sampled row whose calls cost 100 and 10 micro-dollars, as was expected."""
    look = SampledCall("look", "vl", 100.0 * looked, 0.0, 100.0, 0.1, True, True, looked)
    read = SampledCall("read", "r1", 10.0, 0.0, 10.0, 0.01, True)
    return SampledRow(Row(ordinal, {}), KIND, SPARING, Result(status="complete"), (look, read))


def forecaster(rows: int, sample: list[SampledRow], *, photos: int) -> Forecaster:
    table = TableShape()
    for at in range(rows):
        table.add(RowShape(text_bytes=100, text_key=at + 1, photo_key=at % photos + 1))
    return Forecaster(table, Prices(LISTING, MINI), Sample(rows=sample))


def test_a_call_that_may_be_spared_is_counted_as_often_as_the_sample_made_it() -> None:
    sample = [seen(at, at % 4 == 0) for at in range(8)]
    made = forecaster(100, sample, photos=100)
    whole = made.forecast(lambda *_: BOTH).calls
    assert made.forecast(lambda *_: SPARING).calls["vl"] == pytest.approx(25)
    assert (whole["vl"], whole["r1"]) == (100, 100)


def test_without_a_sample_every_call_is_counted() -> None:
    assert forecaster(10, [], photos=10).forecast(lambda *_: SPARING).calls["vl"] == 10


def cascading(sample: list[SampledRow]) -> Forecaster:
    """100 texts for a graph whose second ask is expected in a quarter of them."""
    ask_first, ask_second = (ask("text", prompt, schema=SCHEMA) for prompt in ("Read.", "Again."))
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask_first)
    graph.add_node("again", cascade(ask_second, after="read", least=0.8, share=0.25))
    graph.add_edge(START, "read")
    graph.add_edge("read", "again")
    table = TableShape()
    for at in range(100):
        table.add(RowShape(text_bytes=100, text_key=at + 1, photo_key=0))
    return Forecaster(table, Prices(view(compile_graph(graph)), MINI), Sample(rows=sample))


def test_a_cascade_is_counted_by_its_share_until_a_sample_tells() -> None:
    route = Route.named("read=r1 again=r1")
    made = cascading([]).forecast(lambda *_: route)
    read, again = cascading([]).prices.of(route, JobShape(100, 0))
    assert made.calls["r1"] == pytest.approx(125)
    whole = again.expected_micro / 0.25
    assert made.cost_micro == pytest.approx(100 * read.expected_micro + 25 * whole)

    def row(at: int, asked: bool) -> SampledRow:
        first = SampledCall("read", "r1", 10.0, 0.0, 10.0, 0.01, True)
        second = SampledCall("again", "r1", 10.0, 0.0, 10.0, 0.01, True, True, asked)
        done = Result(status="complete")
        return SampledRow(Row(at, {}), "text", route, done, (first, second))

    seldom = cascading([row(at, at % 10 == 0) for at in range(20)])
    assert seldom.forecast(lambda *_: route).calls["r1"] == pytest.approx(110)


def test_a_photo_of_many_rows_is_looked_at_once_however_many_of_them_need_it() -> None:
    made = forecaster(100, [seen(0, True), seen(1, False)], photos=1)
    assert made.forecast(lambda *_: SPARING).calls["vl"] == pytest.approx(1.0)


def test_each_question_about_one_photo_is_a_call_and_the_same_question_again_is_none() -> None:
    table = TableShape()
    for at in range(12):
        table.add(RowShape(text_bytes=20, text_key=at % 6 + 1, photo_key=1))
    made = Forecaster(table, Prices(ASKED, MINI), Sample())
    asked = Route.named("look=vl")
    assert made.forecast(lambda *_: asked).calls["vl"] == 6


def test_a_question_about_another_photo_is_another_call() -> None:
    table = TableShape()
    for at in range(12):
        table.add(RowShape(text_bytes=20, text_key=1, photo_key=at % 3 + 1))
    made = Forecaster(table, Prices(ASKED, MINI), Sample())
    assert made.forecast(lambda *_: Route.named("look=vl")).calls["vl"] == 3


def test_a_call_that_is_paid_costs_nothing_on_a_sparing_route() -> None:
    made = forecaster(2, [seen(0, True), seen(1, False)], photos=2)
    paid = [(1, BOTH), (2, BOTH)]
    assert made.forecast(lambda *_: SPARING, paid).cost_micro == 0


def test_the_ceiling_holds_both_calls() -> None:
    made = forecaster(1, [], photos=1)
    shape = made.table.shape(1)
    assert made.ceiling(SPARING, shape) == made.ceiling(BOTH, shape)


def test_a_few_rows_that_all_spared_a_call_do_not_make_it_certain() -> None:
    sample = [seen(at, False) for at in range(4)]
    made = forecaster(100, sample, photos=100)
    strata = made.residuals({(KIND, SPARING.name): 100}, "cost")
    spread, _ = spread_of(strata)
    assert spread > 500  # of 100 rows with a call of 100 micro-dollars each
