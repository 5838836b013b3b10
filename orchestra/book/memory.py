"""The ledger of a process that keeps no file: accounts, calls and replies as plain objects.

It answers as a book does, without a database: a statement of sqlite lets go of
Python's lock, and waits its turn again among the engines' threads, some forty times a job. What
it remembers is bounded, so that a service may run for months: closed accounts and replies go,
the oldest first. It knows no rows: a batch always has a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orchestra.book.amounts import (
    NOTHING,
    AccountLimits,
    Amount,
    CallState,
    begun_again,
    busy_account,
    call_over,
    checked_amount,
    checked_limits,
    closed_account,
    exceeded,
    other_values,
    unknown_account,
    unknown_call,
)
from orchestra.book.messages import (
    AbandonAccount,
    BeginCall,
    BookHit,
    CloseAccount,
    LedgerMessage,
    OpenAccount,
    ReadSpent,
    ReleaseCall,
    SettleCall,
    Spent,
)

T = TypeVar("T")
CLOSED_KEPT = 4096
REPLIES_KEPT = 4096


@dataclass(eq=False, slots=True)
class MemoryAccount:
    """A budget; `pending` counts the calls and held accounts open right under it."""

    id: str
    parent: MemoryAccount | None
    limits: AccountLimits
    hold: bool
    closed: bool = True
    spent: Amount = NOTHING
    open: Amount = NOTHING
    pending: int = 0
    presumed_micro: int = 0
    presumed_calls: int = 0
    has_children: bool = False
    calls: list[MemoryCall] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class MemoryCall:
    """A call by its uid: what it reserved, and how far it is."""

    uid: str
    account: MemoryAccount
    key: str
    worst: Amount
    state: CallState = "dispatched"


class MemoryLedger:
    """Budgets and calls of this process."""

    def __init__(self, *, closed_kept: int = CLOSED_KEPT, replies_kept: int = REPLIES_KEPT) -> None:
        self._accounts: dict[str, MemoryAccount] = {}
        self._calls: dict[str, MemoryCall] = {}
        self._replies: OrderedDict[str, str] = OrderedDict()
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._closed_kept = closed_kept
        self._replies_kept = replies_kept
        self._lock = threading.Lock()  # a fleet may be used from several event loops

    async def send(self, message: LedgerMessage[T]) -> T:
        """Do what `message` says and give its answer."""
        with self._lock:
            return _DEEDS[type(message)](self, message)

    def _open_account(self, opened: OpenAccount) -> None:
        id, hold = opened.id, opened.hold
        limits = checked_limits(id, opened.cost_micro, opened.tokens, hold=hold)
        above = None if opened.parent is None else self._account(opened.parent)
        account = self._accounts.get(id) or MemoryAccount(id, above, limits, hold)
        if (account.parent, account.hold, account.limits) != (above, hold, limits):
            parent = account.parent and account.parent.id
            raise other_values(
                id,
                _values(parent, account.hold, account.limits),
                _values(opened.parent, hold, limits),
            )
        if account.closed and above is not None:
            if above.closed:
                raise closed_account(above.id, f"account {id!r}")
            if hold:
                change(above, limits.less(account.spent), pending=1, who=f"account {id!r}")
        if above is not None:
            above.has_children = True
        account.closed = False
        self._accounts[id] = account
        self._closed.pop(id, None)

    def _close_account(self, message: CloseAccount) -> None:
        self._close(self._account(message.id))

    def _abandon_account(self, message: AbandonAccount) -> None:
        account = self._accounts.get(message.id)
        if account is None or account.closed:
            return
        for call in account.calls:
            if call.state == "dispatched":
                _end(call, "presumed", call.worst)
                _presume(account, call.worst)
        self._close(account)

    def _read_spent(self, message: ReadSpent) -> Spent:
        found = self._account(message.account)
        return Spent(
            found.spent.micro,
            found.spent.tokens,
            found.open.micro,
            found.open.tokens,
            found.presumed_micro,
            found.presumed_calls,
        )

    def _begin_call(self, begun: BeginCall) -> str | None:
        known = self._calls.get(begun.uid)
        if known is not None:
            if known.state != "dispatched":
                raise begun_again(begun.uid, known.state)
            return None
        stored = self._replies.get(begun.key)
        if stored is not None:
            self._replies.move_to_end(begun.key)
            return stored
        who = f"the call of node {begun.node!r} on model {begun.model!r}"
        worst = checked_amount(begun.cost_micro, begun.tokens, about=who)
        self._enter(MemoryCall(begun.uid, self._account(begun.account), begun.key, worst), who)
        return None

    def _book_hit(self, hit: BookHit) -> str | None:
        if hit.uid in self._calls:
            return None
        stored = self._replies.get(hit.key)
        if stored is None:
            about = f"the saving of node {hit.node!r} on model {hit.model!r}"
            checked_amount(hit.saved_micro, hit.saved_tokens, about=about)
            call = MemoryCall(hit.uid, self._account(hit.account), hit.key, NOTHING)
            self._enter(call, f"call {hit.uid!r}")
            _end(call, "settled", NOTHING)
            self._keep(hit.key, hit.reply)
        return stored

    def _settle_call(self, paid: SettleCall) -> None:
        call = self._calls.get(paid.uid)
        if call is None:
            raise unknown_call(paid.uid)
        if call.state in ("settled", "presumed"):
            return
        cost = checked_amount(paid.cost_micro, paid.tokens, about=f"call {paid.uid!r}")
        _end(call, "settled", cost.within(call.worst))
        if paid.reply is not None:
            self._keep(call.key, paid.reply)

    def _release_call(self, message: ReleaseCall) -> None:
        call = self._calls.get(message.uid)
        if call is not None and call.state not in ("released", "presumed"):
            _end(call, "released", NOTHING)

    def _enter(self, call: MemoryCall, who: str) -> None:
        """Reserve the worst case of a call that is on its way from now on."""
        change(call.account, call.worst, pending=1, who=who)
        self._calls[call.uid] = call
        call.account.calls.append(call)

    def _keep(self, key: str, reply: str) -> None:
        """Keep the first reply of a key; the oldest-used go where there are too many."""
        self._replies.setdefault(key, reply)
        if len(self._replies) > self._replies_kept:
            self._replies.popitem(last=False)

    def _account(self, id: str) -> MemoryAccount:
        found = self._accounts.get(id)
        if found is None:
            raise unknown_account(id)
        return found

    def _close(self, account: MemoryAccount) -> None:
        if account.closed:
            return
        if account.pending:
            raise busy_account(account.id, account.pending)
        account.closed = True
        if account.hold and account.parent is not None:
            rest = account.limits.less(account.spent)
            change(account.parent, -rest, pending=-1, who=f"closing {account.id!r}")
        if not account.has_children:
            self._closed[account.id] = None
            if len(self._closed) > self._closed_kept:
                self._forget(self._closed.popitem(last=False)[0])

    def _forget(self, id: str) -> None:
        for call in self._accounts.pop(id).calls:
            del self._calls[call.uid]


_DEEDS: Mapping[type, Callable[[MemoryLedger, Any], Any]] = {
    OpenAccount: MemoryLedger._open_account,
    CloseAccount: MemoryLedger._close_account,
    AbandonAccount: MemoryLedger._abandon_account,
    ReadSpent: MemoryLedger._read_spent,
    BeginCall: MemoryLedger._begin_call,
    BookHit: MemoryLedger._book_hit,
    SettleCall: MemoryLedger._settle_call,
    ReleaseCall: MemoryLedger._release_call,
}


def _values(parent: str | None, hold: bool, limits: AccountLimits) -> tuple[Any, ...]:
    return parent, hold, limits.micro, limits.tokens


def _end(call: MemoryCall, state: CallState, cost: Amount) -> None:
    """Move a call on its way to a final state at `cost`."""
    if call.state != "dispatched":
        raise call_over(call.uid, call.state, state)
    who = f"call {call.uid!r}"
    change(call.account, -call.worst, beyond=-cost, spent=cost, pending=-1, who=who)
    call.state = state


def _presume(account: MemoryAccount | None, worst: Amount) -> None:
    """Count a call that may have been made at its worst case, in `account` and all above it."""
    while account is not None:
        account.presumed_micro += worst.micro
        account.presumed_calls += 1
        account = account.parent


def change(
    account: MemoryAccount,
    inside: Amount,
    *,
    who: str,
    beyond: Amount = NOTHING,
    spent: Amount = NOTHING,
    pending: int = 0,
) -> None:
    """Add to a chain's counters as `Accounts._change` does: all of it, or nothing."""
    steps: list[tuple[MemoryAccount, Amount, int]] = []
    link: MemoryAccount | None = account
    while link is not None and (inside != NOTHING or spent != NOTHING or pending):
        if link.closed:
            raise closed_account(link.id, who)
        used, more, limits = link.spent + link.open, inside + spent, link.limits
        left = limits.less(used)
        if (limits.micro is not None and more.micro > left.micro) or (
            limits.tokens is not None and more.tokens > left.tokens
        ):
            raise exceeded(link.id, who, limits, used, inside)
        steps.append((link, inside, pending))
        if link.hold:
            inside = Amount(
                beyond.micro if limits.micro is not None else inside.micro,
                beyond.tokens if limits.tokens is not None else inside.tokens,
            )
            pending = 0
        link = link.parent
    for one, opened, waits in steps:
        one.spent += spent
        one.open += opened
        one.pending += waits
