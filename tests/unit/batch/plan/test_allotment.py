"""Routes for the rows of a running batch: they follow the plan and the money that is left."""

from __future__ import annotations

import asyncio
import csv
import zlib
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from graphs.listing import build, default_recipe
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.plan.allocation import Allotment
from orchestra.batch.plan.batch_plan import BatchPlan, KindPlan, WayPlan
from orchestra.batch.plan.kinds import Kinds, RowShape, TableShape
from orchestra.batch.plan.survey import Wish
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.errors import AnswerInvalid
from orchestra.core.job import Budget
from orchestra.core.money import usd
from tests.scripted import first_allowed, scripted_fleet

FACTS = default_recipe().model_copy(update={"write": None})
CHEAP, DEAR = "read=r1", "look=vl read=r1"


def plan_of(rows: int, *, dear_rows: int, cheap_rows: int, **options: Any) -> BatchPlan:
    """A plan of one kind whose routes cost 1 and 3 micro-dollars."""
    ways = (
        WayPlan(route=DEAR, rows=dear_rows, cost_usd=3e-6, seconds=0.1, worth=1.0),
        WayPlan(route=CHEAP, rows=cheap_rows, cost_usd=1e-6, seconds=0.1, worth=0.6),
    )
    left = rows - dear_rows - cheap_rows
    kind = KindPlan(name="text+photo", rows=rows, sampled=0, left=left, ways=ways)
    figures: dict[str, Any] = dict.fromkeys(
        ("full_usd", "at_most_usd", "reserve_usd", "spent_usd", "sample_usd", "sample_s"), 0.0
    )
    unknown: dict[str, Any] = dict.fromkeys(
        ("cost_usd", "deadline_s", "hosts_given", "spend", "seconds", "quality", "hosts")
    )
    return BatchPlan(
        table="t.csv",
        rows=rows,
        unusable=0,
        identity={},
        snapshot="",
        fleet="mini",
        seed=0,
        edges=Kinds(),
        kinds=(kind,),
        is_full=False,
        worth=0.0,
        expected_usd=(3 * dear_rows + cheap_rows) / 1e6,
        work_s=0.0,
        **{**figures, **unknown, **options},
    )


def table_of(rows: int) -> TableShape:
    table = TableShape()
    for number in range(rows):
        table.add(RowShape(text_bytes=100, text_key=number + 1, photo_key=number + 1))
    return table


def spend(allotment: Allotment, rows: int, cap: int, prices: dict[str, int]) -> Counter[str]:
    """Run all rows one after another at `prices`; how often each route was taken."""
    spent, taken = 0, Counter[str]()
    for ordinal in range(1, rows + 1):
        routes = allotment.choose(ordinal, spent)
        fits = [route for route in routes if route and spent + prices[route.name] <= cap]
        if fits:
            spent += prices[fits[0].name]
            taken[fits[0].name] += 1
        allotment.ended(ordinal, bool(fits))
    assert spent <= cap
    return taken


def test_rows_get_routes_in_the_plans_numbers() -> None:
    plan = plan_of(100, dear_rows=25, cheap_rows=75)
    taken = spend(Allotment(plan, table_of(100), 150), 100, 150, {DEAR: 3, CHEAP: 1})
    assert taken == {DEAR: 25, CHEAP: 75}


def test_dear_rows_stand_all_over_the_table() -> None:
    plan = plan_of(100, dear_rows=25, cheap_rows=75)
    allotment, places = Allotment(plan, table_of(100), 150), []
    for ordinal in range(1, 101):
        route = allotment.choose(ordinal, 0)[0]
        if route is not None and route.name == DEAR:
            places.append(ordinal)
        allotment.ended(ordinal, True)
    assert max(b - a for a, b in pairwise(places)) <= 12


def test_what_is_cheaper_than_planned_buys_better_routes() -> None:
    plan = plan_of(400, dear_rows=100, cheap_rows=300)
    taken = spend(Allotment(plan, table_of(400), 600), 400, 600, {DEAR: 2, CHEAP: 1})
    assert 190 < taken[DEAR] <= 200 and taken.total() == 400  # the money would do for 200


def test_what_is_dearer_than_planned_is_made_up_for() -> None:
    plan = plan_of(400, dear_rows=100, cheap_rows=300)
    taken = spend(Allotment(plan, table_of(400), 600), 400, 600, {DEAR: 5, CHEAP: 1})
    assert taken[CHEAP] > 320 and taken.total() >= 390


def test_a_row_that_is_over_budget_gets_no_route() -> None:
    plan = plan_of(100, dear_rows=0, cheap_rows=50)
    allotment = Allotment(plan, table_of(100), 50)
    chosen = [allotment.choose(ordinal, 0) for ordinal in range(1, 101)]
    assert 45 <= sum(bool(routes) for routes in chosen) <= 50


def test_a_route_is_followed_by_the_cheaper_ones() -> None:
    plan = plan_of(4, dear_rows=4, cheap_rows=0)
    routes = Allotment(plan, table_of(4), 100).choose(1, 0)
    assert [route.name for route in routes if route] == [DEAR, CHEAP]


def test_a_row_of_no_planned_kind_is_left_to_the_planner() -> None:
    table = table_of(1)
    table.add(RowShape(text_bytes=0, text_key=0, photo_key=0))
    allotment = Allotment(plan_of(1, dear_rows=1, cheap_rows=0), table, 100)
    assert allotment.choose(2, 0) == [None]


def test_rows_of_the_sample_take_the_route_that_is_paid() -> None:
    plan = plan_of(10, dear_rows=2, cheap_rows=8, sampled=(1, 2))
    allotment = Allotment(plan, table_of(10), 8)
    routes = allotment.choose(1, 0)
    assert routes[0] is not None and routes[0].name == DEAR


@given(
    rows=st.integers(12, 24),
    share=st.floats(0.05, 1.5),
    seed=st.integers(0, 10_000),
    raises=st.lists(st.floats(1.0, 3.0), max_size=2),
    honest=st.booleans(),
)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_cap_is_ever_passed_whatever_calls_cost_fail_or_are_resumed(
    tmp_path_factory: Any, rows: int, share: float, seed: int, raises: list[float], honest: bool
) -> None:
    folder: Path = tmp_path_factory.mktemp("cap")
    asyncio.run(_never_passed(folder, rows, share, seed, raises, honest))


async def _never_passed(
    folder: Path, rows: int, share: float, seed: int, raises: list[float], honest: bool
) -> None:
    """A model that is not `honest` charges for more than its call allowed it to write."""

    def moody(call: Call) -> Any:
        """Answers of any length, and now and then none."""
        dice = zlib.crc32(f"{seed} {call.text}".encode()) % 97
        if dice % 11 == 0:
            return AnswerInvalid("The answer is no JSON.")
        value = first_allowed(call)
        if dice % 3 == 0:
            value = dict.fromkeys(value)  # the text leaves all open, so that the photo is asked
        written = min(1 + dice, call.written_tokens) if honest else 1 + dice
        usage = Usage(input_tokens=dice % 30, output_tokens=written, images=len(call.images))
        return Reply(text="{}", value=value, confidence={}, usage=usage)

    source = folder / "t.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "image"])
        for n in range(rows):
            Image.new("RGB", (4, 4), (n, n, 9)).save(folder / f"{n}.png")
            writer.writerow([n, f"A red apple {'x' * (n * 7 % 50)} {n}", f"{n}.png"])
    fleet, _ = scripted_fleet(moody, moody)
    full = (await fleet.plan_batch(build, source, Wish(sample=4), out=None, recipe=FACTS)).full_usd
    cap = Decimal(f"{max(2e-6, full * share):.6f}")
    for factor in [1.0, *raises]:
        cap = (cap * Decimal(f"{factor:.3f}")).quantize(Decimal("0.000001"))
        summary = await fleet.batch(
            build,
            source,
            out=folder / "out",
            recipe=FACTS,
            budget=Budget(cost_usd=cap),
            spread=True,
            in_flight=4,
        )
        book = Folder.read(folder / "out").book
        spent = book.spent(BATCH_ACCOUNT)
        book.close()
        assert spent.open_cost_micro == 0
        assert summary.cost_usd == usd(spent.cost_micro)
        # What was charged beyond a call's worst case is spent, and no bound of ours could hold it.
        assert usd(spent.cost_micro - spent.overrun_micro) <= cap
        assert not (honest and spent.overrun_micro)
        assert summary.rows == rows == sum(summary.counts().values())
    await fleet.close()
