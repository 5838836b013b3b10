"""The quote of a run of a part of a planned table."""

from __future__ import annotations

import random
from math import sqrt

import pytest

from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.kinds import RowShape, TableShape
from orchestra.batch.plan.pilot import quote_of
from orchestra.core.stats import Estimate
from tests.unit.batch.plan.test_allotment import plan_of, table_of

SPEND = Estimate(low=1.6e-4, value=2e-4, high=2.4e-4)
SECONDS = Estimate(low=8.0, value=10.0, high=13.0)


def made(**options: object) -> BatchPlan:
    """100 rows that cost 2 micro-dollars each on average."""
    told = {"spend": SPEND, "seconds": SECONDS, **options}
    return plan_of(100, dear_rows=50, cheap_rows=50, **told)


def test_a_pilot_comes_to_its_part_and_is_less_sure_of_it() -> None:
    pilot = quote_of(made(), table_of(25))
    assert pilot.rows == 25
    assert pilot.spend is not None and pilot.seconds is not None
    assert pilot.spend.value == pytest.approx(5e-5)
    half, whole = pilot.spend.high - pilot.spend.value, SPEND.high - SPEND.value
    assert whole / 4 < half < whole
    assert pilot.seconds.value == pytest.approx(2.5)
    assert pilot.seconds.high > SECONDS.high / 4


def test_the_whole_is_quoted_as_it_was_planned() -> None:
    again = quote_of(made(), table_of(100))
    assert again.spend == SPEND
    assert again.seconds is not None and again.seconds.value == SECONDS.value


def test_rows_of_the_sample_are_paid_wherever_they_stand() -> None:
    plan = made(spent_usd=4e-5, sampled=(1, 2, 60, 61))
    kind = plan.kinds[0].model_copy(update={"sampled": 4})
    plan = plan.model_copy(update={"kinds": (kind,)})
    pilot = quote_of(plan, table_of(10))
    assert pilot.spend is not None
    assert pilot.spend.value == pytest.approx(4e-5 + (2e-4 - 4e-5) * 8 / 96)
    assert pilot.spend.low >= 4e-5


def test_a_pilot_that_repeats_less_than_the_table_costs_more_a_row() -> None:
    kind = made().kinds[0].model_copy(update={"fresh": 0.5})  # of all rows every second is new
    plan = made().model_copy(update={"kinds": (kind,)})
    pilot, usual = quote_of(plan, table_of(25)), quote_of(made(), table_of(25))
    assert pilot.spend is not None and usual.spend is not None
    assert pilot.spend.value == pytest.approx(2 * usual.spend.value)


def test_unusable_rows_cost_nothing_and_unknown_figures_stay_unknown() -> None:
    table = TableShape()
    for number in range(10):
        table.add(RowShape(0, 0, 0) if number % 2 else RowShape(100, number + 1, number + 1))
    pilot = quote_of(made(quality=None), table)
    assert (pilot.rows, pilot.unusable, pilot.quality) == (10, 5, None)
    assert pilot.spend is not None and pilot.spend.value == pytest.approx(1e-5)
    assert quote_of(plan_of(10, dear_rows=5, cheap_rows=5), table_of(3)).spend is None


def test_pilots_hold_what_rows_drawn_alike_cost() -> None:
    draw, rows, sampled, held = random.Random(2), 400, 20, 0
    for _ in range(200):
        costs = [draw.gauss(2e-6, 6e-7) for _ in range(rows)]
        sample = costs[-sampled:]
        mean = sum(sample) / sampled
        spread = sqrt(sum((one - mean) ** 2 for one in sample) / (sampled - 1))
        rest = rows - sampled
        half = 2.093 * spread * sqrt(rest + rest**2 / sampled)
        total = sum(sample) + mean * rest
        plan = plan_of(
            rows,
            dear_rows=rows // 2,
            cheap_rows=rows // 2,
            spend=Estimate(low=total - half, value=total, high=total + half),
            spent_usd=sum(sample),
            sampled=tuple(range(rows - sampled + 1, rows + 1)),
        )
        kind = plan.kinds[0].model_copy(update={"sampled": sampled})
        pilot = quote_of(plan.model_copy(update={"kinds": (kind,)}), table_of(50))
        assert pilot.spend is not None
        held += pilot.spend.holds(sum(sample) + sum(costs[:50]))
    assert held >= 180  # of 200, at 95%
