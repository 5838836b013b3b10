"""The book in another process, without one: messages, bundles, losses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestra.book.book import Book
from orchestra.book.messages import (
    AbandonAccount,
    AnyMessage,
    BeginCall,
    OpenAccount,
    ReadSpent,
    ReleaseCall,
    SettleCall,
)
from orchestra.book.shared.remote import Keeper, RemoteLedger
from orchestra.core.errors import BudgetExceeded


def start(uid: str, cost_micro: int = 10) -> BeginCall:
    return BeginCall(uid, "batch", f"key {uid}", "look", "vl", cost_micro, 5)


def remote(book: Book, times: int = 1) -> tuple[RemoteLedger, list[int]]:
    """A ledger whose bundles are delivered `times` times; and the size of each bundle."""
    keeper, sizes = Keeper(book), []

    async def send(messages: list[AnyMessage]) -> list[Any]:
        sizes.append(len(messages))
        await asyncio.sleep(0.01)
        for _ in range(times - 1):
            await keeper.apply(messages)
        return await keeper.apply(messages)

    return RemoteLedger(send), sizes


async def test_messages_made_while_a_bundle_is_away_go_together() -> None:
    with Book.open(None) as book:
        ledger, sizes = remote(book)
        await ledger.send(OpenAccount("batch"))
        await asyncio.gather(*(ledger.send(start(f"call {n}")) for n in range(20)))
        assert sum(sizes) == 21 and len(sizes) <= 3
        assert book.spent("batch").open_cost_micro == 200


async def test_a_bundle_that_arrives_twice_counts_once() -> None:
    with Book.open(None) as book:
        ledger, _ = remote(book, times=2)
        await ledger.send(OpenAccount("batch", cost_micro=15))
        assert await ledger.send(start("a")) is None
        with pytest.raises(BudgetExceeded):
            await ledger.send(start("b"))
        await ledger.send(SettleCall("a", 4, 2, reply="{}"))
        spent = await ledger.send(ReadSpent("batch"))
        assert (spent.cost_micro, spent.open_cost_micro) == (4, 0)


async def test_what_a_lost_process_left_is_presumed_and_its_orphans_change_nothing() -> None:
    with Book.open(None) as book:
        ledger, _ = remote(book)
        await ledger.send(OpenAccount("batch"))
        await ledger.send(start("a"))
        await ledger.send(AbandonAccount("batch"))
        await ledger.send(SettleCall("a", 1, 1))
        await ledger.send(ReleaseCall("a"))
        spent = await ledger.send(ReadSpent("batch"))
        assert (spent.cost_micro, spent.presumed_micro) == (10, 10)
        await ledger.send(AbandonAccount("never opened"))


async def test_a_way_that_breaks_unforeseen_leaves_nobody_waiting() -> None:
    async def breaks(messages: list[AnyMessage]) -> list[Any]:
        raise ZeroDivisionError

    ledger = RemoteLedger(breaks)
    sent = [ledger.send(OpenAccount(name)) for name in ("a", "b")]
    answers = await asyncio.wait_for(asyncio.gather(*sent, return_exceptions=True), 30)
    assert [type(answer) for answer in answers] == [ZeroDivisionError] * 2


async def test_a_bundle_is_one_transaction_in_which_a_refusal_takes_back_only_itself() -> None:
    with Book.open(None) as book:
        keeper = Keeper(book)
        bundle = [OpenAccount("batch", cost_micro=15), start("a"), start("b"), ReadSpent("batch")]
        opened, first, second, spent = await keeper.apply(bundle)
        assert (opened, first, type(second)) == (None, None, BudgetExceeded)
        assert spent.open_cost_micro == 10
