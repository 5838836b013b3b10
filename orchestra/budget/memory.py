"""The ledger of a process that keeps no file: accounts, calls and replies as plain objects.

It answers as a book's `LocalLedger` does, without a database: a statement of sqlite lets go of
Python's lock, and waits its turn again among the engines' threads, some forty times a job. What
it remembers is bounded, so that a service may run for months: closed accounts and replies go,
the oldest first. It knows no rows: a batch always has a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from orchestra.budget.amounts import (
    NOTHING,
    Amount,
    Limits,
    Spent,
    check_amount,
    closed_account,
    exceeded,
    unknown_account,
)
from orchestra.budget.ledger import Payment, Start
from orchestra.errors import BookError

State = Literal["dispatched", "settled", "released", "presumed"]
CLOSED_KEPT = 4096
REPLIES_KEPT = 4096


@dataclass(eq=False, slots=True)
class _Account:
    """A budget; `pending` counts the calls and held accounts open right under it."""

    id: str
    parent: _Account | None
    limits: Limits
    hold: bool
    closed: bool = True
    spent: Amount = NOTHING
    open: Amount = NOTHING
    pending: int = 0
    presumed_micro: int = 0
    presumed_calls: int = 0
    has_children: bool = False
    calls: list[_Call] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class _Call:
    uid: str
    account: _Account
    key: str
    worst: Amount
    state: State = "dispatched"


@dataclass(slots=True)
class _Step:
    """What one account of a chain takes."""

    account: _Account
    spent: Amount
    open: Amount
    pending: int


class MemoryLedger:
    """Budgets and calls of this process; see `Ledger` for what each message means."""

    def __init__(self, *, closed_kept: int = CLOSED_KEPT, replies_kept: int = REPLIES_KEPT) -> None:
        self._accounts: dict[str, _Account] = {}
        self._calls: dict[str, _Call] = {}
        self._replies: OrderedDict[str, str] = OrderedDict()
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._closed_kept = closed_kept
        self._replies_kept = replies_kept
        self._lock = threading.Lock()  # a fleet may be used from several event loops

    async def open_account(
        self,
        id: str,
        *,
        parent: str | None = None,
        cost_micro: int | None = None,
        tokens: int | None = None,
        hold: bool = False,
    ) -> None:
        """Open the budget `id`; see `Accounts.open_account`."""
        check_amount("cost_micro", cost_micro, about=f"account {id!r}")
        check_amount("tokens", tokens, about=f"account {id!r}")
        limits = Limits(cost_micro, tokens)
        if hold and not any(limits.kinds):
            raise BookError(
                f"Account {id!r} holds nothing: hold=True needs cost_micro or tokens. Set one."
            )
        with self._lock:
            above = None if parent is None else self._account(parent)
            account = self._accounts.get(id) or _Account(id, above, limits, hold)
            if (account.parent, account.hold, account.limits) != (above, hold, limits):
                raise BookError(
                    f"Account {id!r} was opened with other values of (parent, hold, cost_micro, "
                    f"tokens). Take another id."
                )
            if account.closed and above is not None:
                if above.closed:
                    raise closed_account(above.id, f"account {id!r}")
                if hold:
                    rest = limits.less(account.spent)
                    self._change(above, rest, pending=1, who=f"account {id!r}")
            if above is not None:
                above.has_children = True
            account.closed = False
            self._accounts[id] = account
            self._closed.pop(id, None)

    async def close_account(self, id: str) -> None:
        """Give back what `id` holds and has not spent; see `Accounts.close_account`."""
        with self._lock:
            self._close(self._account(id))

    async def abandon_account(self, id: str) -> None:
        """Close `id` as a crash would have left it: its calls are presumed."""
        with self._lock:
            account = self._accounts.get(id)
            if account is None or account.closed:
                return
            for call in account.calls:
                if call.state == "dispatched":
                    self._end(call, "presumed", call.worst)
                    self._presume(account, call.worst)
            self._close(account)

    async def begin(self, start: Start) -> str | None:
        """The reply already paid for under the call's key; else None: the call is on its way."""
        with self._lock:
            known = self._calls.get(start.uid)
            if known is not None:
                if known.state != "dispatched":
                    raise BookError(
                        f"The call {start.uid!r} is {known.state!r} already and cannot begin "
                        "again. Give each call an id of its own."
                    )
                return None
            stored = self._replies.get(start.key)
            if stored is not None:
                self._replies.move_to_end(start.key)
                return stored
            who = f"the call of node {start.node!r} on model {start.model!r}"
            check_amount("cost_micro", start.cost_micro, about=who)
            check_amount("tokens", start.tokens, about=who)
            account, worst = self._account(start.account), Amount(start.cost_micro, start.tokens)
            self._change(account, worst, pending=1, who=who)
            call = self._calls[start.uid] = _Call(start.uid, account, start.key, worst)
            account.calls.append(call)
            return None

    async def settle(self, payment: Payment) -> None:
        """Book what a call cost, once, keep its reply, and refund the rest."""
        with self._lock:
            call = self._calls.get(payment.uid)
            if call is None:
                raise BookError(
                    f"No call {payment.uid!r} in this book. Begin it before settling it."
                )
            if call.state in ("settled", "presumed"):
                return
            check_amount("cost_micro", payment.cost_micro, about=f"call {payment.uid!r}")
            check_amount("tokens", payment.tokens, about=f"call {payment.uid!r}")
            if call.state != "dispatched":
                raise _over(call, "settled")
            worst = call.worst
            cost = Amount(min(payment.cost_micro, worst.micro), min(payment.tokens, worst.tokens))
            self._end(call, "settled", cost)
            if payment.reply is not None and call.key not in self._replies:
                self._replies[call.key] = payment.reply
                if len(self._replies) > self._replies_kept:
                    self._replies.popitem(last=False)

    async def release(self, uid: str) -> None:
        """Give back what a call reserved, once; an id that never began is fine."""
        with self._lock:
            call = self._calls.get(uid)
            if call is None or call.state in ("released", "presumed"):
                return
            if call.state != "dispatched":
                raise _over(call, "released")
            self._end(call, "released", NOTHING)

    async def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved. Raises `BookError` when it is unknown."""
        with self._lock:
            found = self._account(account)
            return Spent(
                found.spent.micro,
                found.spent.tokens,
                found.open.micro,
                found.open.tokens,
                found.presumed_micro,
                found.presumed_calls,
            )

    def _account(self, id: str) -> _Account:
        found = self._accounts.get(id)
        if found is None:
            raise unknown_account(id)
        return found

    def _close(self, account: _Account) -> None:
        if account.closed:
            return
        if account.pending:
            raise BookError(
                f"Account {account.id!r} has {account.pending} open entries or held accounts "
                "under it. Settle, release or close them before closing it."
            )
        account.closed = True
        if account.hold and account.parent is not None:
            rest = account.limits.less(account.spent)
            self._change(account.parent, -rest, pending=-1, who=f"closing {account.id!r}")
        if not account.has_children:
            self._closed[account.id] = None
            if len(self._closed) > self._closed_kept:
                self._forget(self._closed.popitem(last=False)[0])

    def _forget(self, id: str) -> None:
        for call in self._accounts.pop(id).calls:
            del self._calls[call.uid]

    def _end(self, call: _Call, state: State, cost: Amount) -> None:
        who = f"call {call.uid!r}"
        self._change(call.account, -call.worst, beyond=-cost, spent=cost, pending=-1, who=who)
        call.state = state

    @staticmethod
    def _presume(account: _Account | None, worst: Amount) -> None:
        while account is not None:
            account.presumed_micro += worst.micro
            account.presumed_calls += 1
            account = account.parent

    @staticmethod
    def _change(
        account: _Account,
        inside: Amount,
        *,
        who: str,
        beyond: Amount = NOTHING,
        spent: Amount = NOTHING,
        pending: int = 0,
    ) -> None:
        """Add to a chain's counters as `Accounts._change` does: all of it, or nothing."""
        steps: list[_Step] = []
        link: _Account | None = account
        while link is not None and (inside != NOTHING or spent != NOTHING or pending):
            used = Amount(link.spent.micro + link.open.micro, link.spent.tokens + link.open.tokens)
            more = Amount(inside.micro + spent.micro, inside.tokens + spent.tokens)
            if link.closed:
                raise closed_account(link.id, who)
            left = link.limits.less(used)
            if (link.limits.micro is not None and more.micro > left.micro) or (
                link.limits.tokens is not None and more.tokens > left.tokens
            ):
                raise exceeded(link.id, who, link.limits, used, inside)
            steps.append(_Step(link, spent, inside, pending))
            if link.hold:
                inside = Amount(
                    beyond.micro if link.limits.micro is not None else inside.micro,
                    beyond.tokens if link.limits.tokens is not None else inside.tokens,
                )
                pending = 0
            link = link.parent
        for step in steps:
            one = step.account
            one.spent = Amount(
                one.spent.micro + step.spent.micro, one.spent.tokens + step.spent.tokens
            )
            one.open = Amount(one.open.micro + step.open.micro, one.open.tokens + step.open.tokens)
            one.pending += step.pending


def _over(call: _Call, wanted: State) -> BookError:
    return BookError(
        f"Call {call.uid!r} is {call.state!r} and cannot become {wanted!r}. Settle a call once."
    )
