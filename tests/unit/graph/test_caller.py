"""What the book holds of a call whose client fails in a way that nobody foresaw."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from graphs.answer import build
from orchestra import Fleet, Job
from orchestra.book.book import Book
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import OpenAccount
from orchestra.core.call import Call, Reply
from orchestra.core.pricing import Work
from orchestra.fleet.source import load_fleet
from orchestra.graph.caller import Caller, Ticket


class BrokenClient:
    """A client with a bug: it raises what is no error of ours."""

    async def prepare(self) -> None:
        """Nothing to load."""

    async def complete(self, call: Call, **options: Any) -> Reply:
        """Fail as code does that nobody foresaw to fail."""
        raise ZeroDivisionError

    async def count_tokens(self, call: Call) -> int:
        """Few."""
        return 8


async def test_a_call_that_fails_unforeseen_is_settled_and_holds_nothing(tmp_path: Path) -> None:
    file, _ = load_fleet("mini")
    clients: dict[str, Any] = {card.name: BrokenClient() for card in file.models}
    async with Fleet.open("mini", book=tmp_path / "book.sqlite", clients=clients) as fleet:
        with pytest.raises(ZeroDivisionError):
            await fleet.run(build, Job(text="What is this?"))
    with Book.open(tmp_path / "book.sqlite", exclusive=False) as book:
        states = book._read("SELECT state FROM entries")
        assert states == [("presumed",)]
        assert book._read("SELECT closed FROM accounts") == [(1,)]


class WaitingClient(BrokenClient):
    """Answers its first call once the test says so, and the others at once."""

    def __init__(self) -> None:
        self.calls = 0
        self.go_on = asyncio.Event()

    async def complete(self, call: Call, **options: Any) -> Reply:
        """The number of the call."""
        self.calls += 1
        number = self.calls
        if number == 1:
            await self.go_on.wait()
        return Reply(str(number), str(number))


def test_a_call_of_another_event_loop_is_not_joined() -> None:
    ledger, client = MemoryLedger(), WaitingClient()
    file, folder = load_fleet("mini")
    caller, card = Caller(ledger, folder), file.card("r1")
    ticket = Ticket("answer", card, "job", Work(8, 8, 0), (), "hash", None)

    async def ask() -> str:
        reply, _ = await caller.call(client, Call("What?"), ticket)
        assert isinstance(reply, Reply)
        return reply.text

    async def begin() -> asyncio.Task[str]:
        await ledger.send(OpenAccount("job"))
        task = asyncio.create_task(ask())
        while not client.calls:
            await asyncio.sleep(0)
        return task

    async def end(task: asyncio.Task[str]) -> str:
        client.go_on.set()
        return await task

    with asyncio.Runner() as one, asyncio.Runner() as other:
        first = one.run(begin())
        assert other.run(ask()) == "2"
        assert one.run(end(first)) == "1"
