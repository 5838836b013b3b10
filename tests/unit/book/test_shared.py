"""A ledger of several processes, without them: terms, leases, a ledger that dies, and its book."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from orchestra.book.book import Book
from orchestra.book.ledger import open_or_close
from orchestra.book.messages import (
    CloseAccount,
    KeepThread,
    OpenAccount,
    ReadSpent,
    ReadThread,
    SettleCall,
    TakeThread,
)
from orchestra.book.shared import health
from orchestra.book.shared.member import LedgerMember
from orchestra.book.shared.words import GRACE_S, LEASE_S, Bundle
from orchestra.core.errors import (
    BookError,
    BookLocked,
    BookUnavailable,
    BudgetExceeded,
    DiskFull,
    ThreadTaken,
)
from tests.unit.book.ledger_house import House, begin


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "book.sqlite")


async def opened(member: LedgerMember, id: str) -> None:
    """Open an account, and wait until it is: by itself nobody does."""
    await member.send(OpenAccount(id))
    await member.send(ReadSpent(id))


def entries(path: Path) -> dict[str, tuple[str, int]]:
    """State and cost of each call in the file."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT uid, state, cost_micro FROM entries").fetchall()
    database.close()
    return {uid: (state, cost) for uid, state, cost in rows}


def still_open(path: Path) -> set[str]:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT id FROM accounts WHERE NOT closed").fetchall()
    database.close()
    return {row[0] for row in rows}


async def test_two_members_share_one_budget(house: House) -> None:
    one, other = house.member(), house.member()
    for member in (one, other):
        await member.send(OpenAccount("shop", cost_micro=15))
    await one.send(begin("a", "shop"))
    with pytest.raises(BudgetExceeded, match="Budget 'shop'"):
        await other.send(begin("b", "shop"))
    await one.send(SettleCall("a", 4, 2))
    await other.send(begin("b", "shop"))
    assert (await one.send(ReadSpent("shop"))).open_cost_micro == 10


async def test_what_is_wrong_with_an_account_is_told_to_the_first_call_in_it(
    house: House,
) -> None:
    member = house.member()
    await opened(member, "job")
    await member.send(OpenAccount("job", cost_micro=5))  # nobody waits for it
    with pytest.raises(BookError, match="was opened with other values"):
        await member.send(begin("a", cost_micro=-1))
    await member.send(OpenAccount("shop", cost_micro=15))
    with pytest.raises(BudgetExceeded):  # what is held is waited for
        await member.send(OpenAccount("held", parent="shop", cost_micro=50, hold=True))


async def test_a_close_that_comes_before_the_end_of_a_call_presumes_it(house: House) -> None:
    member = house.member()
    await opened(member, "job")
    await member.send(begin("a"))
    await member.send(CloseAccount("job"))
    path = house.server._path
    assert isinstance(path, Path)
    while still_open(path):  # the account is abandoned once it is known to be in use
        await asyncio.sleep(0.01)
    assert entries(path) == {"a": ("presumed", 10)}


@pytest.mark.parametrize("has_file", [True, False])
async def test_a_call_that_is_under_way_when_the_ledger_dies_is_settled_at_what_it_cost(
    tmp_path: Path, has_file: bool
) -> None:
    house = House(tmp_path / "book.sqlite" if has_file else None)
    member = house.member()
    await member.send(OpenAccount("shop", cost_micro=100))
    await member.send(OpenAccount("job", parent="shop", cost_micro=50, hold=True))
    await member.send(begin("a"))
    house.die()
    await member.trouble()  # its next beat
    await house.wait(GRACE_S)
    await member.send(begin("b"))
    await member.send(SettleCall("a", 3, 2))
    await member.send(SettleCall("b", 4, 2))
    await member.send(CloseAccount("job"))
    spent = await member.send(ReadSpent("shop"))
    assert (spent.cost_micro, spent.presumed_micro, spent.open_cost_micro) == (7, 0, 0)


async def test_what_nobody_says_to_be_alive_is_presumed_after_the_grace(house: House) -> None:
    alive, dead = house.member(), house.member()
    await alive.send(OpenAccount("job"))
    await alive.send(begin("a"))
    await dead.send(OpenAccount("lost"))
    await dead.send(begin("b", "lost", 30))
    house.die()
    await alive.trouble()
    await house.wait(GRACE_S - 1)
    assert (await alive.send(ReadSpent("lost"))).open_cost_micro == 30  # it may come yet
    await house.wait(1)
    await alive.send(SettleCall("a", 3, 2))
    path = house.server._path
    assert isinstance(path, Path)
    assert entries(path) == {"a": ("settled", 3), "b": ("presumed", 30)}
    assert still_open(path) == {"job"}


async def test_a_bundle_of_an_earlier_term_changes_nothing_before_its_member_has_joined(
    house: House,
) -> None:
    member = house.member()
    await member.send(OpenAccount("job"))
    old = Bundle(member._name, member._term, (OpenAccount("late"),))
    house.die()
    first = house.member()
    await first.send(OpenAccount("other"))
    told = await house.server.apply(old)
    assert told.stale and told.term != old.term and told.answers == ()
    with pytest.raises(BookError, match="No account 'late'"):
        await first.send(ReadSpent("late"))


async def test_a_thread_that_is_had_is_still_had_when_the_ledger_was_begun_anew(
    house: House,
) -> None:
    holder, other = house.member(), house.member()
    kept = KeepThread(
        "t", account="job", status="left", record="{}", about="{}", photos={}, by="me", held=True
    )
    await holder.send(kept)
    house.die()
    with pytest.raises(ThreadTaken):  # also before its holder has said so
        await other.send(TakeThread("t", 1, "you"))
    await holder.trouble()
    await house.wait(GRACE_S)
    with pytest.raises(ThreadTaken):
        await other.send(TakeThread("t", 1, "you"))
    house.die()
    await other.trouble()
    await house.wait(GRACE_S)  # and now its holder is dead
    found = await other.send(ReadThread("t"))
    assert found is not None and found.status == "left"


async def test_a_silent_member_is_dead_and_its_accounts_close(house: House) -> None:
    one, other = house.member(), house.member()
    for member in (one, other):
        await member.send(OpenAccount("tenant", cost_micro=100))
    await one.send(OpenAccount("job", parent="tenant", cost_micro=50, hold=True))
    await one.send(begin("a"))
    await house.wait(LEASE_S / 2)
    await other.trouble()
    await house.wait(LEASE_S / 2 + 1)
    spent = await other.send(ReadSpent("tenant"))
    assert (spent.cost_micro, spent.presumed_micro, spent.open_cost_micro) == (10, 10, 0)
    path = house.server._path
    assert isinstance(path, Path) and still_open(path) == {"tenant"}
    await one.send(SettleCall("a", 1, 1))  # it lives after all: what it says late changes nothing
    assert (await other.send(ReadSpent("tenant"))).cost_micro == 10


async def test_who_leaves_while_an_account_opens_leaves_none_open(
    house: House,
) -> None:
    member = house.member()
    await opened(member, "shop")
    held = OpenAccount("job", parent="shop", cost_micro=5, hold=True)
    opening = asyncio.create_task(open_or_close(member, held))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert (await member.send(ReadSpent("job"))).cost_micro == 0  # it was opened, and closed
    path = house.server._path
    assert isinstance(path, Path) and still_open(path) == {"shop"}


async def test_the_book_is_whole_and_anybodys_when_the_last_member_has_left(house: House) -> None:
    path = house.server._path
    assert isinstance(path, Path)
    member = house.member()
    await member.send(OpenAccount("job"))
    await member.send(begin("a"))
    with pytest.raises(BookLocked):
        Book.open(path)
    await member.leave()
    assert path.with_name("book.sqlite-wal").stat().st_size == 0
    await house.wait(LEASE_S)
    with Book.open(path) as book:
        assert book.spent("job").presumed_micro == 10
    again = house.member()
    assert (await again.send(ReadSpent("job"))).cost_micro == 10


async def refuses_to_begin(member: LedgerMember, kind: type[BookError]) -> str:
    """What the gate says, shut as it should be."""
    with pytest.raises(kind):
        await member.send(begin("new"))
    said = await member.trouble()
    assert said.startswith(f"{kind.__name__}: ") and "book.sqlite" in said
    return said


async def test_a_deleted_book_shuts_the_gate_until_it_is_put_back(
    house: House, tmp_path: Path
) -> None:
    path, aside = tmp_path / "book.sqlite", tmp_path / "aside.sqlite"
    member = house.member()
    await member.send(OpenAccount("job"))
    await member.send(begin("a"))
    await house.wait(1)
    assert await member.trouble() == ""
    path.rename(aside)
    await house.wait(1)
    assert "deleted" in await refuses_to_begin(member, BookUnavailable)
    await house.wait(1)
    assert not path.exists()  # no new one stands in its place
    await member.send(SettleCall("a", 3, 2))  # what is under way ends, and is booked later
    aside.rename(path)
    await house.wait(1)
    assert await member.trouble() == ""
    await member.send(begin("new"))
    assert entries(path)["a"] == ("settled", 3)
    assert entries(path)["new"] == ("dispatched", 0)


async def test_a_damaged_book_shuts_the_gate_until_a_copy_is_put_back(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copy = tmp_path / "book.sqlite", tmp_path / "copy.sqlite"
    member = house.member()
    await opened(member, "job")
    assert house.server._book is not None
    house.server._book.checkpoint()
    shutil.copy(path, copy)
    size = path.stat().st_size
    for wrong in (b"x" * size, b"", path.read_bytes()[: size // 2]):
        path.write_bytes(wrong)
        await house.wait(1)
        assert "damaged" in await refuses_to_begin(member, BookUnavailable)
        shutil.copy(copy, path)
        await house.wait(1)
        await house.wait(1)
        assert await member.trouble() == ""
    monkeypatch.setattr(health, "WHOLE_EVERY_S", 0.0)
    monkeypatch.setattr(health, "WHOLE_SHARE", 0)
    house.die()
    await member.trouble()
    inside = bytearray(path.read_bytes())
    inside[4096:] = b"\xff" * (size - 4096)  # its first page is as it was
    path.write_bytes(inside)
    await house.wait(1)
    assert "damaged" in await refuses_to_begin(member, BookUnavailable)


async def test_a_full_disk_and_a_file_that_cannot_be_written_shut_the_gate(
    house: House, tmp_path: Path
) -> None:
    member = house.member()
    await opened(member, "job")
    book = house.server._book
    assert book is not None
    pages = book._read("PRAGMA page_count")[0][0]
    book._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFull):
        for number in range(1000):
            await opened(member, f"job {number} {'x' * 500}")
    await house.wait(1)
    await refuses_to_begin(member, DiskFull)
    book._database.execute("PRAGMA max_page_count = 100000")
    await house.wait(1)
    assert await member.trouble() == ""
    await member.send(begin("new"))
    book._database.execute("PRAGMA query_only = 1")
    with pytest.raises(BookUnavailable):
        await member.send(begin("newer"))
    await refuses_to_begin(member, BookUnavailable)
    await house.wait(1)  # it was opened anew, as after a disk that was mounted again
    assert await member.trouble() == ""


async def test_a_book_that_another_program_has_is_told_and_opened_once_it_is_free(
    house: House, tmp_path: Path
) -> None:
    member = house.member()
    with Book.open(tmp_path / "book.sqlite"):
        with pytest.raises(BookLocked, match="being written"):
            await opened(member, "job")
        assert "being written" in await member.trouble()
    await member.send(OpenAccount("job"))
    assert await member.trouble() == ""


async def test_an_ending_is_kept_while_the_ledger_does_not_answer(house: House) -> None:
    member = house.member()
    await member.send(OpenAccount("job"))
    await member.send(begin("a"))
    house.is_away = True
    await member.send(SettleCall("a", 3, 2))
    await member.send(CloseAccount("job"))
    with pytest.raises(BookUnavailable):
        await opened(member, "other")
    house.is_away = False
    assert await member.trouble() == ""
    path: Any = house.server._path
    assert entries(path) == {"a": ("settled", 3)} and still_open(path) == set()


async def test_totals_are_those_of_all_members_and_outlive_them(house: House) -> None:
    one, other = house.member(), house.member()
    for number, member in enumerate((one, other)):
        await member.send(OpenAccount(f"job {number}"))
        await member.send(begin(f"c{number}", f"job {number}"))
        await member.send(SettleCall(f"c{number}", 4, 2))
    await one.leave()
    house.die()
    told = await other.collect()
    assert [(t.model, t.state, t.calls, t.cost_micro, t.tokens) for t in told.totals] == [
        ("r1", "settled", 2, 8, 4)
    ]
