"""Budgets as accounts in a tree, with limits, holds and counters; it knows no row.

What an account has left is its limit less what is spent less what is open; how an amount goes up
the tree is `reservation`'s.
"""

from __future__ import annotations

from typing import Any

from orchestra.book.amounts import (
    NOTHING,
    Amount,
    Unit,
    bounds_of,
    busy_account,
    checked_limits,
    closed_account,
    other_values,
    too_low,
    unknown_account,
)
from orchestra.book.database import Database
from orchestra.book.messages import OpenAccount, Overrun, Spent
from orchestra.book.reservation import Above, Standing, count, is_same
from orchestra.core.errors import BookError

REMEMBERED_CHAINS = 4096
BOUNDS = "limit_micro, limit_tokens, ceiling_micro, ceiling_tokens"

_CHANGE = """UPDATE accounts SET
    open_micro = open_micro + ?, open_tokens = open_tokens + ?,
    spent_micro = spent_micro + ?, spent_tokens = spent_tokens + ?,
    overrun_micro = overrun_micro + ?, overrun_tokens = overrun_tokens + ?, pending = pending + ?
    WHERE number = ?"""
_STANDING = f"""id, hold, closed, {BOUNDS}, spent_micro, spent_tokens,
    open_micro, open_tokens, overrun_micro, overrun_tokens"""


Chain = tuple[int, ...]  # an account's number, then its ancestors' up to the root


class Accounts(Database):
    """The tree of accounts of a book."""

    _chains: dict[str | int, Chain]
    _known: dict[int, Standing]  # as of the transaction that goes on

    def _open_account(self, opened: OpenAccount) -> None:
        id, (limits, ceilings) = opened.id, bounds_of(opened)
        above = self._chain(opened.parent) if opened.parent is not None else ()
        number = above[0] if above else None
        bounds = (limits.micro, limits.tokens, ceilings.micro, ceilings.tokens)
        values = (number, int(opened.hold), *bounds)
        known = self._read_one(f"SELECT parent, hold, {BOUNDS} FROM accounts WHERE id = ?", (id,))
        if known is None:
            self._write(
                f"INSERT INTO accounts (id, label, closed, epoch, parent, hold, {BOUNDS})"
                " VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
                (id, opened.label, self._epoch, *values),
            )
        elif not is_same(known, values):
            raise other_values(id, known, values)
        self._reopen(id)

    def _reopen(self, id: str) -> None:
        chain = self._chain(id)
        own, *above = self._standings(chain)
        self._write(
            "UPDATE accounts SET closed = 0, epoch = ? WHERE number = ?",
            (self._epoch, chain[0]),
        )
        was_closed, own.closed = own.closed, False
        if was_closed and above:
            if above[0].closed:
                raise closed_account(above[0].id, f"account {id!r}")
            if own.hold:
                self._change(chain[1:], own.taken, pending=1, who=f"account {id!r}")

    def _excuse(self, number: int, presumed: Amount) -> None:
        """Let a call whose end nobody told be made again: its cost takes nothing of the ceiling."""
        own = self._standings((number,))[0]
        own.excuse(presumed)
        self._write(
            "UPDATE accounts SET ceiling_micro = ?, ceiling_tokens = ? WHERE number = ?",
            (own.ceiling_micro, own.ceiling_tokens, number),
        )

    def _close_account(self, id: str) -> None:
        chain = self._chain(id)
        own = self._standings(chain[:1])[0]
        if own.closed:
            return
        (pending,) = self._fields(chain[0], "pending")
        if pending:
            raise busy_account(id, pending)
        self._write("UPDATE accounts SET closed = 1 WHERE number = ?", (chain[0],))
        own.closed = True
        if own.hold:
            self._change(chain[1:], -own.taken, pending=-1, who=f"closing {id!r}")
        self._chains.pop(id, None)
        self._chains.pop(chain[0], None)

    def set_limits(self, id: str, *, cost_micro: int | None, tokens: int | None) -> None:
        """Replace the limits of `id`, as when a user raises the budget of a stopped batch.

        Raises `BudgetExceeded` when more is spent or open than a new limit, and `BookError` for
        an account that holds its limits from its parent. A limit may stay that was passed, because
        calls were charged beyond their bounds.
        """
        new = checked_limits(id, cost_micro, tokens)
        with self.transaction():
            number = self._chain(id)[0]
            own = self._standings((number,))[0]
            if own.hold:
                raise BookError(
                    f"Account {id!r} holds its limits from its parent, so they stay. Close it and "
                    "open another id."
                )
            units: tuple[tuple[Unit, int | None, int | None, int], ...] = (
                ("micro", new.micro, own.limit_micro, own.used_micro),
                ("tokens", new.tokens, own.limit_tokens, own.used_tokens),
            )
            for unit, limit, before, used in units:
                if limit is not None and limit < used and limit != before:
                    found = self._overruns(number)
                    raise too_low(id, unit, limit=limit, used=used, overruns=found)
            self._write(
                "UPDATE accounts SET limit_micro = ?, limit_tokens = ? WHERE number = ?",
                (cost_micro, tokens, number),
            )
            own.limit_micro, own.limit_tokens = cost_micro, tokens

    def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved. Raises `BookError` when it is unknown."""
        number = self._chain(account)[0]
        own = Standing(*self._fields(number, _STANDING))
        presumed = self._fields(number, "presumed_micro, presumed_calls")
        return Spent(
            own.spent_micro,
            own.spent_tokens,
            own.open_micro,
            own.open_tokens,
            *presumed,
            overruns=self._overruns(number) if own.overrun_micro or own.overrun_tokens else (),
            is_over=own.is_over,
        )

    def _forget(self) -> None:
        self._chains = {}
        self._known = {}

    def _chain(self, key: str | int) -> Chain:
        """The account with this id or number and its ancestors; parents never change."""
        chain = self._chains.get(key)
        if chain is not None:
            return chain
        column = "id" if isinstance(key, str) else "number"
        row = self._read_one(f"SELECT id, number, parent FROM accounts WHERE {column} = ?", (key,))
        if row is None:
            raise unknown_account(key)
        id, number, parent = row
        chain = (number, *(() if parent is None else self._chain(parent)))
        if len(self._chains) >= REMEMBERED_CHAINS:
            self._chains.clear()
        self._chains[id] = self._chains[number] = chain
        return chain

    def _change(
        self,
        chain: Chain,
        reserved: Amount,
        *,
        who: str,
        spent: Amount = NOTHING,
        overrun: Amount = NOTHING,
        pending: int = 0,
    ) -> None:
        """Add to a chain's counters what `reservation.count` says. Raises what that raises."""
        above = Above(
            lambda place: self._overruns(chain[place]),
            lambda place: self._on_its_way(chain[place]),
        )
        standings = self._standings(chain)
        found = count(
            standings,
            reserved,
            above,
            who=who,
            spent=spent,
            overrun=overrun,
            pending=bool(pending),
        )
        rest = (spent.micro, spent.tokens, overrun.micro, overrun.tokens)
        for place, opened in enumerate(found):
            number = chain[place]
            self._write(_CHANGE, (opened.micro, opened.tokens, *rest, pending, number))
            if standings[place].hold:
                pending = 0

    def _standings(self, chain: Chain) -> list[Standing]:
        """The accounts of a chain; only inside `transaction()`, which keeps them true."""
        return [self._known.get(number) or self._standing(number) for number in chain]

    def _standing(self, number: int) -> Standing:
        standing = Standing(*self._fields(number, _STANDING))
        if len(self._known) >= REMEMBERED_CHAINS:
            self._known.clear()
        self._known[number] = standing
        return standing

    def _on_its_way(self, number: int) -> Amount:
        """What the calls under account `number` reserve that are on their way."""
        total = NOTHING
        for account, micro, tokens in self._read(
            "SELECT account, reserved_micro, reserved_tokens FROM entries"
            " WHERE state = 'dispatched'"
        ):
            if number in self._chain(account):
                total += Amount(micro, tokens)
        return total

    def _overruns(self, number: int) -> tuple[Overrun, ...]:
        """What calls under account `number` cost beyond their worst case, by model."""
        return tuple(
            Overrun(*row)
            for row in self._read(
                "SELECT model, calls, micro, tokens FROM overruns WHERE account = ? ORDER BY model",
                (number,),
            )
        )

    def _fields(self, number: int, columns: str) -> tuple[Any, ...]:
        row = self._read_one(f"SELECT {columns} FROM accounts WHERE number = ?", (number,))
        if row is None:
            raise unknown_account(number)
        return row
