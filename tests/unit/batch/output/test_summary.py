"""A finished batch beside its quote."""

from __future__ import annotations

from decimal import Decimal

from orchestra.batch.output.summary import Summary, beside
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


def test_a_summary_is_told_in_a_line_and_as_a_bar_and_a_table() -> None:
    made = Summary(rows=3, complete=2, failed=1, cost_usd=Decimal("0.25"), seconds=61.0)
    assert repr(made) == "Summary(3 rows: 2 complete, 1 failed, $0.25, 1 min 01 s)"
    made.stopped, made.files = "<i>paused</i>", {"report": "out/report.html"}
    plan = plan_of(10, dear_rows=5, cheap_rows=5, spend=SPEND)
    made.quote = beside(plan, [], cost_usd=3.5, seconds=0)
    assert repr(made).splitlines()[1:] == ["  stopped: <i>paused</i>"]
    html = made._repr_html_()
    assert "&lt;i&gt;paused" in html and "<i>" not in html
    for words in ("flex:2", "1 to 3", "outside", "out/report.html"):
        assert words in html


def test_a_batch_plan_is_told_in_three_lines_and_shows_the_routes_that_rows_take() -> None:
    made = plan_of(10, dear_rows=4, cheap_rows=6, spend=SPEND, seconds=SECONDS)
    assert len(repr(made).splitlines()) == 3
    assert "10 rows" in repr(made) and "$2.00 [$1.00, $3.00]" in repr(made)
    html = made._repr_html_()
    for words in ("$2.00 [$1.00, $3.00]; at most", "takes it", '<td class="number">6</td>'):
        assert words in html
