"""Old calls of a book folded into sums by day, a part at a time; it knows no price.

A fold belongs to no epoch, so it may be done beside the process that has the book: calls go on
between its parts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orchestra.book.database import Database, translated

PART = 2000  # entries or accounts of one transaction
ROW_ACCOUNT = "row:"

_OLD = """SELECT number, account, day, model, node, key, state, cost_micro, overrun_micro, tokens,
    cached, saved_micro,
    (SELECT coalesce(sum(more_micro), 0) FROM corrected WHERE entry = entries.number)
    FROM entries WHERE number > ? AND day < ? AND state <> 'dispatched' ORDER BY number LIMIT ?"""
_ADD = """INSERT INTO sums VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (day, model, node, label, account) DO UPDATE SET
    calls = calls + excluded.calls, hits = hits + excluded.hits, tokens = tokens + excluded.tokens,
    micro = micro + excluded.micro, more_micro = more_micro + excluded.more_micro,
    overrun_micro = overrun_micro + excluded.overrun_micro,
    presumed_micro = presumed_micro + excluded.presumed_micro,
    saved_micro = saved_micro + excluded.saved_micro"""
_FOLD_CORRECTIONS = """UPDATE corrections SET
    folded_calls = folded_calls + (SELECT count(*) FROM corrected
        WHERE correction = number AND entry IN (SELECT value FROM json_each(?1))),
    folded_micro = folded_micro + (SELECT coalesce(sum(more_micro), 0) FROM corrected
        WHERE correction = number AND entry IN (SELECT value FROM json_each(?1)))"""


class Folds(Database):
    """The fold of a book."""

    def fold(self, day: str) -> tuple[int, int]:
        """Fold the calls before `day` (UTC) of closed accounts; how many calls, and accounts.

        Their replies go as well, and accounts that nothing is left of. The rows of a batch, runs
        that wait, open accounts and what is under them stay as they are.
        """
        # Whatever refers to an entry or account is looked for here, of many at once.
        self._database.execute("PRAGMA foreign_keys = OFF")
        try:
            shared = partial(self.transaction, is_shared=True)
            fold = _Fold(day, self._read, self._write_many, shared)
            return fold.calls(), fold.accounts()
        finally:
            self._database.execute("PRAGMA foreign_keys = ON")

    def vacuum(self) -> None:
        """Make the file as small as what is in it. Nobody else may use it meanwhile."""
        with self._mutex:
            try:
                self._database.execute("VACUUM")
            except sqlite3.Error as error:
                raise translated(error, self._name) from error
            self.checkpoint()


@dataclass(frozen=True, slots=True)
class _Account:
    id: str
    parent: int | None
    label: str
    closed: int


@dataclass(eq=False, slots=True)
class _Fold:
    """One fold of entries before `day`; `transaction` groups what `read` and `write` do."""

    day: str
    read: Callable[..., list[tuple[Any, ...]]]
    write: Callable[[str, Iterable[Any]], None]
    transaction: Callable[[], AbstractContextManager[None]]
    last: int = 0  # the account of the highest number that had such an entry
    known: dict[int, _Account] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._read_accounts()

    def calls(self) -> int:
        """Fold the calls; how many."""
        number = folded = 0
        while True:
            with self.transaction():
                page = self.read(_OLD, (number, self.day, PART))
                if not page:
                    return folded
                number = page[-1][0]
                if any(row[1] not in self.known for row in page):
                    self._read_accounts()
                chosen = [row for row in page if self._is_old(row[1])]
                self._take(chosen)
                folded += len(chosen)

    def accounts(self) -> int:
        """Drop the accounts that are left without a call or a child; how many."""
        gone = 0
        while True:
            with self.transaction():
                self._read_accounts()
                parents = {account.parent for account in self.known.values()}
                used = {row[0] for row in self.read("SELECT account FROM sums")}
                used |= {row[0] for row in self.read("SELECT DISTINCT account FROM entries")}
                empty = [
                    number
                    for number in self.known
                    if number <= self.last
                    and number not in parents
                    and number not in used
                    and self._is_old(number)
                ]
                for statement in (
                    "DELETE FROM overruns WHERE account = ?",
                    "DELETE FROM accounts WHERE number = ?",
                ):
                    self.write(statement, [(number,) for number in empty])
            if not empty:  # those above them may be empty now
                return gone
            gone += len(empty)

    def _read_accounts(self) -> None:
        """All accounts, and those that stay with all that is under them."""
        rows = self.read("SELECT number, id, parent, label, closed FROM accounts")
        self.known = {number: _Account(*rest) for number, *rest in rows}
        kept = {row[0] for row in self.read("SELECT account FROM records")}
        threads = {row[0] for row in self.read("SELECT account FROM threads")}
        for number in sorted(self.known):  # parents come first
            account = self.known[number]
            is_kept = account.id.startswith(ROW_ACCOUNT) or account.parent in kept
            if is_kept or any(_is_of(account.id, thread) for thread in threads):
                kept.add(number)
        self.kept = kept

    def _is_old(self, number: int) -> bool:
        account = self.known.get(number)
        return account is not None and bool(account.closed) and number not in self.kept

    def _take(self, rows: Iterable[Any]) -> None:
        """Add entries to the sums, and drop them with their replies and corrections."""
        numbers, replies, added = [], [], []
        for row in rows:
            number, account, day, model, node, key, state, *amounts = row
            micro, over, tokens, hit, saved, more = amounts
            numbers.append(number)
            replies.append((key, number))
            self.last = max(self.last, account)
            if state == "released":
                continue
            owner, label = self._owner(account), self._label(account)
            presumed = micro + more if state == "presumed" else 0
            place = (day, model, node, label, owner)
            added.append((*place, 1, hit, tokens, micro, more, over, presumed, saved))
        self.write(_ADD, added)
        self.write(_FOLD_CORRECTIONS, [(f"[{','.join(map(str, numbers))}]",)])
        self.write("DELETE FROM corrected WHERE entry = ?", [(one,) for one in numbers])
        self.write("DELETE FROM replies WHERE key = ? AND entry = ?", replies)
        self.write("DELETE FROM entries WHERE number = ?", [(one,) for one in numbers])

    def _owner(self, number: int) -> int:
        """Who paid for the job of an account: the first above it that is no part of the job."""
        own = self.known[number]
        while own.parent is not None:
            above = self.known[own.parent]
            if not _is_of(own.id, above.id):
                return own.parent
            own = above
        return 0

    def _label(self, number: int) -> str:
        """The nearest label of tags."""
        return next((place.label for place in self._chain(number) if place.label), "")

    def _chain(self, number: int) -> Iterator[_Account]:
        place: _Account | None = self.known[number]
        while place is not None:
            yield place
            place = None if place.parent is None else self.known[place.parent]


def _is_of(id: str, account: str) -> bool:
    return id == account or id.startswith(f"{account}:")
