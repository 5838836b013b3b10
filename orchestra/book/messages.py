"""What is said to a ledger of calls and rows: picklable values; it knows no book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Start:
    """A call about to be made: its worst case in micro-dollars and tokens, held in `account`.

    `key` names its reply: two calls with one key have the same answer.
    """

    uid: str
    account: str
    key: str
    node: str
    model: str
    cost_micro: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A call that a shared cache answered with `reply`; `saved_*` is what it would have cost."""

    uid: str
    account: str
    key: str
    node: str
    model: str
    saved_micro: int
    saved_tokens: int
    reply: str


@dataclass(frozen=True, slots=True)
class Payment:
    """What a call that began as `uid` came to; `reply` is stored under the call's key.

    `measured` is how long it took and beside what, as JSON values; the book only keeps it.
    """

    uid: str
    cost_micro: int
    tokens: int
    cpu_s: float = 0.0
    reply: str | None = None
    measured: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may be run: its journal key, its place, and the id it names for itself."""

    key: str
    ordinal: int
    row_id: str | None = None


@dataclass(frozen=True, slots=True)
class RowEnd:
    """A row that is over: its record, the account to close, and the names of its fields."""

    key: str
    ordinal: int
    row_id: str
    status: str
    record_json: str
    account: str | None = None
    names: tuple[str, ...] = ()
