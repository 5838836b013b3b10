"""What the book holds of a call whose client fails in a way that nobody foresaw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphs.answer import build
from orchestra import Fleet, Job
from orchestra.book.book import Book
from orchestra.core.call import Call, Reply
from orchestra.fleet.source import load_fleet


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
        assert states == [("settled",)]
        assert book._read("SELECT closed FROM accounts") == [(1,)]
