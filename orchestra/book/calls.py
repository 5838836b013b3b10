"""Calls reserved against accounts: reserved -> dispatched -> settled, released or presumed.

It knows no model and no price: worst case and actual cost are given. A call is paid for from
the moment of `dispatch`, so only a dispatched entry settles, and one that a crash leaves
dispatched is presumed to have cost its worst case.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from orchestra.book.accounts import Accounts
from orchestra.book.amounts import NOTHING, Amount, check_amount
from orchestra.core.errors import BookError

PAGE_ROWS = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One call in the ledger. `overrun_*` is what it took beyond what was reserved for it.

    `cached` is 1 for a call that a shared cache answered, with what that saved (`saved_*`).
    `measured` is what the caller recorded at settlement: for example tokens in and out.
    """

    number: int
    account: str
    state: str
    node: str
    model: str
    key: str | None
    uid: str | None
    reserved_micro: int
    reserved_tokens: int
    cost_micro: int
    tokens: int
    overrun_micro: int
    overrun_tokens: int
    cpu_s: float
    measured: Mapping[str, Any]
    cached: int = 0
    saved_micro: int = 0
    saved_tokens: int = 0


_COLUMNS = tuple(field.name for field in fields(Entry) if field.name != "account")


@dataclass(frozen=True, slots=True)
class Settlement:
    """The arguments of one `settle`, for `finish_row`."""

    entry: int
    cost_micro: int
    tokens: int
    cpu_s: float = 0.0
    measured: Mapping[str, Any] | None = None
    reply: str | None = None


class Entries(Accounts):
    """The calls of a book and the replies they were paid for."""

    def reserve(
        self,
        account: str,
        *,
        cost_micro: int,
        tokens: int,
        node: str,
        model: str,
        key: str | None = None,
    ) -> int:
        """Reserve a call's worst case and return its entry; `key` names its reply.

        Raises `BudgetExceeded` naming the account that is tight, and `BookError` for an unknown
        or closed account or a negative amount.
        """
        with self.transaction():
            return self._reserve(
                account,
                Amount(cost_micro, tokens),
                node=node,
                model=model,
                key=key,
                uid=None,
                state="reserved",
            )

    def _reserve(
        self,
        account: str,
        worst: Amount,
        *,
        node: str,
        model: str,
        key: str | None,
        uid: str | None,
        state: str,
    ) -> int:
        """`reserve` within a transaction; `uid` is a name that the call's client made."""
        who = f"the call of node {node!r} on model {model!r}"
        check_amount("cost_micro", worst.micro, about=who)
        check_amount("tokens", worst.tokens, about=who)
        chain = self._chain(account)
        self._change(chain, worst, pending=1, who=who)
        number = self._write(
            "INSERT INTO entries (account, epoch, state, node, model, key, uid,"
            " reserved_micro, reserved_tokens, day)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, date('now'))",
            (
                chain[0].number,
                self._epoch,
                state,
                node,
                model,
                key,
                uid,
                worst.micro,
                worst.tokens,
            ),
        ).lastrowid
        if number is None:  # sqlite gives every inserted row a number
            raise BookError(f"The entry of {who} got no number. Open the book again.")
        return number

    def dispatch(self, entry: int) -> None:
        """Record, before the call is sent, that it may be paid for from now on.

        Raises `BookError` unless the entry is reserved.
        """
        with self.transaction():
            changed = self._write(
                "UPDATE entries SET state = 'dispatched' WHERE number = ? AND state = 'reserved'",
                (entry,),
            ).rowcount
            if not changed:
                raise self._wrong_state(entry, "dispatched")

    def settle(
        self,
        entry: int,
        *,
        cost_micro: int,
        tokens: int,
        cpu_s: float = 0.0,
        measured: Mapping[str, Any] | None = None,
        reply: str | None = None,
    ) -> None:
        """Book what a dispatched call cost and refund the rest of its reservation.

        No more than the reservation is taken; an excess is kept as the entry's overrun. `reply`
        is stored under the entry's key in the same transaction; the first reply of a key stays.

        Raises `BookError` unless the entry is dispatched, for a negative amount, or for a reply
        without a key.
        """
        with self.transaction():
            self._settle(
                Settlement(entry, cost_micro, tokens, cpu_s, measured=measured, reply=reply)
            )

    def _settle(self, paid: Settlement) -> None:
        """`settle` within a transaction."""
        entry, cpu_s, measured = paid.entry, paid.cpu_s, paid.measured
        check_amount("cost_micro", paid.cost_micro, about=f"entry {entry}")
        check_amount("tokens", paid.tokens, about=f"entry {entry}")
        if not math.isfinite(cpu_s) or cpu_s < 0:
            raise BookError(f"cpu_s={cpu_s!r} of entry {entry} must be 0 or more seconds.")
        reserved, key = self._close_entry(entry, "settled", Amount(paid.cost_micro, paid.tokens))
        self._write(
            "UPDATE entries SET overrun_micro = ?, overrun_tokens = ?, cpu_s = ?, measured = ?"
            " WHERE number = ?",
            (
                max(0, paid.cost_micro - reserved.micro),
                max(0, paid.tokens - reserved.tokens),
                cpu_s,
                None if measured is None else json.dumps(measured, sort_keys=True),
                entry,
            ),
        )
        if paid.reply is not None:
            self._keep_reply(entry, key, paid.reply)

    def release(self, entry: int) -> None:
        """Give back the reservation of a call that was not made, or is known to cost nothing.

        Raises `BookError` unless the entry is reserved or dispatched.
        """
        with self.transaction():
            self._close_entry(entry, "released", NOTHING)

    def reply(self, key: str) -> str | None:
        """The reply already paid for under `key`, if there is one."""
        row = self._read_one("SELECT reply FROM replies WHERE key = ?", (key,))
        return None if row is None else row[0]

    def entries(self, account: str) -> Iterator[Entry]:
        """The calls made directly in `account`, in the order reserved, read page by page.

        Raises `BookError` when the account is unknown.
        """
        number, last = self._chain(account)[0].number, 0
        while page := self._read(
            f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE account = ? AND number > ?"
            f" ORDER BY number LIMIT {PAGE_ROWS}",
            (number, last),
        ):
            last = page[-1][0]
            for row in page:
                named = dict(zip(_COLUMNS, row, strict=True))
                measured = json.loads(named.pop("measured") or "{}")
                yield Entry(account=account, measured=measured, **named)

    def _close_entry(self, entry: int, state: str, cost: Amount) -> tuple[Amount, str | None]:
        """Move an open entry to a final state at `cost`, capped; its reservation and key."""
        row = self._read_one(
            "SELECT account, state, reserved_micro, reserved_tokens, key FROM entries"
            " WHERE number = ?",
            (entry,),
        )
        open_states = ("reserved", "dispatched") if state == "released" else ("dispatched",)
        if row is None or row[1] not in open_states:
            raise self._wrong_state(entry, state)
        reserved = Amount(row[2], row[3])
        taken = Amount(min(cost.micro, reserved.micro), min(cost.tokens, reserved.tokens))
        self._write(
            "UPDATE entries SET state = ?, cost_micro = ?, tokens = ? WHERE number = ?",
            (state, taken.micro, taken.tokens, entry),
        )
        self._change(
            self._chain(row[0]),
            -reserved,
            beyond=-taken,
            spent=taken,
            pending=-1,
            who=f"entry {entry}",
        )
        return reserved, row[4]

    def _keep_reply(self, entry: int, key: str | None, reply: str) -> None:
        if key is None:
            raise BookError(
                f"Entry {entry} was reserved without a key, so its reply cannot be found again. "
                f"Give reserve() a key."
            )
        self._write(
            "INSERT INTO replies (key, entry, reply) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (key, entry, reply),
        )

    def _wrong_state(self, entry: int, wanted: str) -> BookError:
        row = self._read_one("SELECT state FROM entries WHERE number = ?", (entry,))
        if row is None:
            return BookError(f"No entry {entry!r} in this book. Use what reserve() returned.")
        cure = "Dispatch it before settling." if row[0] == "reserved" else "Settle a call once."
        return BookError(f"Entry {entry} is {row[0]!r} and cannot become {wanted!r}. {cure}")
