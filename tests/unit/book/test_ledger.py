"""Messages to the book: sent twice they count once, and all they carry can be pickled."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.book.book import Book
from orchestra.book.ledger import FIELDS, LocalLedger
from orchestra.book.messages import Candidate, Payment, RowEnd, Start
from orchestra.book.schema import VERSION
from orchestra.core.errors import BookError, BudgetExceeded

START = Start("a:1", "batch", "key", "read", "r1", 10, 5)
PAID = Payment("a:1", 4, 2, 0.5, '{"colour":"红"}')


@pytest.fixture
def book() -> Iterator[Book]:
    with Book.open(None) as opened:
        opened.open_account("batch", cost_micro=100, tokens=50)
        yield opened


async def test_a_call_that_begins_twice_is_reserved_once(book: Book) -> None:
    ledger = LocalLedger(book)
    assert await ledger.begin(START) is None
    assert await ledger.begin(START) is None
    spent = await ledger.spent("batch")
    assert (spent.open_cost_micro, spent.open_tokens) == (10, 5)
    (call,) = book.entries("batch")
    assert (call.uid, call.state) == ("a:1", "dispatched")


async def test_a_call_that_is_paid_twice_is_paid_once(book: Book) -> None:
    ledger = LocalLedger(book)
    await ledger.begin(START)
    await ledger.settle(PAID)
    await ledger.settle(replace(PAID, cost_micro=9, reply="later"))
    spent = await ledger.spent("batch")
    assert (spent.cost_micro, spent.tokens, spent.open_cost_micro) == (4, 2, 0)
    assert await ledger.begin(replace(START, uid="a:2")) == PAID.reply


async def test_a_repeated_beginning_is_on_its_way_though_another_paid_for_the_reply(
    book: Book,
) -> None:
    """Its first answer, which was lost, said that the call is to be made."""
    ledger = LocalLedger(book)
    other = replace(START, uid="b:1")
    await ledger.begin(START)
    await ledger.begin(other)
    await ledger.settle(replace(PAID, uid="b:1"))
    assert await ledger.begin(START) is None


async def test_a_release_counts_once_and_may_come_for_what_never_began(book: Book) -> None:
    ledger = LocalLedger(book)
    await ledger.release("a:1")
    await ledger.begin(START)
    await ledger.release("a:1")
    await ledger.release("a:1")
    assert (await ledger.spent("batch")).open_cost_micro == 0
    with pytest.raises(BookError, match=r"'a:1' is 'released'.*id of its own"):
        await ledger.begin(START)
    with pytest.raises(BookError, match="'released'"):
        await ledger.settle(PAID)


async def test_an_unknown_call_is_not_paid_and_a_paid_one_not_given_back(book: Book) -> None:
    ledger = LocalLedger(book)
    with pytest.raises(BookError, match=r"No call 'a:1'.*Begin it"):
        await ledger.settle(PAID)
    await ledger.begin(START)
    await ledger.settle(PAID)
    with pytest.raises(BookError, match="'settled'"):
        await ledger.release("a:1")


async def test_a_call_that_does_not_fit_leaves_no_trace(book: Book) -> None:
    ledger = LocalLedger(book)
    with pytest.raises(BudgetExceeded):
        await ledger.begin(replace(START, cost_micro=101))
    assert list(book.entries("batch")) == []
    assert await ledger.begin(START) is None


async def test_rows_are_admitted_in_order_and_the_first_owns_an_id(book: Book) -> None:
    ledger = LocalLedger(book)
    rows = [Candidate("k1", 1, "A"), Candidate("k2", 2, "A"), Candidate("k3", 3)]
    assert await ledger.admit(rows) == [1, 1, 3]
    assert await ledger.admit(rows) == [1, 1, 3]
    await ledger.finish_row(RowEnd("k1", 1, "A", "complete", "{}"))
    assert await ledger.admit(rows) == [None, 1, 3]
    assert await ledger.admit([]) == []


async def test_a_row_that_ends_twice_is_kept_once_with_its_account_closed(book: Book) -> None:
    ledger = LocalLedger(book)
    await ledger.open_account("row", parent="batch", cost_micro=20, tokens=20, hold=True)
    end = RowEnd("k1", 1, "A", "complete", "{}", "row", ("colour", "size"))
    assert await ledger.finish_row(end)
    assert not await ledger.finish_row(replace(end, record_json="[]", names=("size", "brand")))
    assert (await ledger.spent("batch")).open_cost_micro == 0
    found = book.row("k1")
    assert found is not None and found.record_json == "{}"
    assert book.meta(FIELDS) == '["colour", "size", "brand"]'


async def test_all_that_goes_to_a_book_elsewhere_and_comes_back_can_be_pickled(
    book: Book,
) -> None:
    ledger = LocalLedger(book)
    end = RowEnd("k1", 1, "A", "complete", "{}", None, ("colour",))
    for value in (START, PAID, end, Candidate("k", 1), await ledger.spent("batch")):
        assert pickle.loads(pickle.dumps(value)) == value
    for act in (ledger.begin(replace(START, cost_micro=999)), ledger.settle(PAID)):
        with pytest.raises((BudgetExceeded, BookError)) as caught:
            await act
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_a_book_of_the_first_version_is_read_and_written_on(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.open_account("batch", cost_micro=100)
        book.reserve("batch", cost_micro=10, tokens=1, node="read", model="r1")
    database = sqlite3.connect(path)
    database.execute("DROP INDEX entries_uid")
    database.execute("ALTER TABLE entries DROP COLUMN uid")
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    with Book.open(path) as book:
        assert [call.uid for call in book.entries("batch")] == [None]
        assert (
            book.begin("a:1", "batch", key="k", node="n", model="m", cost_micro=1, tokens=1) is None
        )
        assert [call.uid for call in book.entries("batch")] == [None, "a:1"]
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
    database.close()
