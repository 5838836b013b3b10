"""The ledger without a file answers as a book does, whatever is said to it; it forgets the old."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from orchestra.book.book import Book
from orchestra.book.ledger import Ledger, LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import (
    AbandonAccount,
    BeginCall,
    BookHit,
    CloseAccount,
    LedgerMessage,
    OpenAccount,
    ReadSpent,
    ReadTotals,
    ReleaseCall,
    SettleCall,
)
from orchestra.core.errors import BookError, OrchestraError

ACCOUNTS = ("root", "shop", "row", "other")
UIDS = ("c:1", "c:2", "c:3", "c:4", "c:5", "c:6")
amounts = st.integers(0, 20)
costs = amounts | st.integers(0, 60)  # a few above what was reserved
bounds = st.none() | st.integers(0, 60)
accounts, uids = st.sampled_from(ACCOUNTS), st.sampled_from(UIDS)
keys, replies = st.sampled_from(("k1", "k2", "k3", "k4")), st.sampled_from(("a", "b"))
node, model = st.just("read"), st.just("r1")
MESSAGES = st.one_of(
    st.builds(
        OpenAccount,
        accounts,
        parent=st.none() | st.sampled_from(ACCOUNTS[:2]),
        cost_micro=bounds,
        tokens=bounds,
        hold=st.booleans(),
        ceiling_micro=bounds,
        ceiling_tokens=bounds,
    ).filter(lambda opened: opened.parent is not None or not opened.hold),  # a root has no parent
    st.builds(CloseAccount, accounts),
    st.builds(AbandonAccount, accounts),
    st.builds(ReadSpent, accounts),
    st.builds(ReadTotals),
    st.builds(BeginCall, uids, accounts, keys, node, model, amounts, amounts),
    st.builds(BookHit, uids, accounts, keys, node, model, amounts, amounts, replies),
    st.builds(
        SettleCall,
        uids,
        costs,
        costs,
        st.just(0.1),
        st.none() | replies,
        presumed=st.booleans(),
    ),
    st.builds(ReleaseCall, uids),
)


class Twins(RuleBasedStateMachine):
    """Each message goes to both; the answers, the kinds of errors and all sums must be the same."""

    @initialize()
    def begin_both(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.book = Book.open(None)
        self.ledgers: tuple[Ledger, Ledger] = (LocalLedger(self.book), MemoryLedger())

    def teardown(self) -> None:
        if hasattr(self, "book"):
            self.book.close()
            self.loop.close()

    @rule(message=MESSAGES)
    def say(self, message: LedgerMessage[Any]) -> None:
        for said in (message, *map(ReadSpent, ACCOUNTS)):
            book, memory = (self.loop.run_until_complete(answer(said, to)) for to in self.ledgers)
            assert book == memory


async def answer(message: LedgerMessage[Any], to: Ledger) -> Any:
    """What a message gave: its answer, or its error's kind and, for a budget, its words."""
    try:
        return await to.send(message)
    except BookError as error:
        return type(error).__name__
    except OrchestraError as error:
        return type(error).__name__, str(error)


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


async def test_an_account_with_one_in_use_under_it_is_not_abandoned_and_keeps_its_calls() -> None:
    with Book.open(None) as book:
        for ledger in (LocalLedger(book), MemoryLedger()):
            await ledger.send(OpenAccount("row", cost_micro=10))
            await ledger.send(BeginCall("c:1", "row", "k1", "read", "r1", 3, 0))
            await ledger.send(OpenAccount("part", parent="row", cost_micro=5, hold=True))
            with pytest.raises(BookError, match="'row' has 1 open"):
                await ledger.send(AbandonAccount("row"))
            spent = await ledger.send(ReadSpent("row"))
            assert (spent.open_cost_micro, spent.presumed_calls) == (8, 0)
            await ledger.send(CloseAccount("part"))
            await ledger.send(AbandonAccount("row"))
            assert (await ledger.send(ReadSpent("row"))).presumed_micro == 3


async def test_closed_accounts_and_their_calls_are_forgotten_the_oldest_first() -> None:
    ledger = MemoryLedger(closed_kept=2)
    for number in range(4):
        await ledger.send(OpenAccount(f"job:{number}", cost_micro=10))
        start = BeginCall(f"c:{number}", f"job:{number}", f"k{number}", "read", "r1", 5, 5)
        assert await ledger.send(start) is None
        await ledger.send(SettleCall(start.uid, 3, 3))
        await ledger.send(CloseAccount(f"job:{number}"))
    assert (await ledger.send(ReadSpent("job:3"))).cost_micro == 3
    assert (await ledger.send(ReadSpent("job:2"))).cost_micro == 3
    for gone in ("job:0", "job:1"):
        with pytest.raises(BookError, match=f"No account '{gone}'"):
            await ledger.send(ReadSpent(gone))
    with pytest.raises(BookError, match="No call 'c:0'"):
        await ledger.send(SettleCall("c:0", 3, 3))


async def test_an_open_account_and_one_with_children_are_never_forgotten() -> None:
    ledger = MemoryLedger(closed_kept=0)
    await ledger.send(OpenAccount("shop", cost_micro=100))
    for number in range(3):
        await ledger.send(OpenAccount(f"job:{number}", parent="shop", cost_micro=10, hold=True))
        await ledger.send(BeginCall(f"c:{number}", f"job:{number}", f"k{number}", "n", "m", 5, 5))
        await ledger.send(SettleCall(f"c:{number}", 4, 5))
        await ledger.send(CloseAccount(f"job:{number}"))
    await ledger.send(CloseAccount("shop"))
    assert (await ledger.send(ReadSpent("shop"))).cost_micro == 12


async def test_replies_are_kept_up_to_a_number_the_used_ones_longest() -> None:
    ledger = MemoryLedger(replies_kept=2)
    await ledger.send(OpenAccount("job"))

    async def paid(key: str) -> str | None:
        stored = await ledger.send(BeginCall(f"c:{key}", "job", key, "read", "r1", 1, 1))
        if stored is None:
            await ledger.send(SettleCall(f"c:{key}", 1, 1, 0.0, f"reply {key}"))
        return stored

    async def again(key: str, uid: str) -> str | None:
        return await ledger.send(BeginCall(uid, "job", key, "read", "r1", 1, 1))

    await paid("a")
    await paid("b")
    assert await again("a", "a:2") == "reply a"
    await paid("c")  # b is the one unused for longest
    assert await again("a", "a:3") == "reply a"
    assert await again("b", "b:2") is None
