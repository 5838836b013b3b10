"""The ledger of a process that keeps no file: accounts, calls and replies as plain objects.

It answers as a book does, without a database: a statement of sqlite lets go of
Python's lock, and waits its turn again among the engines' threads, some forty times a job. What
it remembers is bounded, so that a service may run for months: closed accounts and replies go,
the oldest first. It knows no rows: a batch always has a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
from orchestra.book.calls import DEEDS, Calls, CallState, KnownCall
from orchestra.book.messages import (
    BeginCall,
    BookHit,
    EndThread,
    KeepThread,
    KeptThread,
    LedgerMessage,
    ListThreads,
    OpenAccount,
    ReadThread,
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
class MemoryCall(KnownCall):
    """A call with its account."""

    account: MemoryAccount


class MemoryLedger(Calls[MemoryCall]):
    """Budgets and calls of this process."""

    def __init__(self, *, closed_kept: int = CLOSED_KEPT, replies_kept: int = REPLIES_KEPT) -> None:
        self._accounts: dict[str, MemoryAccount] = {}
        self._calls: dict[str, MemoryCall] = {}
        self._replies: OrderedDict[str, str] = OrderedDict()
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._threads: dict[str, KeptThread] = {}
        self._pinned: dict[str, str] = {}  # by thread
        self._closed_kept = closed_kept
        self._replies_kept = replies_kept
        self._lock = threading.Lock()  # a fleet may be used from several event loops

    async def send(self, message: LedgerMessage[T]) -> T:
        """Do what `message` says and give its answer."""
        with self._lock:
            return DEEDS[type(message)](self, message)

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

    def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved. Raises `BookError` when it is unknown."""
        found = self._account(account)
        return Spent(
            found.spent.micro,
            found.spent.tokens,
            found.open.micro,
            found.open.tokens,
            found.presumed_micro,
            found.presumed_calls,
        )

    def _call(self, uid: str) -> MemoryCall | None:
        return self._calls.get(uid)

    def _reply(self, key: str) -> str | None:
        if key in self._replies:
            self._replies.move_to_end(key)
        return self._replies.get(key)

    def _left_in(self, account: str) -> list[MemoryCall] | None:
        known = self._accounts.get(account)
        if known is None or known.closed:
            return None
        left = [call for call in known.calls if call.state == "dispatched"]
        if known.pending > len(left):  # nothing can be taken back here, so it is said before
            raise busy_account(account, known.pending - len(left))
        return left

    def _insert_call(self, begun: BeginCall | BookHit, worst: Amount, who: str) -> None:
        call = MemoryCall(begun.uid, begun.key, worst, "dispatched", self._account(begun.account))
        change(call.account, worst, pending=1, who=who)
        self._calls[call.uid] = call
        call.account.calls.append(call)

    def _end_call(
        self, call: MemoryCall, state: CallState, cost: Amount, paid: SettleCall | None
    ) -> None:
        taken, who = cost.within(call.worst), f"call {call.uid!r}"
        change(call.account, -call.worst, beyond=-taken, spent=taken, pending=-1, who=who)
        call.state = state
        if paid is not None and paid.reply is not None:
            self._keep(call.key, paid.reply)
        account = call.account if state == "presumed" else None
        while account is not None:
            account.presumed_micro += taken.micro
            account.presumed_calls += 1
            account = account.parent

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

    def _close_account(self, id: str) -> None:
        account = self._account(id)
        if account.closed:
            return
        if account.pending:
            raise busy_account(account.id, account.pending)
        account.closed = True
        if account.hold and account.parent is not None:
            rest = account.limits.less(account.spent)
            change(account.parent, -rest, pending=-1, who=f"closing {account.id!r}")
        if any(_is_of(account.id, pinned) for pinned in self._pinned.values()):
            return
        if not account.has_children:
            self._closed[account.id] = None
            if len(self._closed) > self._closed_kept:
                self._forget(self._closed.popitem(last=False)[0])

    def _keep_thread(self, kept: KeepThread) -> None:
        before = self._threads.get(kept.id)
        photos = {**kept.photos, **({} if before is None else before.photos)}
        self._threads[kept.id] = KeptThread(kept.id, kept.status, kept.record, photos)
        self._pinned[kept.id] = kept.account

    def _read_thread(self, asked: ReadThread) -> KeptThread | None:
        return self._threads.get(asked.id)

    def _end_thread(self, ended: EndThread) -> None:
        self._threads.pop(ended.id, None)
        account = self._pinned.pop(ended.id, None)
        for id in [id for id in self._accounts if account is not None and _is_of(id, account)]:
            if self._accounts[id].closed and not self._accounts[id].has_children:
                self._closed[id] = None

    def _list_threads(self, asked: ListThreads) -> list[tuple[str, str]]:
        return [(kept.id, kept.status) for kept in self._threads.values()]

    def _forget(self, id: str) -> None:
        for call in self._accounts.pop(id).calls:
            del self._calls[call.uid]


def _is_of(id: str, account: str) -> bool:
    """Whether an account is that one, or named after it as a part of the same job."""
    return id == account or id.startswith(f"{account}:")


def _values(parent: str | None, hold: bool, limits: AccountLimits) -> tuple[Any, ...]:
    return parent, hold, limits.micro, limits.tokens


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
