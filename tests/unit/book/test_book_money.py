"""Dollars become micro-dollars in the direction that never overspends."""

from decimal import Decimal

import pytest

from orchestra.core.errors import InvalidBudget
from orchestra.core.money import dollars, limit_micro, micro, usd


@pytest.mark.parametrize(
    ("amount", "cost", "limit"),
    [("0", 0, 0), ("0.000012", 12, 12), ("0.0000001", 1, 0), ("1.2345678", 1234568, 1234567)],
)
def test_costs_round_up_and_limits_round_down(amount, cost, limit):
    assert micro(Decimal(amount)) == cost
    assert limit_micro(Decimal(amount)) == limit


def test_usd_is_the_exact_inverse():
    assert usd(12) == Decimal("0.000012")
    assert micro(usd(123_456_789)) == 123_456_789


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (12, "$0.000012"),
        (0, "$0.00"),
        (40_000_000, "$40.00"),
        (250_000, "$0.25"),
        (-5, "-$0.000005"),
    ],
)
def test_dollars_are_written_plainly(amount, text):
    assert dollars(amount) == text


@pytest.mark.parametrize("amount", ["-0.01", "NaN", "Infinity", "1e10"])
def test_amounts_that_are_none_are_refused_with_their_value(amount):
    with pytest.raises(InvalidBudget, match=str(Decimal(amount)).replace("+", r"\+")):
        micro(Decimal(amount))
