"""Limits, holds and closing of nested budgets."""

import pytest

from orchestra.book.book import Book
from orchestra.book.messages import CloseAccount, OpenAccount, ReleaseCall, SettleCall
from orchestra.core.errors import BookError, BudgetExceeded
from tests.booked import begun, booked


@pytest.fixture
def book():
    with Book.open(None) as opened:
        yield opened


def spend(book: Book, account: str, cost_micro: int, tokens: int = 0) -> None:
    book.do(SettleCall(begun(book, account, cost_micro, tokens), cost_micro, tokens))


def test_exceeded_budget_names_the_account_what_is_left_what_was_asked_and_the_cure(book):
    book.do(OpenAccount("shop", cost_micro=100))
    book.do(OpenAccount("batch", parent="shop"))
    spend(book, "batch", 60)
    with pytest.raises(BudgetExceeded) as raised:
        begun(book, "batch", 50)
    message = str(raised.value)
    for part in ("'shop'", "$0.00004 left of $0.0001", "'look'", "'vl'", "$0.00005", "$0.00011"):
        assert part in message
    book.set_limits("shop", cost_micro=110, tokens=None)  # the cure that the message names
    begun(book, "batch", 50)


def test_exceeded_tokens_are_named_as_tokens(book):
    book.do(OpenAccount("batch", cost_micro=1000, tokens=10))
    with pytest.raises(BudgetExceeded, match=r"10 tokens left of 10.*up to 11"):
        begun(book, "batch", 1, tokens=11)


def test_a_refused_reservation_leaves_no_trace_in_any_account(book):
    book.do(OpenAccount("shop", cost_micro=5))
    book.do(OpenAccount("batch", parent="shop", cost_micro=100))
    before = book.spent("batch"), book.spent("shop")
    with pytest.raises(BudgetExceeded, match="'shop'"):
        begun(book, "batch", 6)
    assert (book.spent("batch"), book.spent("shop")) == before
    assert list(booked(book, "batch")) == []


def test_zero_budget_takes_only_what_costs_nothing(book):
    book.do(OpenAccount("free", cost_micro=0))
    spend(book, "free", 0, tokens=7)
    with pytest.raises(BudgetExceeded, match=r"\$0.00 left"):
        begun(book, "free", 1)


def test_held_account_is_sure_of_its_limit_while_others_take_the_rest(book):
    book.do(OpenAccount("batch", cost_micro=100))
    book.do(OpenAccount("row", parent="batch", cost_micro=40, hold=True))
    spend(book, "batch", 60)
    with pytest.raises(BudgetExceeded):
        begun(book, "batch", 1)
    spend(book, "row", 40)
    assert book.spent("batch").cost_micro == 100
    assert book.spent("batch").open_cost_micro == 0


def test_closing_a_hold_gives_back_what_was_not_spent(book):
    book.do(OpenAccount("shop", cost_micro=100))
    book.do(OpenAccount("batch", parent="shop", cost_micro=90, hold=True))
    book.do(OpenAccount("row", parent="batch", cost_micro=40, hold=True))
    spend(book, "row", 15)
    assert book.spent("shop").open_cost_micro == 75
    assert book.spent("batch").open_cost_micro == 25
    book.do(CloseAccount("row"))
    book.do(CloseAccount("row"))
    assert book.spent("batch").open_cost_micro == 0
    book.do(CloseAccount("batch"))
    assert (book.spent("shop").cost_micro, book.spent("shop").open_cost_micro) == (15, 0)


def test_a_hold_of_cost_lets_tokens_count_against_the_parent(book):
    book.do(OpenAccount("batch", cost_micro=100, tokens=10))
    book.do(OpenAccount("row", parent="batch", cost_micro=50, hold=True))
    spend(book, "row", 5, tokens=8)
    assert book.spent("batch").tokens == 8
    with pytest.raises(BudgetExceeded, match="'batch' has 2 tokens left"):
        begun(book, "row", 5, tokens=3)


def test_a_hold_that_does_not_fit_opens_nothing(book):
    book.do(OpenAccount("batch", cost_micro=10))
    with pytest.raises(BudgetExceeded, match=r"'batch'.*account 'row'"):
        book.do(OpenAccount("row", parent="batch", cost_micro=11, hold=True))
    with pytest.raises(BookError, match="No account 'row'"):
        book.spent("row")


def test_opening_again_with_the_same_values_holds_once(book):
    book.do(OpenAccount("batch", cost_micro=100))
    for _ in range(2):
        book.do(OpenAccount("row", parent="batch", cost_micro=30, hold=True))
    assert book.spent("batch").open_cost_micro == 30


def test_opening_again_with_other_values_is_refused(book):
    book.do(OpenAccount("batch", cost_micro=100))
    with pytest.raises(BookError, match="other id"):
        book.do(OpenAccount("batch", cost_micro=200))


def test_reopened_hold_takes_only_what_it_has_left(book):
    book.do(OpenAccount("shop", cost_micro=100))
    book.do(OpenAccount("batch", parent="shop", cost_micro=60, hold=True))
    spend(book, "batch", 20)
    book.do(CloseAccount("batch"))
    book.do(OpenAccount("batch", parent="shop", cost_micro=60, hold=True))
    assert (book.spent("shop").cost_micro, book.spent("shop").open_cost_micro) == (20, 40)


def test_closing_is_refused_while_a_call_of_any_size_is_open(book):
    book.do(OpenAccount("batch"))
    book.do(OpenAccount("row", parent="batch"))
    uid = begun(book, "row", 0)
    for account in ("batch", "row"):
        with pytest.raises(BookError, match="1 open calls"):
            book.do(CloseAccount(account))
    book.do(ReleaseCall(uid))
    book.do(CloseAccount("batch"))
    with pytest.raises(BookError, match="'batch' is closed"):
        begun(book, "row", 0)


def test_closing_is_refused_while_a_hold_under_it_is_open(book):
    book.do(OpenAccount("batch"))
    book.do(OpenAccount("row", parent="batch", tokens=5, hold=True))
    with pytest.raises(BookError, match="'batch' has 1 open"):
        book.do(CloseAccount("batch"))


def test_nothing_opens_or_reserves_under_a_closed_account(book):
    book.do(OpenAccount("batch", cost_micro=10))
    book.do(CloseAccount("batch"))
    with pytest.raises(BookError, match=r"'batch' is closed.*OpenAccount"):
        begun(book, "batch", 1)
    with pytest.raises(BookError, match="'batch' is closed"):
        book.do(OpenAccount("row", parent="batch"))


def test_limits_cannot_be_set_below_what_is_spent_or_open(book):
    book.do(OpenAccount("batch", cost_micro=100, tokens=10))
    spend(book, "batch", 30, tokens=10)
    begun(book, "batch", 30)
    book.set_limits("batch", cost_micro=60, tokens=10)
    with pytest.raises(BudgetExceeded, match=r"to \$0\.000059, as \$0\.00006 are spent or"):
        book.set_limits("batch", cost_micro=59, tokens=10)
    with pytest.raises(BudgetExceeded, match="Set its token limit to 10 tokens or more"):
        book.set_limits("batch", cost_micro=60, tokens=9)


def test_limits_of_a_hold_stay_since_its_parent_keeps_them_for_it(book):
    book.do(OpenAccount("shop", cost_micro=100))
    book.do(OpenAccount("batch", parent="shop", cost_micro=60, hold=True))
    with pytest.raises(BookError, match="'batch' holds its limits"):
        book.set_limits("batch", cost_micro=90, tokens=None)
    assert book.spent("shop").open_cost_micro == 60


@pytest.mark.parametrize("amount", [-1, 1.5, True, 10**16])
def test_limits_that_are_no_amounts_are_refused_with_their_value(book, amount):
    with pytest.raises(BookError, match=repr(amount)):
        book.do(OpenAccount("batch", cost_micro=amount))


def test_hold_without_a_limit_and_unknown_parents_are_refused(book):
    with pytest.raises(BookError, match="hold=True needs"):
        book.do(OpenAccount("batch", hold=True))
    with pytest.raises(BookError, match="No account 'nobody'"):
        book.do(OpenAccount("batch", parent="nobody"))
    with pytest.raises(BookError, match="No account 'nobody'"):
        book.do(CloseAccount("nobody"))
    with pytest.raises(BookError, match="No account 'nobody'"):
        begun(book, "nobody", 1)
