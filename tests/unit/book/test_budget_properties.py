"""Budgets under 64 jobs at once: never over, all accounted for, and refunds let waiting jobs in.

Jobs are drawn from seeds. Each reserves its worst case, waits for refunds when that does not fit,
and ends as calls do: answered for less, failed for nothing, failed for the worst case, or killed.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.book.book import Book
from orchestra.book.ledger import Ledger, LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import (
    AbandonAccount,
    BeginCall,
    CloseAccount,
    OpenAccount,
    ReadSpent,
    ReleaseCall,
    SettleCall,
)
from orchestra.core.errors import BookError, BudgetExceeded
from tests.booked import begun
from tests.unit.book.book_audit import discrepancies

T = TypeVar("T")
JOBS = 64
End = Literal["answered", "free", "worst", "killed"]
ENDS: tuple[End, ...] = ("answered", "answered", "answered", "free", "worst", "killed")
TENANTS = ("tenant:0", "tenant:1", "tenant:2")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A job: its tenant, whether it holds its ceiling, and its calls: (worst, cost, end)."""

    tenant: str
    hold: bool
    calls: tuple[tuple[int, int, End], ...]

    @property
    def ceiling(self) -> int:
        return sum(worst for worst, _, _ in self.calls)

    @property
    def paid(self) -> int:
        """What its calls cost in the end; one that was killed on its way is presumed."""
        return sum(cost for _, cost, _ in self.calls)


def drawn(seed: int) -> list[Drawn]:
    draw = random.Random(seed)
    return [_drawn(draw) for _ in range(JOBS)]


def _drawn(draw: random.Random) -> Drawn:
    calls: list[tuple[int, int, End]] = []
    for _ in range(draw.randint(1, 3)):
        worst, end = draw.randint(0, 50), draw.choice(ENDS)
        cost = {"answered": draw.randint(0, worst), "free": 0, "worst": worst, "killed": worst}[end]
        calls.append((worst, cost, end))
    return Drawn(draw.choice(TENANTS), draw.random() < 0.7, tuple(calls))


def limit_of(jobs: list[Drawn]) -> int:
    """What lets every job in, as long as each gives back what it did not spend."""
    return sum(job.paid for job in jobs) + max((job.ceiling for job in jobs), default=0)


class Crowd:
    """Jobs of one event loop on one ledger."""

    def __init__(self, ledger: Ledger, limit: int, limits: dict[str, int]) -> None:
        self.ledger = ledger
        self.limits = {"root": limit} | limits
        self.refunded = asyncio.Event()
        self.waited = 0
        self.done = 0

    async def run(self, jobs: list[Drawn]) -> None:
        await self.ledger.send(OpenAccount("root", cost_micro=self.limits["root"]))
        for name in TENANTS:
            await self.ledger.send(OpenAccount(name, parent="root", cost_micro=self.limits[name]))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number, job in enumerate(jobs):
                group.create_task(self.job(f"job:{number}", job))

    async def admitted(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do `act` once its worst case fits, woken by refunds only."""
        while True:
            refunded = self.refunded
            try:
                await act()
                return
            except BudgetExceeded:
                self.waited += 1
                await refunded.wait()

    def refund(self) -> None:
        """Wake who waits; who begins to wait now waits for the next refund."""
        refunded, self.refunded = self.refunded, asyncio.Event()
        refunded.set()

    async def job(self, name: str, job: Drawn) -> None:
        async def open_account() -> None:
            await self.ledger.send(
                OpenAccount(name, parent=job.tenant, cost_micro=job.ceiling, hold=job.hold)
            )

        await self.admitted(open_account)
        for number, (worst, cost, end) in enumerate(job.calls):
            await self.call(f"{name}:{number}", name, worst, cost, end)
            await self.check()
        if any(end == "killed" for _, _, end in job.calls):
            await self.ledger.send(AbandonAccount(name))
        else:
            await self.ledger.send(CloseAccount(name))
        self.done += 1
        self.refund()

    async def call(self, uid: str, account: str, worst: int, cost: int, end: End) -> None:
        async def begin() -> None:
            await self.ledger.send(BeginCall(uid, account, uid, "n", "m", worst, 1))

        await self.admitted(begin)
        await asyncio.sleep(0)
        if end == "free":
            await self.ledger.send(ReleaseCall(uid))
        elif end != "killed":
            await self.ledger.send(SettleCall(uid, cost, 1))
        self.refund()

    async def check(self) -> None:
        for name, limit in self.limits.items():
            now = await self.ledger.send(ReadSpent(name))
            assert now.cost_micro + now.open_cost_micro <= limit


@pytest.mark.parametrize("kind", ["book", "memory"])
@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**20))
def test_64_jobs_of_nested_budgets_all_get_in_by_refunds_and_none_is_passed(
    kind: str, seed: int
) -> None:
    jobs = drawn(seed)
    limits = {name: limit_of([j for j in jobs if j.tenant == name]) for name in TENANTS}
    with Book.open(None) as book:
        ledger: Ledger = LocalLedger(book) if kind == "book" else MemoryLedger()
        crowd = Crowd(ledger, limit_of(jobs), limits)
        totals = asyncio.run(crowded(crowd, jobs))
    assert crowd.done == JOBS
    assert crowd.waited > 0  # else nothing was tight, and the test shows nothing
    assert totals == {
        name: (sum(job.paid for job in jobs if name in ("root", job.tenant)), 0)
        for name in ("root", *TENANTS)
    }


async def crowded(crowd: Crowd, jobs: list[Drawn]) -> dict[str, tuple[int, int]]:
    await crowd.run(jobs)
    sums = {name: await crowd.ledger.send(ReadSpent(name)) for name in crowd.limits}
    return {name: (now.cost_micro, now.open_cost_micro) for name, now in sums.items()}


async def test_a_job_that_waits_starts_when_another_gives_back_and_not_before() -> None:
    ledger, order = MemoryLedger(), []
    await ledger.send(OpenAccount("root", cost_micro=10))
    crowd = Crowd(ledger, 10, {})
    await ledger.send(OpenAccount("first", parent="root", cost_micro=8, hold=True))

    async def second() -> None:
        async def open_second() -> None:
            await ledger.send(OpenAccount("second", parent="root", cost_micro=8, hold=True))

        await crowd.admitted(open_second)
        order.append("second is in")

    waiting = asyncio.create_task(second())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    await ledger.send(BeginCall("c", "first", "c", "n", "m", 8, 0))
    await ledger.send(SettleCall("c", 2, 0))
    await ledger.send(CloseAccount("first"))  # 6 come back: 8 of 10 are free again
    order.append("first is over")
    crowd.refund()
    await waiting
    assert order == ["first is over", "second is in"]


class Threads:
    """Jobs of one thread each on one book."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.changed = threading.Condition()
        self.failures: list[BaseException] = []

    def run(self, jobs: list[Drawn]) -> None:
        threads = [
            threading.Thread(target=self.work, args=(f"job:{number}", job))
            for number, job in enumerate(jobs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def work(self, name: str, job: Drawn) -> None:
        opened = OpenAccount(name, parent=job.tenant, cost_micro=job.ceiling, hold=job.hold)
        try:
            self.admitted(lambda: self.book.do(opened))
            for worst, cost, end in job.calls:
                self.pay(name, worst, cost, end)
            self.book.do(AbandonAccount(name))
        except BaseException as error:
            self.failures.append(error)
        finally:
            self.refund()

    def pay(self, name: str, worst: int, cost: int, end: End) -> None:
        uid = self.admitted(lambda: begun(self.book, name, worst))
        if end == "free":
            self.book.do(ReleaseCall(uid))
        elif end != "killed":
            self.book.do(SettleCall(uid, cost, 0))
        self.refund()

    def admitted(self, act: Callable[[], T]) -> T:
        with self.changed:
            while True:
                try:
                    return act()
                except BudgetExceeded:
                    if not self.changed.wait(timeout=30):
                        raise

    def refund(self) -> None:
        with self.changed:
            self.changed.notify_all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_64_threads_on_nested_budgets_account_for_each_micro_dollar(
    tmp_path: Path, seed: int
) -> None:
    jobs, path = drawn(seed), tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.do(OpenAccount("root", cost_micro=limit_of(jobs)))
        for name in TENANTS:
            book.do(OpenAccount(name, parent="root"))
        threads = Threads(book)
        threads.run(jobs)
        assert threads.failures == []
        spent = book.spent("root")
    assert (spent.cost_micro, spent.open_cost_micro) == (sum(job.paid for job in jobs), 0)
    assert discrepancies(path) == []
    assert unaccounted(path) == []


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**20), dies_after=st.integers(0, 200))
def test_a_crash_between_any_two_steps_leaves_nothing_open_and_nothing_unaccounted(
    tmp_path_factory: pytest.TempPathFactory, seed: int, dies_after: int
) -> None:
    folder = tmp_path_factory.mktemp("crash")
    path, image = folder / "book.sqlite", folder / "image.sqlite"
    jobs = drawn(seed)[:16]
    limit = sum(job.ceiling for job in jobs)
    with Book.open(path) as book:
        step = _steps(book, jobs, limit)
        for _ in range(dies_after):
            if next(step, None) is None:
                break
        for suffix in ("", "-wal"):  # as the files lie when the process is killed
            shutil.copy(f"{path}{suffix}", f"{image}{suffix}")
    with Book.open(image) as book:
        book.recover()
        try:
            spent = book.spent("root")
        except BookError:
            return  # it died before anything was opened
        assert spent.cost_micro <= limit
        assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
        book.do(OpenAccount("next", parent="root", cost_micro=limit - spent.cost_micro, hold=True))
    assert discrepancies(image) == []
    assert unaccounted(image) == []


def _steps(book: Book, jobs: list[Drawn], limit: int) -> Iterator[bool]:
    """Each step is one message to the book."""
    book.do(OpenAccount("root", cost_micro=limit))
    yield True
    for number, job in enumerate(jobs):
        name = f"job:{number}"
        book.do(OpenAccount(name, parent="root", cost_micro=job.ceiling, hold=job.hold))
        yield True
        for worst, cost, end in job.calls:
            uid = begun(book, name, worst)
            yield True
            if end == "free":
                book.do(ReleaseCall(uid))
            elif end != "killed":
                book.do(SettleCall(uid, cost, 0))
            yield True


def unaccounted(path: Path) -> list[str]:
    """Entries whose reservation is not wholly spent or given back, once nothing is open."""
    database = sqlite3.connect(path)
    try:
        entries = database.execute(
            "SELECT number, state, reserved_micro, cost_micro FROM entries"
        ).fetchall()
        whole = database.execute(
            "SELECT sum(spent_micro) FROM accounts WHERE parent IS NULL"
        ).fetchone()[0]
    finally:
        database.close()
    found = [
        f"{number}: {state}, {cost} of {reserved}"
        for number, state, reserved, cost in entries
        if not {
            "settled": 0 <= cost <= reserved,
            "presumed": cost == reserved,
            "released": cost == 0,
        }.get(state, False)
    ]
    paid = sum(cost for *_, cost in entries)
    return found if paid == whole else [*found, f"entries say {paid}, the roots {whole}"]
