"""What calls that died with their process are booked at, where nobody else bills them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.book.book import Book
from orchestra.book.messages import BeginCall, OpenAccount, SettleCall
from orchestra.fleet.source import load_fleet


def died(path: Path, paid: list[int], worst: int = 100) -> None:
    """A book whose process died with a call on its way, after others that cost what they did."""
    with Book.open(path) as book:
        book.do(OpenAccount("batch"))
        for number, cost in enumerate(paid):
            uid = f"paid {number}"
            book.do(BeginCall(uid, "batch", uid, "read", "r1", worst, 1000))
            book.do(SettleCall(uid, cost, 2 * cost))
        book.do(BeginCall("of another node", "batch", "w", "write", "r1", 7, 70))
        book.do(BeginCall("lost", "batch", "lost", "read", "r1", worst, 1000))


@pytest.mark.parametrize(
    ("unbilled", "paid", "micro", "tokens"),
    [
        ({"r1"}, [10, 20, 33], 21 + 7, 42 + 70),  # the mean, rounded up; no other write was seen
        ({"r1"}, [], 107, 1070),
        ({"r1"}, [400], 107, 800 + 70),  # never above what it reserved
        ({"vl"}, [10, 20, 33], 107, 1070),
        ((), [10, 20, 33], 107, 1070),
    ],
)
def test_a_lost_call_is_booked_at_what_its_like_cost_where_nobody_else_bills_it(
    tmp_path: Path, unbilled: set[str], paid: list[int], micro: int, tokens: int
) -> None:
    path = tmp_path / "book.sqlite"
    died(path, paid)
    with Book.open(path) as book:
        assert book.recover(unbilled) == 2
        spent = book.spent("batch")
        assert (spent.presumed_calls, spent.presumed_micro) == (2, micro)
        assert spent.cost_micro == sum(paid) + micro
        assert spent.tokens == 2 * sum(paid) + tokens
        assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)


def test_only_models_of_this_machine_that_nobody_bills_are_unbilled() -> None:
    mini, _ = load_fleet("mini")
    assert mini.unbilled == {card.name for card in mini.models}
    served, _ = load_fleet("endpoints")
    assert served.unbilled == set()
