"""Messages to a book in a file share a transaction, and none pays for another's failure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import (
    BeginCall,
    CloseAccount,
    FinishRow,
    OpenAccount,
    ReadSpent,
    ReleaseCall,
    SettleCall,
)
from orchestra.core.errors import BookError, BudgetExceeded, DiskFull

START = BeginCall("a:0", "batch", "key", "read", "r1", 10, 5)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "book.sqlite") as opened:
        opened.do(OpenAccount("batch", cost_micro=35))
        yield opened


def starts(count: int) -> list[BeginCall]:
    return [replace(START, uid=f"a:{n}", key=f"key {n}") for n in range(count)]


async def test_a_message_that_fails_takes_back_only_itself(book: Book) -> None:
    ledger = LocalLedger(book)
    sent = [ledger.send(start) for start in starts(5)]
    unknown = ledger.send(SettleCall("nobody", 1, 1))
    answers = await asyncio.gather(*sent, unknown, return_exceptions=True)
    assert answers[:3] == [None] * 3
    assert [type(answer) for answer in answers[3:]] == [BudgetExceeded, BudgetExceeded, BookError]
    assert (await ledger.send(ReadSpent("batch"))).open_cost_micro == 30


async def test_what_was_answered_is_committed(book: Book, tmp_path: Path) -> None:
    ledger = LocalLedger(book)
    await asyncio.gather(*(ledger.send(start) for start in starts(3)))
    with Book.open(tmp_path / "book.sqlite", exclusive=False) as beside:
        assert beside.spent("batch").open_cost_micro == 30


async def test_a_message_whose_sender_is_gone_is_done_all_the_same(book: Book) -> None:
    ledger = LocalLedger(book)
    task = asyncio.create_task(ledger.send(START))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await ledger.send(ReadSpent("batch"))).open_cost_micro == 10
    await ledger.send(ReleaseCall(START.uid))
    assert (await ledger.send(ReadSpent("batch"))).open_cost_micro == 0


async def test_a_full_disk_is_told_to_all_of_the_turn(book: Book) -> None:
    ledger = LocalLedger(book)
    (pages,) = book._database.execute("PRAGMA page_count").fetchone()
    book._database.execute(f"PRAGMA max_page_count = {pages + 2}")
    rows = [FinishRow(f"k{n}", n, f"{n}", "complete", "x" * 20_000) for n in range(1, 4)]
    missing = ledger.send(CloseAccount("nobody"))
    ends = [ledger.send(row) for row in rows]
    answers = await asyncio.gather(missing, *ends, return_exceptions=True)
    assert DiskFull in {type(answer) for answer in answers}
    kept = {row.key for row in book.rows()}
    assert kept == {row.key for row, told in zip(rows, answers[1:], strict=True) if told is True}


async def test_a_defect_in_one_message_leaves_nobody_waiting(book: Book) -> None:
    ledger = LocalLedger(book)
    broken = replace(START, cost_micro=None)  # type: ignore[arg-type]
    answers = await asyncio.wait_for(
        asyncio.gather(ledger.send(broken), ledger.send(START), return_exceptions=True), 30
    )
    assert all(isinstance(answer, TypeError) for answer in answers)
    assert (await ledger.send(ReadSpent("batch"))).open_cost_micro == 0


def test_a_ledger_serves_one_event_loop_after_another(book: Book) -> None:
    ledger = LocalLedger(book)
    for start in starts(2):
        assert asyncio.run(ledger.send(start)) is None
    assert book.spent("batch").open_cost_micro == 20


def test_each_event_loop_does_the_messages_of_its_own_tasks(book: Book) -> None:
    ledger = LocalLedger(book)

    async def begin() -> asyncio.Task[None]:
        # Its loop stops before it is done.
        return asyncio.create_task(ledger.send(OpenAccount("one")))

    async def end(task: asyncio.Task[None]) -> None:
        await task

    with asyncio.Runner() as one, asyncio.Runner() as other:
        task = one.run(begin())
        other.run(ledger.send(OpenAccount("other")))
        with pytest.raises(BookError, match="'one'"):
            book.spent("one")
        one.run(end(task))
        assert book.spent("one") == book.spent("other")
