"""The book in another process, without one: messages, bundles, losses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestra.book.book import Book
from orchestra.book.messages import Payment, Start
from orchestra.book.remote import Keeper, Message, RemoteLedger
from orchestra.core.errors import BudgetExceeded


def start(uid: str, cost_micro: int = 10) -> Start:
    return Start(uid, "batch", f"key {uid}", "look", "vl", cost_micro, 5)


def remote(book: Book, times: int = 1) -> tuple[RemoteLedger, list[int]]:
    """A ledger whose bundles are delivered `times` times; and the size of each bundle."""
    keeper, sizes = Keeper(book), []

    async def send(messages: list[Message]) -> list[Any]:
        sizes.append(len(messages))
        await asyncio.sleep(0.01)
        for _ in range(times - 1):
            await keeper.apply(messages)
        return await keeper.apply(messages)

    return RemoteLedger(send), sizes


async def test_messages_made_while_a_bundle_is_away_go_together() -> None:
    with Book.open(None) as book:
        ledger, sizes = remote(book)
        await ledger.open_account("batch")
        await asyncio.gather(*(ledger.begin(start(f"call {n}")) for n in range(20)))
        assert sum(sizes) == 21 and len(sizes) <= 3
        assert book.spent("batch").open_cost_micro == 200


async def test_a_bundle_that_arrives_twice_counts_once() -> None:
    with Book.open(None) as book:
        ledger, _ = remote(book, times=2)
        await ledger.open_account("batch", cost_micro=15)
        assert await ledger.begin(start("a")) is None
        with pytest.raises(BudgetExceeded):
            await ledger.begin(start("b"))
        await ledger.settle(Payment("a", 4, 2, reply="{}"))
        spent = await ledger.spent("batch")
        assert (spent.cost_micro, spent.open_cost_micro) == (4, 0)


async def test_what_a_lost_process_left_is_presumed_and_its_orphans_change_nothing() -> None:
    with Book.open(None) as book:
        ledger, _ = remote(book)
        await ledger.open_account("batch")
        await ledger.begin(start("a"))
        await ledger.abandon_account("batch")
        await ledger.settle(Payment("a", 1, 1))
        await ledger.release("a")
        spent = await ledger.spent("batch")
        assert (spent.cost_micro, spent.presumed_micro) == (10, 10)
        await ledger.abandon_account("never opened")
