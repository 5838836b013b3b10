"""The ledger without a file answers as a book does, whatever is said to it; it forgets the old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from orchestra.book.book import Book
from orchestra.book.ledger import Ledger, LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import Hit, Payment, Start
from orchestra.core.errors import BookError, OrchestraError

ACCOUNTS = ("root", "shop", "row", "other")
UIDS = ("c:1", "c:2", "c:3", "c:4", "c:5", "c:6")
amounts = st.integers(0, 20)
bounds = st.none() | st.integers(0, 60)


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

    @rule(
        id=st.sampled_from(ACCOUNTS),
        parent=st.none() | st.sampled_from(ACCOUNTS[:2]),
        cost=bounds,
        tokens=bounds,
        hold=st.booleans(),
    )
    def open(
        self, id: str, parent: str | None, cost: int | None, tokens: int | None, hold: bool
    ) -> None:
        if hold and parent is None:
            return  # a root has nobody to hold from
        self.both(
            lambda to: to.open_account(id, parent=parent, cost_micro=cost, tokens=tokens, hold=hold)
        )

    @rule(uid=st.sampled_from(UIDS), account=st.sampled_from(ACCOUNTS), cost=amounts)
    def hit(self, uid: str, account: str, cost: int) -> None:
        found = Hit(uid, account, f"key {cost}", "read", "r1", cost, cost, f"cached {cost}")
        self.both(lambda to: to.hit(found))

    @rule(uid=st.sampled_from(UIDS), account=st.sampled_from(ACCOUNTS), cost=amounts, n=amounts)
    def begin(self, uid: str, account: str, cost: int, n: int) -> None:
        start = Start(uid, account, f"key {cost}", "read", "r1", cost, n)
        self.both(lambda to: to.begin(start))

    @rule(
        uid=st.sampled_from(UIDS),
        cost=amounts,
        n=amounts,
        reply=st.none() | st.sampled_from(("a", "b")),
    )
    def settle(self, uid: str, cost: int, n: int, reply: str | None) -> None:
        self.both(lambda to: to.settle(Payment(uid, cost, n, 0.1, reply)))

    @rule(uid=st.sampled_from(UIDS))
    def release(self, uid: str) -> None:
        self.both(lambda to: to.release(uid))

    @rule(id=st.sampled_from(ACCOUNTS))
    def close(self, id: str) -> None:
        self.both(lambda to: to.close_account(id))

    @rule(id=st.sampled_from(ACCOUNTS))
    def abandon(self, id: str) -> None:
        self.both(lambda to: to.abandon_account(id))

    def both(self, act: Callable[[Ledger], Awaitable[Any]]) -> None:
        book, memory = (self.loop.run_until_complete(answer(act, to)) for to in self.ledgers)
        assert book == memory
        for id in ACCOUNTS:
            sums = [
                self.loop.run_until_complete(answer(lambda to, id=id: to.spent(id), ledger))
                for ledger in self.ledgers
            ]
            assert sums[0] == sums[1]


async def answer(act: Callable[[Ledger], Awaitable[Any]], to: Ledger) -> Any:
    """What a message gave: its answer, or its error's kind and, for a budget, its words."""
    try:
        return await act(to)
    except BookError as error:
        return type(error).__name__
    except OrchestraError as error:
        return type(error).__name__, str(error)


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


async def test_closed_accounts_and_their_calls_are_forgotten_the_oldest_first() -> None:
    ledger = MemoryLedger(closed_kept=2)
    for number in range(4):
        await ledger.open_account(f"job:{number}", cost_micro=10)
        start = Start(f"c:{number}", f"job:{number}", f"k{number}", "read", "r1", 5, 5)
        assert await ledger.begin(start) is None
        await ledger.settle(Payment(start.uid, 3, 3))
        await ledger.close_account(f"job:{number}")
    assert (await ledger.spent("job:3")).cost_micro == 3
    assert (await ledger.spent("job:2")).cost_micro == 3
    for gone in ("job:0", "job:1"):
        with pytest.raises(BookError, match=f"No account '{gone}'"):
            await ledger.spent(gone)
    with pytest.raises(BookError, match="No call 'c:0'"):
        await ledger.settle(Payment("c:0", 3, 3))


async def test_an_open_account_and_one_with_children_are_never_forgotten() -> None:
    ledger = MemoryLedger(closed_kept=0)
    await ledger.open_account("shop", cost_micro=100)
    for number in range(3):
        await ledger.open_account(f"job:{number}", parent="shop", cost_micro=10, hold=True)
        await ledger.begin(Start(f"c:{number}", f"job:{number}", f"k{number}", "n", "m", 5, 5))
        await ledger.settle(Payment(f"c:{number}", 4, 5))
        await ledger.close_account(f"job:{number}")
    await ledger.close_account("shop")
    assert (await ledger.spent("shop")).cost_micro == 12


async def test_replies_are_kept_up_to_a_number_the_used_ones_longest() -> None:
    ledger = MemoryLedger(replies_kept=2)
    await ledger.open_account("job")

    async def paid(key: str) -> str | None:
        stored = await ledger.begin(Start(f"c:{key}", "job", key, "read", "r1", 1, 1))
        if stored is None:
            await ledger.settle(Payment(f"c:{key}", 1, 1, 0.0, f"reply {key}"))
        return stored

    async def again(key: str, uid: str) -> str | None:
        return await ledger.begin(Start(uid, "job", key, "read", "r1", 1, 1))

    await paid("a")
    await paid("b")
    assert await again("a", "a:2") == "reply a"
    await paid("c")  # b is the one unused for longest
    assert await again("a", "a:3") == "reply a"
    assert await again("b", "b:2") is None
