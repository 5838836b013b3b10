"""Messages to the book: sent twice they count once, and all they carry can be pickled."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestra.book import book as book_module
from orchestra.book import memory, messages
from orchestra.book.book import Book
from orchestra.book.keys import key_messages
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import (
    AdmitRows,
    BeginCall,
    Candidate,
    FinishRow,
    LedgerMessage,
    OpenAccount,
    ReadSpent,
    ReleaseCall,
    RowMessage,
    SettleCall,
)
from orchestra.core.errors import BookError, BudgetExceeded
from tests.booked import booked

START = BeginCall("a:1", "batch", "key", "read", "r1", 10, 5)
PAID = SettleCall("a:1", 4, 2, 0.5, '{"colour":"红"}')


@pytest.fixture
def book() -> Iterator[Book]:
    with Book.open(None) as opened:
        opened.do(OpenAccount("batch", cost_micro=100, tokens=50))
        yield opened


async def test_a_call_that_begins_twice_is_reserved_once(book: Book) -> None:
    ledger = LocalLedger(book)
    assert await ledger.send(START) is None
    assert await ledger.send(START) is None
    spent = await ledger.send(ReadSpent("batch"))
    assert (spent.open_cost_micro, spent.open_tokens) == (10, 5)
    (call,) = booked(book, "batch")
    assert (call.uid, call.state) == ("a:1", "dispatched")


async def test_a_call_that_is_paid_twice_is_paid_once(book: Book) -> None:
    ledger = LocalLedger(book)
    await ledger.send(START)
    await ledger.send(PAID)
    await ledger.send(replace(PAID, cost_micro=9, reply="later"))
    spent = await ledger.send(ReadSpent("batch"))
    assert (spent.cost_micro, spent.tokens, spent.open_cost_micro) == (4, 2, 0)
    assert await ledger.send(replace(START, uid="a:2")) == PAID.reply


async def test_a_repeated_beginning_is_on_its_way_though_another_paid_for_the_reply(
    book: Book,
) -> None:
    """Its first answer, which was lost, said that the call is to be made."""
    ledger = LocalLedger(book)
    other = replace(START, uid="b:1")
    await ledger.send(START)
    await ledger.send(other)
    await ledger.send(replace(PAID, uid="b:1"))
    assert await ledger.send(START) is None


async def test_a_release_counts_once_and_may_come_for_what_never_began(book: Book) -> None:
    ledger = LocalLedger(book)
    await ledger.send(ReleaseCall("a:1"))
    await ledger.send(START)
    await ledger.send(ReleaseCall("a:1"))
    await ledger.send(ReleaseCall("a:1"))
    assert (await ledger.send(ReadSpent("batch"))).open_cost_micro == 0
    with pytest.raises(BookError, match=r"'a:1' is 'released'.*id of its own"):
        await ledger.send(START)
    with pytest.raises(BookError, match="'released'"):
        await ledger.send(PAID)


async def test_an_unknown_call_is_not_paid_and_a_paid_one_not_given_back(book: Book) -> None:
    ledger = LocalLedger(book)
    with pytest.raises(BookError, match=r"No call 'a:1'.*Begin it"):
        await ledger.send(PAID)
    await ledger.send(START)
    await ledger.send(PAID)
    with pytest.raises(BookError, match="'settled'"):
        await ledger.send(ReleaseCall("a:1"))


async def test_a_call_that_does_not_fit_leaves_no_trace(book: Book) -> None:
    ledger = LocalLedger(book)
    with pytest.raises(BudgetExceeded):
        await ledger.send(replace(START, cost_micro=101))
    assert booked(book, "batch") == []
    assert await ledger.send(START) is None


async def test_rows_are_admitted_in_order_and_the_first_owns_an_id(book: Book) -> None:
    ledger = LocalLedger(book)
    rows = [Candidate("k1", 1, "A"), Candidate("k2", 2, "A"), Candidate("k3", 3)]
    assert await ledger.send(AdmitRows(rows)) == [1, 1, 3]
    assert await ledger.send(AdmitRows(rows)) == [1, 1, 3]
    await ledger.send(FinishRow("k1", 1, "A", "complete", "{}"))
    assert await ledger.send(AdmitRows(rows)) == [None, 1, 3]
    assert await ledger.send(AdmitRows([])) == []


async def test_a_row_that_ends_twice_is_kept_once_with_its_account_closed(book: Book) -> None:
    ledger = LocalLedger(book)
    await ledger.send(OpenAccount("row", parent="batch", cost_micro=20, tokens=20, hold=True))
    end = FinishRow("k1", 1, "A", "complete", "{}", "row", ("colour", "size"))
    assert await ledger.send(end)
    assert not await ledger.send(replace(end, record_json="[]", names=("size", "brand")))
    assert (await ledger.send(ReadSpent("batch"))).open_cost_micro == 0
    assert [row.record_json for row in book.rows()] == ["{}"]
    assert book.field_names() == ["colour", "size", "brand"]


async def test_all_that_goes_to_a_book_elsewhere_and_comes_back_can_be_pickled(
    book: Book,
) -> None:
    ledger = LocalLedger(book)
    end = FinishRow("k1", 1, "A", "complete", "{}", None, ("colour",))
    for value in (START, PAID, end, Candidate("k", 1), await ledger.send(ReadSpent("batch"))):
        assert pickle.loads(pickle.dumps(value)) == value
    for act in (ledger.send(replace(START, cost_micro=999)), ledger.send(PAID)):
        with pytest.raises((BudgetExceeded, BookError)) as caught:
            await act
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_each_kind_of_message_is_one_that_a_ledger_takes() -> None:
    """The types say who takes what; these tables say how."""
    said = (*vars(messages).values(), *vars(key_messages).values())
    kinds = [kind for kind in said if isinstance(kind, type)]
    any_ledger = {kind for kind in kinds if issubclass(kind, LedgerMessage)} - {LedgerMessage}
    rows = {kind for kind in kinds if issubclass(kind, RowMessage)} - {RowMessage}
    assert set(memory._DEEDS) == any_ledger
    assert set(book_module._DEEDS) == any_ledger | rows
