"""The life of one reservation, its reply, and groups of operations."""

import pytest

from orchestra.book.book import Book
from orchestra.core.errors import BookError, BudgetExceeded


@pytest.fixture
def book():
    with Book.open(None) as opened:
        opened.open_account("batch", cost_micro=1000, tokens=1000)
        yield opened


def reserve(book: Book, cost_micro: int = 10, tokens: int = 5, key: str | None = None) -> int:
    return book.reserve(
        "batch", cost_micro=cost_micro, tokens=tokens, node="read", model="r1", key=key
    )


def test_settling_refunds_what_was_not_used(book):
    entry = reserve(book, 10, 5)
    assert book.spent("batch").open_cost_micro == 10
    book.dispatch(entry)
    book.settle(entry, cost_micro=4, tokens=2, cpu_s=0.5, measured={"output_tokens": 2})
    spent = book.spent("batch")
    assert (spent.cost_micro, spent.tokens) == (4, 2)
    assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
    (call,) = book.entries("batch")
    assert (call.number, call.state, call.node, call.model) == (entry, "settled", "read", "r1")
    assert (call.cost_micro, call.reserved_micro, call.cpu_s) == (4, 10, 0.5)
    assert call.measured == {"output_tokens": 2}


def test_settling_never_takes_more_than_was_reserved_and_records_the_overrun(book):
    entry = reserve(book, 10, 5)
    book.dispatch(entry)
    book.settle(entry, cost_micro=25, tokens=6)
    assert (book.spent("batch").cost_micro, book.spent("batch").tokens) == (10, 5)
    (call,) = book.entries("batch")
    assert (call.cost_micro, call.overrun_micro, call.tokens, call.overrun_tokens) == (10, 15, 5, 1)


def test_release_gives_everything_back_before_and_after_dispatch(book):
    early, late = reserve(book), reserve(book)
    book.dispatch(late)
    book.release(early)
    book.release(late)
    spent = book.spent("batch")
    assert (spent.cost_micro, spent.open_cost_micro, spent.open_tokens) == (0, 0, 0)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("settled", "settle"),
        ("settled", "release"),
        ("settled", "dispatch"),
        ("released", "settle"),
        ("released", "release"),
        ("released", "dispatch"),
        ("reserved", "settle"),
        ("dispatched", "dispatch"),
    ],
)
def test_steps_out_of_order_are_refused_with_the_entry_and_its_state(book, first, then):
    entry = reserve(book)
    if first != "reserved":
        book.dispatch(entry)
    if first == "settled":
        book.settle(entry, cost_micro=1, tokens=1)
    if first == "released":
        book.release(entry)
    before = book.spent("batch")
    with pytest.raises(BookError, match=f"Entry {entry} is '{first}'"):
        if then == "settle":
            book.settle(entry, cost_micro=1, tokens=1)
        else:
            getattr(book, then)(entry)
    assert book.spent("batch") == before


def test_unknown_entries_are_refused_with_their_number(book):
    with pytest.raises(BookError, match="No entry 99"):
        book.dispatch(99)
    with pytest.raises(BookError, match="No entry 99"):
        book.settle(99, cost_micro=0, tokens=0)


@pytest.mark.parametrize(("cost_micro", "tokens", "cpu_s"), [(-1, 0, 0), (0, -1, 0), (0, 0, -0.1)])
def test_negative_amounts_are_refused(book, cost_micro, tokens, cpu_s):
    entry = reserve(book)
    book.dispatch(entry)
    with pytest.raises(BookError, match="-"):
        book.settle(entry, cost_micro=cost_micro, tokens=tokens, cpu_s=cpu_s)
    with pytest.raises(BookError, match="-1"):
        reserve(book, cost_micro=-1)


def test_reply_is_found_by_its_key_once_settled_and_the_first_stays(book):
    assert book.reply("row-1/read") is None
    for text in ('{"colour":"红"}', "later"):
        entry = reserve(book, key="row-1/read")
        book.dispatch(entry)
        book.settle(entry, cost_micro=1, tokens=1, reply=text)
    assert book.reply("row-1/read") == '{"colour":"红"}'


@pytest.mark.parametrize(("key", "reply"), [(None, "answer"), ("row-1", "half a \ud83d pair")])
def test_reply_that_cannot_be_stored_leaves_the_entry_unsettled(book, key, reply):
    entry = reserve(book, key=key)
    book.dispatch(entry)
    with pytest.raises(BookError):
        book.settle(entry, cost_micro=1, tokens=1, reply=reply)
    assert next(book.entries("batch")).state == "dispatched"
    assert book.spent("batch").open_cost_micro == 10


def test_entries_are_listed_across_pages_in_order(book):
    with book.transaction():
        numbers = [reserve(book, 0, 0) for _ in range(600)]
    assert [call.number for call in book.entries("batch")] == numbers


def test_a_group_that_fails_is_taken_back_whole(book):
    with pytest.raises(BudgetExceeded), book.transaction():
        reserve(book, 900)
        reserve(book, 900)
    assert book.spent("batch").open_cost_micro == 0


def test_a_refusal_handled_inside_a_group_takes_back_only_itself(book):
    with book.transaction():
        reserve(book, 900)
        with pytest.raises(BudgetExceeded):
            reserve(book, 900)
        reserve(book, 100)
    assert book.spent("batch").open_cost_micro == 1000


def test_an_account_taken_back_with_its_group_is_not_remembered(book):
    with pytest.raises(ZeroDivisionError), book.transaction():
        book.open_account("ghost", cost_micro=5)
        book.reserve("ghost", cost_micro=1, tokens=0, node="n", model="m")
        _ = 1 / 0
    book.open_account("other", cost_micro=7)
    with pytest.raises(BookError, match="No account 'ghost'"):
        book.reserve("ghost", cost_micro=1, tokens=0, node="n", model="m")
    assert book.spent("other").open_cost_micro == 0
