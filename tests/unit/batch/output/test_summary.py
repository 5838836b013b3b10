"""A finished batch beside its quote."""

from __future__ import annotations

from orchestra.batch.output.summary import beside
from orchestra.core.stats import Estimate
from tests.unit.batch.plan.test_allotment import plan_of

SPEND = Estimate(low=1.0, value=2.0, high=3.0)
SECONDS = Estimate(low=4.0, value=5.0, high=6.0)


def test_figures_are_compared_with_their_intervals() -> None:
    plan = plan_of(10, dear_rows=5, cheap_rows=5, spend=SPEND, seconds=SECONDS)
    found = beside(plan, [], cost_usd=3.5, seconds=4.5)
    assert (found["spend_usd"]["within"], found["seconds"]["within"]) == (False, True)
    assert found["seconds"]["interval"] == [4.0, 6.0]


def test_a_time_on_a_cluster_is_told_and_not_compared_with_one_of_a_single_host() -> None:
    plan = plan_of(10, dear_rows=5, cheap_rows=5, spend=SPEND, seconds=SECONDS)
    found = beside(plan, [], cost_usd=2.5, seconds=9.0, is_elsewhere=True)
    assert (found["seconds"]["actual"], found["seconds"]["within"]) == (9.0, None)
    assert "cluster" in found["seconds"]["why"]
    assert found["spend_usd"]["within"] is True


def test_what_was_not_quoted_is_left_out() -> None:
    assert beside(plan_of(10, dear_rows=5, cheap_rows=5), [], cost_usd=1.0, seconds=1.0) == {}
