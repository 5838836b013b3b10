"""The life of one call, its reply, and groups of operations."""

import pytest

from orchestra.book.book import Book
from orchestra.book.messages import BeginCall, OpenAccount, Overrun, ReleaseCall, SettleCall
from orchestra.core.errors import BookError, BudgetExceeded
from tests.booked import begun, booked


@pytest.fixture
def book():
    with Book.open(None) as opened:
        opened.do(OpenAccount("batch", cost_micro=1000, tokens=1000))
        yield opened


def test_settling_refunds_what_was_not_used(book):
    uid = begun(book, "batch", 10, 5)
    assert book.spent("batch").open_cost_micro == 10
    book.do(SettleCall(uid, 4, 2, 0.5, measured={"output_tokens": 2}))
    spent = book.spent("batch")
    assert (spent.cost_micro, spent.tokens) == (4, 2)
    assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
    (call,) = booked(book, "batch")
    assert (call.uid, call.state, call.node, call.model) == (uid, "settled", "look", "vl")
    assert (call.cost_micro, call.reserved_micro, call.cpu_s) == (4, 10, 0.5)
    assert call.measured == {"output_tokens": 2}


def test_what_a_call_cost_beyond_its_reservation_is_booked_in_it_and_in_all_above(book):
    book.do(OpenAccount("row", parent="batch", ceiling_micro=10, ceiling_tokens=5, hold=True))
    book.do(SettleCall(begun(book, "row", 10, 5), 25, 6))
    for id in ("row", "batch"):
        spent = book.spent(id)
        assert (spent.cost_micro, spent.tokens) == (25, 6)
        assert (spent.overruns, spent.is_over) == ((Overrun("vl", 1, 15, 1),), False)
    (call,) = booked(book, "row")
    assert (call.cost_micro, call.overrun_micro, call.tokens, call.overrun_tokens) == (25, 15, 6, 1)


def test_a_budget_that_was_overcharged_lets_nothing_more_in_and_says_whose_server_did_it(book):
    book.do(OpenAccount("row", parent="batch", ceiling_micro=400, hold=True))
    uid = begun(book, "batch", 500)
    book.do(SettleCall(uid, 14_000, 0))
    with pytest.raises(BudgetExceeded) as refused:
        begun(book, "batch", 1)
    assert "$0.00 left of $0.001 ($0.0144 are spent or reserved)" in str(refused.value)
    assert "model 'vl' charged $0.0135 and 0 tokens beyond the bounds of 1 call" in str(
        refused.value
    )
    with pytest.raises(BudgetExceeded, match=r"\$0.014 are spent.*'vl' charged"):
        begun(book, "row", 1)  # though it was held before
    assert begun(book, "batch", 0)  # a free model goes on
    assert book.spent("batch").is_over


def test_what_a_row_holds_is_of_use_while_what_is_really_spent_leaves_room(book):
    book.do(OpenAccount("row", parent="batch", ceiling_micro=400, hold=True))
    book.do(OpenAccount("next", parent="batch", ceiling_micro=400, hold=True))
    book.do(SettleCall(begun(book, "row", 100), 500, 0))  # 500 spent, 700 held of 1000
    with pytest.raises(BudgetExceeded, match="'batch'"):
        begun(book, "batch", 1)
    uids = [begun(book, "row", 300), begun(book, "next", 200)]  # 500 spent, 500 on their way
    with pytest.raises(BudgetExceeded, match="'batch'"):
        begun(book, "next", 1)
    for uid in uids:
        book.do(SettleCall(uid, 0, 0))
    assert begun(book, "next", 100)


def test_a_ceiling_is_not_used_up_by_what_a_call_cost_beyond_its_bound(book):
    book.do(OpenAccount("job", ceiling_micro=20, cost_micro=100))
    book.do(SettleCall(begun(book, "job", 10), 60, 0))
    uid = begun(book, "job", 10)
    with pytest.raises(BudgetExceeded, match=r"\$0.00 left"):
        begun(book, "job", 1)  # the plan is used up, though the budget is not
    book.do(SettleCall(uid, 50, 0))
    assert book.spent("job").is_over  # and now the budget is, too


def test_a_call_whose_use_nobody_reports_is_presumed_with_its_reply(book):
    uid = begun(book, "batch", 10, 5, key="k")
    book.do(SettleCall(uid, 10, 5, reply="yes", presumed=True))
    spent = book.spent("batch")
    assert (spent.cost_micro, spent.presumed_micro, spent.presumed_calls) == (10, 10, 1)
    assert [call.state for call in booked(book, "batch")] == ["presumed"]
    assert book.do(BeginCall("again", "batch", "k", "look", "vl", 10, 5)) == "yes"


def test_the_same_limit_may_stay_though_it_was_passed_and_a_new_one_must_hold_it(book):
    book.do(SettleCall(begun(book, "batch", 10), 3_000, 0))
    book.set_limits("batch", cost_micro=1000, tokens=1000)
    with pytest.raises(BudgetExceeded, match=r"\$0.003.*'vl' charged"):
        book.set_limits("batch", cost_micro=2000, tokens=1000)
    book.set_limits("batch", cost_micro=4000, tokens=1000)
    assert begun(book, "batch", 1000)


def test_release_gives_everything_back(book):
    book.do(ReleaseCall(begun(book, "batch", 10, 5)))
    spent = book.spent("batch")
    assert (spent.cost_micro, spent.open_cost_micro, spent.open_tokens) == (0, 0, 0)
    assert [call.state for call in booked(book, "batch")] == ["released"]


@pytest.mark.parametrize(
    ("first", "then"),
    [("settled", "begin"), ("settled", "release"), ("released", "begin"), ("released", "settle")],
)
def test_steps_out_of_order_are_refused_with_the_call_and_its_state(book, first, then):
    uid = begun(book, "batch")
    ends = {"settle": SettleCall(uid, 1, 1), "release": ReleaseCall(uid)}
    steps = ends | {"begin": BeginCall(uid, "batch", uid, "look", "vl", 10, 0)}
    book.do(ends["settle" if first == "settled" else "release"])
    before = book.spent("batch")
    with pytest.raises(BookError, match=f"'{uid}' is '{first}'"):
        book.do(steps[then])
    assert book.spent("batch") == before


@pytest.mark.parametrize(("cost_micro", "tokens", "cpu_s"), [(-1, 0, 0), (0, -1, 0), (0, 0, -0.1)])
def test_negative_amounts_are_refused(book, cost_micro, tokens, cpu_s):
    uid = begun(book, "batch")
    with pytest.raises(BookError, match="-"):
        book.do(SettleCall(uid, cost_micro, tokens, cpu_s))
    with pytest.raises(BookError, match="-1"):
        begun(book, "batch", -1)


def test_reply_is_found_by_its_key_once_settled_and_the_first_stays(book):
    def ask(uid: str) -> str | None:
        return book.do(BeginCall(uid, "batch", "row-1/read", "read", "r1", 10, 5))

    assert ask("a") is None
    assert ask("b") is None
    book.do(SettleCall("a", 1, 1, reply='{"colour":"红"}'))
    book.do(SettleCall("b", 1, 1, reply="later"))
    assert ask("c") == '{"colour":"红"}'


def test_reply_that_cannot_be_stored_leaves_the_call_unsettled(book):
    uid = begun(book, "batch")
    with pytest.raises(BookError):
        book.do(SettleCall(uid, 1, 1, reply="half a \ud83d pair"))
    assert booked(book, "batch")[0].state == "dispatched"
    assert book.spent("batch").open_cost_micro == 10


def test_a_group_that_fails_is_taken_back_whole(book):
    with pytest.raises(BudgetExceeded), book.transaction():
        begun(book, "batch", 900)
        begun(book, "batch", 900)
    assert book.spent("batch").open_cost_micro == 0


def test_a_refusal_handled_inside_a_group_takes_back_only_itself(book):
    with book.transaction():
        begun(book, "batch", 900)
        with pytest.raises(BudgetExceeded):
            begun(book, "batch", 900)
        begun(book, "batch", 100)
    assert book.spent("batch").open_cost_micro == 1000


def test_an_account_taken_back_with_its_group_is_not_remembered(book):
    with pytest.raises(ZeroDivisionError), book.transaction():
        book.do(OpenAccount("ghost", cost_micro=5))
        begun(book, "ghost", 1)
        _ = 1 / 0
    book.do(OpenAccount("other", cost_micro=7))
    with pytest.raises(BookError, match="No account 'ghost'"):
        begun(book, "ghost", 1)
    assert book.spent("other").open_cost_micro == 0
