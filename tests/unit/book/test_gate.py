"""Budgets by day and month: whatever happens, and however many ask at once, none is passed."""

from __future__ import annotations

import asyncio
import hashlib
import random
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.book.book import Book
from orchestra.book.keys.key_messages import Enter, Leave, SaveKey, SaveTenant, Tick
from orchestra.book.keys.terms import KeyTerms, TenantTerms
from orchestra.book.ledger import LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import (
    BeginCall,
    CloseAccount,
    OpenAccount,
    ReadSpent,
    ReleaseCall,
    SettleCall,
)
from orchestra.core.errors import BudgetExceeded, KeyRefused, RateLimited
from tests.unit.book.book_audit import discrepancies

DIGESTS = {id: hashlib.sha256(id.encode()).digest() for id in ("k1", "k2", "k3")}
TENANTS = {"k1": "acme", "k2": "acme", "k3": "other"}
LIMITS = {  # micro-dollars: a day's and a month's
    "server": (90, 400),
    "tenant:acme": (60, 150),
    "tenant:other": (None, 80),
    "key:k1": (25, 100),
    "key:k2": (None, None),
    "key:k3": (30, None),
}


def bounds(name: str) -> dict[str, Any]:
    day, month = LIMITS[name]
    found = {"usd_per_day": day, "usd_per_month": month}
    return {"bounds": {name: v / 1_000_000 for name, v in found.items() if v is not None}}


def filled(book: Book) -> Book:
    for name in ("server", "tenant:acme", "tenant:other"):
        plain = name.removeprefix("tenant:")
        terms = TenantTerms.model_validate(bounds(name))
        book.do(SaveTenant(plain, terms, is_new=True))
    for id, tenant in TENANTS.items():
        terms = KeyTerms.model_validate(bounds(f"key:{id}"))
        book.do(SaveKey(id, DIGESTS[id], tenant, terms))
    return book


class Days:
    """A book whose clock is set by hand, beside what a model knows of each day and month."""

    def __init__(self, path: Path) -> None:
        self.book = filled(Book.open(path))
        self.time = datetime(2026, 11, 27, 12, tzinfo=UTC)
        self.book.now = lambda: self.time
        self.calls: dict[str, tuple[str, int]] = {}
        self.count = 0
        self.refused = 0
        # By account of a month, and by that and day: what was charged, and what beyond the bounds.
        self.months: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.days: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def ask(self, key: str, worst: int) -> None:
        """A request comes in, and its job holds its ceiling and makes one call."""
        self.count += 1
        uid = str(self.count)
        try:
            who = self.book.do(Enter(uid, key, DIGESTS[key], "jobs"))
            job = f"job:{uid}"
            self.book.do(OpenAccount(job, parent=who.account, ceiling_micro=worst, hold=True))
            self.book.do(BeginCall(f"c{uid}", job, uid, "n", "m", worst, 0))
            self.calls[uid] = (who.account or "", worst)
        except BudgetExceeded:
            self.refused += 1

    def end(self, which: int, part: float) -> None:
        """One of the calls under way ends at a part of its worst case, or beyond it."""
        if not self.calls:
            return
        uid = sorted(self.calls, key=int)[which % len(self.calls)]
        account, worst = self.calls.pop(uid)
        cost = int(worst * part)
        if part:
            self.book.do(SettleCall(f"c{uid}", cost, 0))
        else:
            self.book.do(ReleaseCall(f"c{uid}"))
        self.book.do(CloseAccount(f"job:{uid}"))
        self.book.do(Leave(uid))
        month = account.rpartition("@")[2]
        key = account.partition("@")[0].removeprefix("key:")
        for name in (f"key:{key}", f"tenant:{TENANTS[key]}", "server"):
            for sums in (self.months[f"{name}@{month}"], self._today(f"{name}@{month}")):
                sums[0] += cost
                sums[1] += max(0, cost - worst)

    def work(self, key: str, worst: int, times: int) -> None:
        """Requests one after the other, each at its worst case."""
        for _ in range(times):
            before = len(self.calls)
            self.ask(key, worst)
            if len(self.calls) > before:
                self.end(sorted(self.calls, key=int).index(str(self.count)), 1)

    def _today(self, account: str) -> list[int]:
        return self.days[account, f"{self.time:%Y-%m-%d}"]

    def pass_midnight(self) -> None:
        self.time += timedelta(days=1)
        self.book.do(Tick())

    def check(self) -> None:
        for account, (spent, overrun) in self.months.items():
            limit = LIMITS[account.partition("@")[0]][1]
            assert limit is None or spent <= limit + overrun, account
            assert self.book.spent(account).cost_micro == spent
        for (account, day), (spent, overrun) in self.days.items():
            limit = LIMITS[account.partition("@")[0]][0]
            if limit is not None and account.endswith(day[:7]):
                assert spent <= limit + overrun, (account, day)


asks = st.tuples(st.just("ask"), st.sampled_from(sorted(TENANTS)), st.integers(0, 30))
ends = st.tuples(st.just("end"), st.integers(0, 20), st.sampled_from((0, 0.4, 1, 1, 1, 1.5)))
midnights = st.tuples(st.just("pass_midnight"))
works = st.tuples(
    st.just("work"), st.sampled_from(sorted(TENANTS)), st.integers(1, 12), st.integers(1, 8)
)
steps = st.lists(st.one_of(works, works, asks, ends, midnights), min_size=12, max_size=40)


@settings(max_examples=40)
@given(steps)
def test_no_sequence_leaves_a_day_or_month_above_its_limit(taken: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.sqlite"
        days = Days(path)
        for name, *values in taken:
            getattr(days, name)(*values)
            days.check()
        days.book.close()
        assert discrepancies(path) == []


def test_a_day_is_used_up_and_begins_anew_until_the_month_is_used_up(tmp_path: Path) -> None:
    days = Days(tmp_path / "book.sqlite")
    served: list[int] = []
    for _ in range(5):  # 27, 28, 29, 30 November and 1 December
        for _ in range(40):
            days.ask("k1", 5)
            days.end(0, 1)
        served.append(days._today(f"key:k1@{days.time:%Y-%m}")[0])
        days.pass_midnight()
    assert served == [25, 25, 25, 25, 25]
    for _ in range(4):
        for _ in range(40):
            days.ask("k1", 5)
            days.end(0, 1)
        days.pass_midnight()
    assert days.months["key:k1@2026-12"][0] == 100  # of its month, on five days
    assert days.refused


def test_the_last_day_of_a_month_has_what_the_others_left(tmp_path: Path) -> None:
    days = Days(tmp_path / "book.sqlite")
    served: list[int] = []
    for _ in range(4):
        days.work("k3", 7, 10)
        served.append(days._today(f"key:k3@{days.time:%Y-%m}")[0])
        days.pass_midnight()
    assert served == [28, 28, 21, 0]  # 80 a month, of which 77 are whole jobs


def test_what_is_on_its_way_at_midnight_counts_in_the_day_it_ends(tmp_path: Path) -> None:
    days = Days(tmp_path / "book.sqlite")
    days.ask("k1", 20)
    days.pass_midnight()
    days.ask("k1", 10)  # 20 of 25 may still be spent today
    assert days.refused == 1
    days.ask("k1", 5)
    days.end(0, 1)
    days.end(0, 1)
    assert days._today("key:k1@2026-11") == [25, 0]


def test_what_began_in_a_month_may_end_in_the_next(tmp_path: Path) -> None:
    days = Days(tmp_path / "book.sqlite")
    days.time = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    days.ask("k1", 20)
    days.pass_midnight()
    days.ask("k1", 25)
    assert not days.refused
    days.end(0, 1)
    days.end(0, 1)
    assert {name: spent[0] for name, spent in days.months.items() if name[:3] == "key"} == {
        "key:k1@2026-11": 20,
        "key:k1@2026-12": 25,
    }


def test_a_raised_budget_holds_at_once_and_a_lowered_one_takes_nothing_back(
    tmp_path: Path,
) -> None:
    days = Days(tmp_path / "book.sqlite")

    def bound(micro: int) -> None:
        terms = TenantTerms.model_validate({"bounds": {"usd_per_month": micro / 1_000_000}})
        days.book.do(SaveTenant("other", terms, is_new=False))

    bound(10)
    days.ask("k3", 10)
    days.ask("k3", 1)
    assert days.refused == 1
    bound(30)
    days.ask("k3", 15)
    assert days.refused == 1
    bound(5)  # 25 are reserved, which end as they began
    days.end(0, 1)
    days.end(0, 1)
    assert days.months["tenant:other@2026-11"] == [25, 0]
    days.ask("k3", 1)
    assert days.refused == 2
    bound(26)
    days.ask("k3", 1)
    assert days.refused == 2


def test_what_is_held_is_of_no_use_once_another_has_overrun_the_budget(tmp_path: Path) -> None:
    days = Days(tmp_path / "book.sqlite")
    cheap = {"bounds": {"usd_per_month": 0.00006}, "cheaper": {"at": 1, "job_cost_usd": 0}}
    days.book.do(SaveTenant("other", TenantTerms.model_validate(cheap), is_new=False))
    who = days.book.do(Enter("held", "k3", DIGESTS["k3"], "jobs"))
    days.book.do(OpenAccount("job:held", parent=who.account, ceiling_micro=15, hold=True))
    days.ask("k3", 15)
    days.end(0, 4)  # 60 of 60: its server charged four times the worst case
    free = days.book.do(Enter("free", "k3", DIGESTS["k3"], "jobs"))
    assert free.job_cost_micro == 0 and "for at most $0.00" in free.notes[0]
    with pytest.raises(BudgetExceeded, match="charged"):
        days.book.do(BeginCall("c", "job:held", "c", "n", "m", 15, 0))


@pytest.mark.parametrize("clients", [64])
def test_64_clients_at_once_never_pass_the_budget_of_a_month(tmp_path: Path, clients: int) -> None:
    path = tmp_path / "book.sqlite"
    book = filled(Book.open(path))
    ledger = LocalLedger(book)

    async def client(number: int) -> tuple[int, int]:
        draw = random.Random(number)
        paid = refused = 0
        for turn in range(6):
            uid = f"{number}-{turn}"
            worst = draw.randint(1, 12)
            try:
                who = await ledger.send(Enter(uid, "k3", DIGESTS["k3"], "jobs"))
                job = OpenAccount(f"job:{uid}", parent=who.account, ceiling_micro=worst, hold=True)
                await ledger.send(job)
            except BudgetExceeded:
                refused += 1
                continue
            finally:
                await ledger.send(Leave(uid))
            await ledger.send(BeginCall(f"c{uid}", f"job:{uid}", uid, "n", "m", worst, 0))
            await asyncio.sleep(0)
            cost = draw.randint(0, worst)
            await ledger.send(SettleCall(f"c{uid}", cost, 0))
            await ledger.send(CloseAccount(f"job:{uid}"))
            paid += cost
        return paid, refused

    def run(number: int) -> tuple[int, int]:
        return asyncio.run(client(number))

    with ThreadPoolExecutor(clients) as threads:
        done = list(threads.map(run, range(clients)))
    month = f"{book.now():%Y-%m}"
    spent = book.spent(f"key:k3@{month}").cost_micro
    assert spent == sum(paid for paid, _ in done) == book.spent(f"server@{month}").cost_micro
    assert 20 < spent <= 30  # its day's, the tightest of those above it
    assert sum(refused for _, refused in done) > 100
    book.close()
    assert discrepancies(path) == []


def test_the_same_message_twice_lets_in_once(tmp_path: Path) -> None:
    book = filled(Book.open(tmp_path / "book.sqlite"))
    terms = KeyTerms.model_validate({"bounds": {"requests_per_minute": 1, "concurrent": 1}})
    book.do(SaveKey("k4", DIGESTS["k1"], "acme", terms))
    once = Enter("u", "k4", DIGESTS["k1"], "jobs")
    assert book.do(once) == book.do(once)
    with pytest.raises(RateLimited, match="1 requests under way"):
        book.do(Enter("v", "k4", DIGESTS["k1"], "jobs"))
    book.do(Leave("u"))
    with pytest.raises(RateLimited, match="within a minute, of 1"):
        book.do(Enter("v", "k4", DIGESTS["k1"], "jobs"))


def test_a_key_is_over_on_its_day(tmp_path: Path) -> None:
    days = Days(tmp_path / "book.sqlite")
    until = (days.time + timedelta(hours=1)).isoformat(timespec="seconds")
    days.book.do(SaveKey("k4", DIGESTS["k1"], "acme", KeyTerms(), until))
    days.book.do(Enter("u", "k4", DIGESTS["k1"], "jobs"))
    days.time += timedelta(hours=1)
    with pytest.raises(KeyRefused) as caught:
        days.book.do(Enter("v", "k4", DIGESTS["k1"], "jobs"))
    assert caught.value.reason == "expired"


async def test_a_ledger_without_a_file_has_the_servers_ceiling() -> None:
    ledger = MemoryLedger()
    who = await ledger.send(Enter("u", day_micro=10))
    assert who.account is not None
    job = OpenAccount("job:1", parent=who.account, ceiling_micro=8, hold=True)
    await ledger.send(job)
    with pytest.raises(BudgetExceeded, match=r"has \$0\.000002 left of"):
        await ledger.send(OpenAccount("job:2", parent=who.account, ceiling_micro=3, hold=True))
    await ledger.send(CloseAccount("job:1"))
    await ledger.send(OpenAccount("job:2", parent=who.account, ceiling_micro=3, hold=True))
    assert (await ledger.send(ReadSpent(who.account))).open_cost_micro == 3


def test_tokens_of_a_minute_are_bounded_and_those_given_back_do_not_count(tmp_path: Path) -> None:
    book = filled(Book.open(tmp_path / "book.sqlite"))
    time_s = [1000.0]
    book.door._clock = lambda: time_s[0]
    terms = KeyTerms.model_validate({"bounds": {"tokens_per_minute": 100}})
    book.do(SaveKey("k4", DIGESTS["k1"], "acme", terms))

    def ask(uid: str, tokens: int, used: int) -> None:
        who = book.do(Enter(uid, "k4", DIGESTS["k1"], "jobs"))
        job = OpenAccount(f"job:{uid}", parent=who.account, ceiling_tokens=tokens, hold=True)
        book.do(job)
        book.do(BeginCall(f"c{uid}", f"job:{uid}", uid, "n", "m", 0, tokens))
        book.do(SettleCall(f"c{uid}", 0, used))
        book.do(CloseAccount(f"job:{uid}"))
        book.do(Leave(uid))

    ask("1", 500, 60)  # 440 of them came back
    time_s[0] += 30
    ask("2", 500, 60)
    with pytest.raises(RateLimited, match="120 tokens within a minute, of 100") as caught:
        ask("3", 1, 1)
    assert caught.value.retry_after_s == pytest.approx(30)
    time_s[0] += 31  # the first 60 are past
    ask("3", 500, 10)
    time_s[0] += 3600
    ask("4", 500, 99)
