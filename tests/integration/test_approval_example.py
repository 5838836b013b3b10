"""The example of a fan-out, a vote, a critic's loop and an approval, as its reader would run it."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from examples import approval
from orchestra import Fleet
from orchestra.book.book import Book

EXAMPLE = Path(approval.__file__)


@pytest.mark.timeout(300)
def test_it_is_planned_killed_resumed_and_approved_under_one_budget(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, EXAMPLE, "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    ).stdout
    planned, first, second, third = told.split("\n== ")
    assert "budget: cost_usd=0.001, tokens=6000" in planned
    assert first.rstrip().endswith("write") and "status" not in first
    assert "status waiting" in second and "step   critic" in second
    assert "said   approved by Ann" in third and "status complete" in third
    assert "category: 'shirt' (3 of 4 said 'shirt', 1 'dress')" in third
    # What the killed process had paid for is paid once, and the result says all of it.
    cost, tokens = third.rsplit("cost   $", 1)[1].split(" tokens")[0].split(", ")
    with Book.open(tmp_path / "book.sqlite") as book:
        expenses = [each for each in book.expenses() if each.booked_micro or each.tokens]
        assert sum(each.cost_micro for each in expenses) == int(Decimal(cost) * 1_000_000)
        assert sum(each.tokens for each in expenses) == int(tokens)
        accounts = [place.id for place in book.places().values()]
        assert len([id for id in accounts if "unplanned" not in id]) == 1


async def test_its_plan_holds_every_branch_and_every_round(tmp_path: Path) -> None:
    async with Fleet.open("mini") as fleet:
        plan = fleet.plan(approval.build, approval.job_in(tmp_path))
    assert {node.node: node.visits for node in plan.nodes} == {"look": 3, "read": 1, "write": 3}
    assert plan.cost_micro <= 1000 and plan.tokens <= 6000
