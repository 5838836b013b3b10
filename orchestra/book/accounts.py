"""Budgets as accounts in a tree, with limits, holds and counters; it knows no call or row.

What an account has left is its limit less what is spent less what is open. A reservation counts
in the account and its ancestors up to the first that *holds* (has reserved its limit from its
parent already). A settlement counts as spent in every ancestor: above a hold it turns a part of
the held amount into spent, which needs no room. Costs and tokens are held separately: an account
that holds only a cost limit lets tokens count further up.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from orchestra.book.amounts import (
    NOTHING,
    AccountLimits,
    Amount,
    busy_account,
    checked_limits,
    closed_account,
    exceeded,
    other_values,
    unknown_account,
)
from orchestra.book.database import Database
from orchestra.book.messages import OpenAccount, Spent
from orchestra.core.errors import BookError, BudgetExceeded

REMEMBERED_CHAINS = 4096

_CHANGE = """UPDATE accounts SET
    open_micro = open_micro + ?, open_tokens = open_tokens + ?,
    spent_micro = spent_micro + ?, spent_tokens = spent_tokens + ?, pending = pending + ?
    WHERE number = ? AND NOT closed"""


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One account of a chain to the root, with what of it is held."""

    number: int
    hold: bool
    holds_micro: bool
    holds_tokens: bool


Chain = tuple[ChainLink, ...]


class Accounts(Database):
    """The tree of accounts of a book."""

    _chains: dict[str | int, Chain]

    def _open_account(self, opened: OpenAccount) -> None:
        id, hold = opened.id, opened.hold
        limits = checked_limits(id, opened.cost_micro, opened.tokens, hold=hold)
        above = self._chain(opened.parent) if opened.parent is not None else ()
        number = above[0].number if above else None
        values = (number, int(hold), limits.micro, limits.tokens)
        known = self._read_one(
            "SELECT parent, hold, limit_micro, limit_tokens FROM accounts WHERE id = ?", (id,)
        )
        if known is None:
            self._write(
                "INSERT INTO accounts"
                " (id, label, closed, epoch, parent, hold, limit_micro, limit_tokens)"
                " VALUES (?, ?, 1, ?, ?, ?, ?, ?)",
                (id, opened.label, self._epoch, *values),
            )
        elif known != values:
            raise other_values(id, known, values)
        self._reopen(id, hold, limits)

    def _reopen(self, id: str, hold: bool, limits: AccountLimits) -> None:
        chain = self._chain(id)
        closed, micro, tokens = self._fields(chain[0], "closed, spent_micro, spent_tokens")
        self._write(
            "UPDATE accounts SET closed = 0, epoch = ? WHERE number = ?",
            (self._epoch, chain[0].number),
        )
        if closed and chain[1:]:
            if self._fields(chain[1], "closed")[0]:
                raise closed_account(self._fields(chain[1], "id")[0], f"account {id!r}")
            if hold:
                rest = limits.less(Amount(micro, tokens))
                self._change(chain[1:], rest, pending=1, who=f"account {id!r}")

    def _close_account(self, id: str) -> None:
        chain = self._chain(id)
        closed, pending = self._fields(chain[0], "closed, pending")
        if closed:
            return
        if pending:
            raise busy_account(id, pending)
        self._write("UPDATE accounts SET closed = 1 WHERE number = ?", (chain[0].number,))
        if chain[0].hold:
            limits, spent, _ = self._counters(chain[0])
            self._change(chain[1:], -limits.less(spent), pending=-1, who=f"closing {id!r}")
        self._chains.pop(id, None)
        self._chains.pop(chain[0].number, None)

    def set_limits(self, id: str, *, cost_micro: int | None, tokens: int | None) -> None:
        """Replace the limits of `id`, as when a user raises the budget of a stopped batch.

        Raises `BudgetExceeded` when more is spent or open than the new limits, and `BookError` for
        an account that holds its limits from its parent.
        """
        new = checked_limits(id, cost_micro, tokens)
        with self.transaction():
            own = self._chain(id)[0]
            if own.hold:
                raise BookError(
                    f"Account {id!r} holds its limits from its parent, so they stay. Close it and "
                    "open another id."
                )
            try:
                self._write(
                    "UPDATE accounts SET limit_micro = ?, limit_tokens = ? WHERE number = ?",
                    (cost_micro, tokens, own.number),
                )
            except sqlite3.IntegrityError:
                used = self._counters(own)[2]
                raise exceeded(id, "what is spent or open", new, NOTHING, used) from None

    def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved. Raises `BookError` when it is unknown."""
        row = self._read_one(
            "SELECT spent_micro, spent_tokens, open_micro, open_tokens, presumed_micro,"
            " presumed_calls FROM accounts WHERE id = ?",
            (account,),
        )
        if row is None:
            raise unknown_account(account)
        return Spent(*row)

    def _forget(self) -> None:
        self._chains = {}

    def _chain(self, key: str | int) -> Chain:
        """The account with this id or number and its ancestors; parents and holds never change."""
        chain = self._chains.get(key)
        if chain is not None:
            return chain
        column = "id" if isinstance(key, str) else "number"
        row = self._read_one(
            "SELECT id, number, parent, hold, limit_micro IS NOT NULL, limit_tokens IS NOT NULL"
            f" FROM accounts WHERE {column} = ?",
            (key,),
        )
        if row is None:
            raise unknown_account(key)
        id, number, parent, hold, limits_micro, limits_tokens = row
        link = ChainLink(
            number, bool(hold), bool(hold and limits_micro), bool(hold and limits_tokens)
        )
        chain = (link, *(() if parent is None else self._chain(parent)))
        if len(self._chains) >= REMEMBERED_CHAINS:
            self._chains.clear()
        self._chains[id] = self._chains[number] = chain
        return chain

    def _change(
        self,
        chain: Chain,
        inside: Amount,
        *,
        who: str,
        beyond: Amount = NOTHING,
        spent: Amount = NOTHING,
        pending: int = 0,
    ) -> None:
        """Add to a chain's counters: `inside` to what is open, up to and including the first
        hold; `beyond` to what is open above it; `spent` everywhere. `who` stands in messages."""
        open_micro, open_tokens = inside.micro, inside.tokens
        for link in chain:
            if not (open_micro or open_tokens or spent.micro or spent.tokens or pending):
                return
            try:
                changed = self._write(
                    _CHANGE,
                    (open_micro, open_tokens, spent.micro, spent.tokens, pending, link.number),
                ).rowcount
            except sqlite3.IntegrityError:
                raise self._tight(link, Amount(open_micro, open_tokens), who) from None
            if not changed:
                raise closed_account(self._fields(link, "id")[0], who)
            if link.holds_micro:
                open_micro = beyond.micro
            if link.holds_tokens:
                open_tokens = beyond.tokens
            if link.hold:
                pending = 0

    def _tight(self, link: ChainLink, amount: Amount, who: str) -> BudgetExceeded:
        limits, _, used = self._counters(link)
        return exceeded(self._fields(link, "id")[0], who, limits, used, amount)

    def _counters(self, link: ChainLink) -> tuple[AccountLimits, Amount, Amount]:
        """Limits, what is spent, and what is spent or open."""
        row = self._fields(
            link, "limit_micro, limit_tokens, spent_micro, spent_tokens, open_micro, open_tokens"
        )
        spent = Amount(row[2], row[3])
        return AccountLimits(row[0], row[1]), spent, spent + Amount(row[4], row[5])

    def _fields(self, link: ChainLink, columns: str) -> tuple:
        row = self._read_one(f"SELECT {columns} FROM accounts WHERE number = ?", (link.number,))
        if row is None:
            raise unknown_account(link.number)
        return row
