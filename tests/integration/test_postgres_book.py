"""The ledger's book in a real Postgres: as the file has it, had by one, and over its outages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra.book.book import Book
from orchestra.book.keys.key_messages import (
    Enter,
    Leave,
    ListKeys,
    ListTenants,
    RevokeKey,
    RotateKey,
    SaveKey,
    SaveTenant,
    Tick,
)
from orchestra.book.keys.terms import Alerts, Bounds, KeyTerms, TenantTerms
from orchestra.book.messages import (
    CloseAccount,
    KeepThread,
    OpenAccount,
    ReadSpent,
    ReadThread,
    SettleCall,
    TakeThread,
)
from orchestra.book.shared.words import GRACE_S
from orchestra.core.errors import (
    BookError,
    BookLocked,
    BookUnavailable,
    BudgetExceeded,
    OrchestraError,
    ThreadTaken,
)
from tests.servers.postgres import Postgres, postgres
from tests.unit.book.ledger_house import House, begin
from tests.unit.book.test_memory import MESSAGES


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as prepared:
        yield prepared


@pytest.fixture(scope="module")
def running(server: Postgres) -> Iterator[str]:
    with server.running() as address:
        yield address


@pytest.fixture
def address(running: str) -> str:
    empty(running)
    return running


def empty(address: str) -> None:
    with psycopg.connect(address, autocommit=True) as session:
        session.execute("DROP SCHEMA public CASCADE")
        session.execute("CREATE SCHEMA public")


def outcome(book: Book, message: Any) -> Any:
    try:
        return book.do(message)
    except OrchestraError as error:
        return type(error), str(error)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(messages=st.lists(MESSAGES, min_size=5, max_size=40))
def test_it_answers_as_the_file_does(running: str, messages: list[Any]) -> None:
    empty(running)
    with Book.open(None) as file, Book.reach(running) as book:
        for message in messages:
            assert outcome(book, message) == outcome(file, message)
        assert sorted(book.totals(), key=repr) == sorted(file.totals(), key=repr)
        assert list(book.expenses()) == list(file.expenses())


def test_tenants_keys_and_their_budgets_are_those_of_the_file(running: str) -> None:
    empty(running)
    bounds = Bounds(usd_per_day=Decimal("0.00002"), requests_per_minute=3)
    at = datetime(2026, 11, 29, 12, tzinfo=UTC)
    alerts = Alerts(url="https://shop.example/hook", secret="whsec_" + "A" * 32, at=(0.5,))
    script: list[Any] = [
        SaveTenant("shop", TenantTerms(bounds=bounds, alerts=alerts), is_new=True),
        SaveTenant("shop", TenantTerms(), is_new=True),
        SaveKey("k1", b"\0" * 32, "shop", KeyTerms(name="till")),
        SaveKey("k2", b"\1" * 32, "nobody", KeyTerms()),
        Enter("r1", "k1", b"\0" * 32, "jobs"),
        Enter("r2", "k1", b"\7" * 32, "jobs"),
        OpenAccount("job:1@x", parent="key:k1@2026-11", cost_micro=15, hold=True),
        begin("c1", "job:1@x"),
        OpenAccount("job:2@x", parent="key:k1@2026-11", cost_micro=15, hold=True),
        SettleCall("c1", 12, 3, reply="{}"),
        CloseAccount("job:1@x"),
        Leave("r1"),
        Tick(),
        RotateKey("k1", b"\2" * 32, 60.0),
        Enter("r3", "k1", b"\0" * 32, "chat"),
        RevokeKey("k1"),
        RevokeKey("k1"),
        Enter("r4", "k1", b"\2" * 32, "chat"),
        ListKeys(),
        ListTenants("shop"),
    ]
    with Book.open(None) as file, Book.reach(running) as book:
        for each in (file, book):
            each.now = lambda: at
        for message in script:
            assert outcome(book, message) == outcome(file, message), message


async def test_a_ledger_elsewhere_takes_it_over_and_calls_that_live_are_settled(
    address: str,
) -> None:
    house = House(address)
    alive, dead = house.member(), house.member()
    await alive.send(OpenAccount("shop", cost_micro=40))
    await alive.send(OpenAccount("job", parent="shop", cost_micro=15, hold=True))
    await alive.send(begin("a"))
    await dead.send(OpenAccount("lost", parent="shop", cost_micro=15, hold=True))
    await dead.send(begin("b", "lost"))
    with pytest.raises(BudgetExceeded):
        await dead.send(OpenAccount("more", parent="shop", cost_micro=15, hold=True))
    thread = KeepThread(
        "t", account="job", status="left", record="{}", about="{}", photos={"p": b"\0\1"},
        by="me", held=True,
    )  # fmt: skip
    await alive.send(thread)
    with pytest.raises(BookLocked, match="had by one"):
        Book.reach(address)
    house.die()
    with pytest.raises(ThreadTaken):
        await house.member().send(TakeThread("t", 1, "you"))
    await alive.trouble()
    await house.wait(GRACE_S)
    await alive.send(SettleCall("a", 3, 2, reply="{}", measured={"ms": 1.5}))
    found = await alive.send(ReadThread("t"))
    assert found is not None and (found.status, found.photos) == ("running", {"p": b"\0\1"})
    await alive.send(CloseAccount("job"))
    spent = await alive.send(ReadSpent("shop"))
    assert (spent.cost_micro, spent.presumed_micro, spent.open_cost_micro) == (13, 10, 0)
    house.server.close()


def test_an_owner_whose_session_was_lost_can_write_nothing_more(address: str) -> None:
    first = Book.reach(address)
    first.do(OpenAccount("job"))
    with psycopg.connect(address, autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
        while session.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'").fetchone():
            """It ends in its own time."""
    with Book.reach(address) as second, first:
        with pytest.raises(BookUnavailable, match="cannot be reached"):
            first.do(OpenAccount("late"))
        assert second.epoch == first.epoch + 1
        with pytest.raises(BookError, match="No account 'late'"):
            second.do(ReadSpent("late"))


async def test_the_gate_is_shut_while_postgres_is_down_and_what_ended_is_booked_later() -> None:
    with postgres() as server:
        with server.running() as address:
            house = House(address)
            member = house.member()
            await member.send(OpenAccount("job"))
            await member.send(begin("a"))
        await house.wait(1)
        with pytest.raises(BookUnavailable):
            await member.send(begin("b"))
        assert "BookUnavailable" in await member.trouble()
        await member.send(SettleCall("a", 3, 2))
        with server.running():
            await house.wait(1)
            assert await member.trouble() == ""
            await member.send(begin("b"))
            spent = await member.send(ReadSpent("job"))
            assert (spent.cost_micro, spent.open_cost_micro) == (3, 10)
            house.server.close()
