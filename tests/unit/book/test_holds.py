"""A thread is had by one at a time, in either ledger, until it is left or its holder is dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import (
    AbandonAccount,
    EndThread,
    KeepThread,
    LeaveThread,
    ListThreads,
    OpenAccount,
    ReadThread,
    TakeThread,
)
from orchestra.core.errors import ThreadTaken

Ledger = LocalLedger | MemoryLedger


def keep(
    id: str = "t", by: str = "a", *, held: bool = False, status: str = "waiting"
) -> KeepThread:
    return KeepThread(
        id, account="job:1", status=status, record="{}", about="{}", photos={}, by=by, held=held
    )


@pytest.fixture(params=["memory", "book"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return MemoryLedger() if request.param == "memory" else LocalLedger(Book.open(None))


async def test_one_of_two_who_read_the_same_thread_has_it(ledger: Ledger) -> None:
    await ledger.send(keep())
    read = await ledger.send(ReadThread("t"))
    assert read is not None and read.status == "waiting"
    await ledger.send(TakeThread("t", read.version, "one"))
    await ledger.send(TakeThread("t", read.version, "one"))  # the message comes twice
    with pytest.raises(ThreadTaken, match="Somebody else goes on"):
        await ledger.send(TakeThread("t", read.version, "two"))
    with pytest.raises(ThreadTaken, match="thread_id of its own"):
        await ledger.send(keep(by="two", held=True))
    (entry,) = await ledger.send(ListThreads("t"))
    assert entry.status == "running"


async def test_who_read_a_thread_before_it_went_on_comes_late(ledger: Ledger) -> None:
    await ledger.send(keep())
    read = await ledger.send(ReadThread("t"))
    assert read is not None
    await ledger.send(TakeThread("t", read.version, "one"))
    await ledger.send(keep(by="one"))  # it waits for another answer
    with pytest.raises(ThreadTaken, match="has gone on"):
        await ledger.send(TakeThread("t", read.version, "two"))
    again = await ledger.send(ReadThread("t"))
    assert again is not None
    await ledger.send(TakeThread("t", again.version, "two"))
    await ledger.send(EndThread("t", "one"))  # has it no longer
    assert await ledger.send(ListThreads()) != []
    await ledger.send(EndThread("t", "two"))
    with pytest.raises(ThreadTaken, match="came to its end"):
        await ledger.send(TakeThread("t", again.version, "three"))


async def test_what_its_holder_leaves_or_dies_with_can_be_taken_again(ledger: Ledger) -> None:
    await ledger.send(OpenAccount("job:1"))
    await ledger.send(keep(held=True, status="left"))
    await ledger.send(LeaveThread("t", "another"))
    assert (await ledger.send(ListThreads()))[0].status == "running"
    await ledger.send(LeaveThread("t", "a"))
    assert (await ledger.send(ListThreads()))[0].status == "left"
    await ledger.send(keep(held=True, status="left"))
    await ledger.send(AbandonAccount("job:1"))
    assert (await ledger.send(ListThreads()))[0].status == "left"


def test_a_thread_that_a_dead_process_had_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.do(keep(held=True, status="left"))
        assert book.do(ListThreads())[0].status == "running"
    with Book.open(path) as book:
        assert book.do(ListThreads())[0].status == "left"


async def test_a_ledger_in_memory_forgets_the_oldest_that_nobody_has() -> None:
    ledger = MemoryLedger(threads_kept=2)
    await ledger.send(keep("a", held=True))
    for name in "bcd":
        await ledger.send(keep(name))
    assert [entry.id for entry in await ledger.send(ListThreads())] == ["a", "d"]
