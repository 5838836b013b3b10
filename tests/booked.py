"""Calls begun in a book, and the calls of an account as they stand in its file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from orchestra.book.book import Book
from orchestra.book.messages import BeginCall

_NUMBERS: Iterator[int] = itertools.count()


def begun(
    book: Book, account: str, cost_micro: int = 10, tokens: int = 0, *, key: str | None = None
) -> str:
    """The uid of a call that is on its way in `account`; its key is its own without a `key`."""
    uid = f"call:{next(_NUMBERS)}"
    book.do(BeginCall(uid, account, key or uid, "look", "vl", cost_micro, tokens))
    return uid


@dataclass(frozen=True)
class BookedCall:
    number: int
    uid: str
    state: str
    node: str
    model: str
    key: str
    reserved_micro: int
    reserved_tokens: int
    cost_micro: int
    tokens: int
    overrun_micro: int
    overrun_tokens: int
    cpu_s: float
    cached: int
    saved_micro: int
    saved_tokens: int
    measured: Mapping[str, Any] | None


COLUMNS = [field.name for field in fields(BookedCall)]


def booked(book: Book, account: str) -> list[BookedCall]:
    """The calls made directly in `account`, in the order begun."""
    rows = book._read(
        f"SELECT {', '.join(f'entries.{name}' for name in COLUMNS)} FROM entries JOIN accounts"
        " ON accounts.number = account WHERE accounts.id = ? ORDER BY entries.number",
        (account,),
    )
    return [BookedCall(*row[:-1], measured=json.loads(row[-1] or "null")) for row in rows]
