"""The ledger of a process that keeps no file: accounts, calls and replies as plain objects.

It answers as a book does, without a database: a statement of sqlite lets go of
Python's lock, and waits its turn again among the engines' threads, some forty times a job. What
it remembers is bounded, so that a service may run for months: closed accounts and replies go,
the oldest first, and so do runs that wait. It knows no rows: a batch always has a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeVar

from orchestra.book.amounts import (
    NOTHING,
    Amount,
    bounds_of,
    busy_account,
    closed_account,
    other_values,
    unknown_account,
)
from orchestra.book.calls import DEEDS, Calls, CallState, KnownCall
from orchestra.book.holds import check_free, check_version
from orchestra.book.keys.door import Attendance
from orchestra.book.keys.gate import GATE_DEEDS, utc_now
from orchestra.book.keys.key_messages import KEY_MESSAGES
from orchestra.book.keys.keyless import KeylessEntrance
from orchestra.book.messages import (
    BeginCall,
    BookHit,
    EndThread,
    KeepThread,
    KeptThread,
    LeaveThread,
    LedgerMessage,
    ListThreads,
    ModelTotal,
    OpenAccount,
    Overrun,
    ReadThread,
    SettleCall,
    Spent,
    TakeThread,
    ThreadEntry,
)
from orchestra.book.reservation import Above, Standing, count, is_same
from orchestra.core.errors import UsageError

T = TypeVar("T")
CLOSED_KEPT = 4096
REPLIES_KEPT = 4096
REPLY_BYTES_KEPT = 128 << 20  # replies of vectors are long
THREADS_KEPT = 1024


@dataclass(eq=False, slots=True)
class MemoryAccount:
    """A budget; `pending` counts the calls and held accounts open right under it."""

    parent: MemoryAccount | None
    standing: Standing
    pending: int = 0
    presumed_micro: int = 0
    presumed_calls: int = 0
    has_children: bool = False
    calls: list[MemoryCall] = field(default_factory=list)
    overruns: dict[str, Overrun] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its name."""
        return self.standing.id

    @property
    def chain(self) -> list[MemoryAccount]:
        """The account and those above it."""
        return [self, *(() if self.parent is None else self.parent.chain)]

    def overran(self, model: str, overrun: Amount) -> None:
        """Note what a call of `model` cost beyond its worst case."""
        one = self.overruns.get(model) or Overrun(model, 0, 0, 0)
        cost, tokens = one.cost_micro + overrun.micro, one.tokens + overrun.tokens
        self.overruns[model] = Overrun(model, one.calls + 1, cost, tokens)

    @property
    def told(self) -> tuple[Overrun, ...]:
        """The overruns by model, in their order."""
        return tuple(self.overruns[model] for model in sorted(self.overruns))


@dataclass(eq=False, slots=True)
class MemoryCall(KnownCall):
    """A call with its account."""

    account: MemoryAccount
    saved_micro: int | None = None  # of one that a shared cache answered


@dataclass(eq=False, slots=True)
class MemoryThread:
    """A thread with its account; `holder` has it now."""

    kept: KeepThread
    version: int
    holder: str | None

    @property
    def status(self) -> str:
        """What it is at the moment."""
        return self.kept.status if self.holder is None else "running"


class MemoryLedger(KeylessEntrance, Calls[MemoryCall]):
    """Budgets and calls of this process. It has no keys: those are kept in a book."""

    def __init__(
        self,
        *,
        closed_kept: int = CLOSED_KEPT,
        replies_kept: int = REPLIES_KEPT,
        threads_kept: int = THREADS_KEPT,
    ) -> None:
        self._accounts: dict[str, MemoryAccount] = {}
        self._calls: dict[str, MemoryCall] = {}
        self._on_their_way: dict[str, MemoryCall] = {}
        self._replies: OrderedDict[str, str] = OrderedDict()
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._threads: dict[str, MemoryThread] = {}
        self._threads_kept = threads_kept
        self._closed_kept = closed_kept
        self._replies_kept = replies_kept
        self._reply_bytes = 0
        self._totals: dict[tuple[str, str], ModelTotal] = {}
        self.door, self.now = Attendance(), utc_now
        self._marks = {}
        self._lock = threading.Lock()  # a fleet may be used from several event loops

    async def send(self, message: LedgerMessage[T]) -> T:
        """Do what `message` says and give its answer."""
        with self._lock:
            return _DEEDS[type(message)](self, message)

    def _open_account(self, opened: OpenAccount) -> None:
        id, hold, (limits, ceilings) = opened.id, opened.hold, bounds_of(opened)
        above = None if opened.parent is None else self._account(opened.parent)
        bounds = (limits.micro, limits.tokens, ceilings.micro, ceilings.tokens)
        account = self._accounts.get(id)
        if account is None:
            account = MemoryAccount(above, Standing(id, hold, True, *bounds))
        own = account.standing
        known = (own.limit_micro, own.limit_tokens, own.ceiling_micro, own.ceiling_tokens)
        parent = account.parent and account.parent.id
        if not is_same((parent, own.hold, *known), (opened.parent, hold, *bounds)):
            raise other_values(id, (parent, own.hold, *known), (opened.parent, hold, *bounds))
        if own.closed and above is not None:
            if above.standing.closed:
                raise closed_account(above.id, f"account {id!r}")
            if hold:
                self._change(above, own.taken, pending=1, who=f"account {id!r}")
        if above is not None:
            above.has_children = True
        own.closed = False
        self._accounts[id] = account
        self._closed.pop(id, None)

    def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved. Raises `BookError` when it is unknown."""
        found = self._account(account)
        own = found.standing
        return Spent(
            own.spent_micro,
            own.spent_tokens,
            own.open_micro,
            own.open_tokens,
            found.presumed_micro,
            found.presumed_calls,
            found.told,
            own.is_over,
        )

    def _call(self, uid: str) -> MemoryCall | None:
        return self._calls.get(uid)

    def _reply(self, key: str) -> str | None:
        if key in self._replies:
            self._replies.move_to_end(key)
        return self._replies.get(key)

    def _left_in(self, account: str) -> list[MemoryCall] | None:
        known = self._accounts.get(account)
        if known is None or known.standing.closed:
            return None
        left = [call for call in known.calls if call.state == "dispatched"]
        if known.pending > len(left):  # nothing can be taken back here, so it is said before
            raise busy_account(account, known.pending - len(left))
        return left

    def _insert_call(self, begun: BeginCall | BookHit, worst: Amount, who: str) -> None:
        account = self._account(begun.account)
        saved = begun.saved_micro if isinstance(begun, BookHit) else None
        call = MemoryCall(begun.uid, begun.key, begun.model, worst, "dispatched", account, saved)
        self._change(call.account, worst, pending=1, who=who)
        self._calls[call.uid] = self._on_their_way[call.uid] = call
        call.account.calls.append(call)

    def _end_call(
        self, call: MemoryCall, state: CallState, cost: Amount, paid: SettleCall | None
    ) -> None:
        overrun, who = cost.beyond(call.worst), f"call {call.uid!r}"
        self._change(call.account, -call.worst, spent=cost, overrun=overrun, pending=-1, who=who)
        call.state = state
        del self._on_their_way[call.uid]
        self._count(call, cost, overrun)
        if paid is not None and paid.reply is not None:
            self._keep(call.key, paid.reply)
        if state == "presumed":
            call.account.standing.excuse(call.worst)
        for account in call.account.chain:
            if state == "presumed":
                account.presumed_micro += cost.micro
                account.presumed_calls += 1
            if overrun != NOTHING:
                account.overran(call.model, overrun)

    def totals(self) -> list[ModelTotal]:
        """What all calls came to, by model and state."""
        return [self._totals[key] for key in sorted(self._totals)]

    def _count(self, call: MemoryCall, cost: Amount, overrun: Amount) -> None:
        state = call.state if call.saved_micro is None else "cached"
        one = self._totals.get((call.model, state)) or ModelTotal(call.model, state)
        self._totals[call.model, state] = ModelTotal(
            call.model,
            state,
            one.calls + 1,
            one.cost_micro + cost.micro,
            one.tokens + cost.tokens,
            one.overrun_micro + overrun.micro,
            one.saved_micro + (call.saved_micro or 0),
        )

    def _keep_alive(self, call: MemoryCall) -> None:
        """Nothing here outlives its process."""

    def _keep(self, key: str, reply: str) -> None:
        """Keep the first reply of a key; the oldest-used go where there are too many."""
        if key in self._replies:
            return
        self._replies[key] = reply
        self._reply_bytes += len(reply)
        while len(self._replies) > self._replies_kept or self._reply_bytes > REPLY_BYTES_KEPT:
            self._reply_bytes -= len(self._replies.popitem(last=False)[1])

    def _account(self, id: str) -> MemoryAccount:
        found = self._accounts.get(id)
        if found is None:
            raise unknown_account(id)
        return found

    def _close_account(self, id: str) -> None:
        account = self._account(id)
        own = account.standing
        if own.closed:
            return
        if account.pending:
            raise busy_account(account.id, account.pending)
        if own.hold and account.parent is not None:
            self._change(account.parent, -own.taken, pending=-1, who=f"closing {account.id!r}")
        own.closed = True
        if any(_is_of(account.id, thread.kept.account) for thread in self._threads.values()):
            return
        if not account.has_children:
            self._closed[account.id] = None
            if len(self._closed) > self._closed_kept:
                self._forget(self._closed.popitem(last=False)[0])

    def _keep_thread(self, kept: KeepThread) -> None:
        before = self._threads.get(kept.id)
        check_free(kept.id, before and before.holder, kept.by)
        if before is not None:
            kept = replace(kept, photos={**kept.photos, **before.kept.photos})
        version = 1 if before is None else before.version + 1
        self._threads[kept.id] = MemoryThread(kept, version, kept.by if kept.held else None)
        idle = [thread.kept.id for thread in self._threads.values() if thread.holder is None]
        for id in idle[: max(0, len(self._threads) - self._threads_kept)]:
            self._drop_thread(id)

    def _read_thread(self, asked: ReadThread) -> KeptThread | None:
        found = self._threads.get(asked.id)
        if found is None:
            return None
        kept = found.kept
        return KeptThread(
            kept.id, found.status, kept.about, kept.record, found.version, kept.photos
        )

    def _take_thread(self, taken: TakeThread) -> None:
        found = self._threads.get(taken.id)
        if found is not None and found.holder == taken.by:
            return  # the message came twice
        check_free(taken.id, found and found.holder, taken.by)
        check_version(taken, found and found.version)
        if found is not None:
            found.holder, found.version = taken.by, found.version + 1

    def _leave_thread(self, left: LeaveThread) -> None:
        found = self._threads.get(left.id)
        if found is not None and found.holder == left.by:
            found.holder = None

    def _end_thread(self, ended: EndThread) -> None:
        found = self._threads.get(ended.id)
        if found is not None and found.holder == ended.by:
            self._drop_thread(ended.id)

    def _drop_thread(self, id: str) -> None:
        account = self._threads.pop(id).kept.account
        for id in [id for id in self._accounts if _is_of(id, account)]:
            if self._accounts[id].standing.closed and not self._accounts[id].has_children:
                self._closed[id] = None

    def _list_threads(self, asked: ListThreads) -> list[ThreadEntry]:
        return [
            ThreadEntry(thread.kept.id, thread.status, thread.kept.about)
            for thread in self._threads.values()
            if asked.id in (None, thread.kept.id)
        ]

    def _free_threads(self, account: str) -> None:
        for thread in self._threads.values():
            if thread.kept.account == account:
                thread.holder = None

    def _standing_of(self, account: str) -> Standing | None:
        found = self._accounts.get(account)
        return None if found is None else found.standing

    def _put_limit(self, account: str, micro: int | None) -> None:
        self._account(account).standing.limit_micro = micro

    def _forget(self, id: str) -> None:
        for call in self._accounts.pop(id).calls:
            del self._calls[call.uid]

    def _change(
        self,
        account: MemoryAccount,
        reserved: Amount,
        *,
        who: str,
        spent: Amount = NOTHING,
        overrun: Amount = NOTHING,
        pending: int = 0,
    ) -> None:
        """Add to a chain's counters what `reservation.count` says: all of it, or nothing."""
        chain = account.chain
        above = Above(
            lambda place: chain[place].told, lambda place: self._under_way_in(chain[place])
        )
        standings = [one.standing for one in chain]
        found = count(
            standings,
            reserved,
            above,
            who=who,
            spent=spent,
            overrun=overrun,
            pending=bool(pending),
        )
        for one in chain[: len(found)]:
            one.pending += pending
            if one.standing.hold:
                break

    def _under_way_in(self, account: MemoryAccount) -> Amount:
        """What the calls under `account` reserve that are on their way."""
        total = NOTHING
        for call in self._on_their_way.values():
            if account in call.account.chain:
                total += call.worst
        return total


def _no_book(ledger: MemoryLedger, message: object) -> NoReturn:
    raise UsageError("Tenants and keys are kept in a book, and there is none. Give --book FILE.")


_DEEDS: dict[type, Callable[[Any, Any], Any]] = (
    dict.fromkeys(KEY_MESSAGES, _no_book) | DEEDS | GATE_DEEDS
)


def _is_of(id: str, account: str) -> bool:
    """Whether an account is that one, or named after it as a part of the same job."""
    return id == account or id.startswith(f"{account}:")
