"""The ledger of a process that keeps no file: accounts, calls and replies as plain objects.

It answers as a book's `LocalLedger` does, without a database: a statement of sqlite lets go of
Python's lock, and waits its turn again among the engines' threads, some forty times a job. What
it remembers is bounded, so that a service may run for months: closed accounts and replies go,
the oldest first. It knows no rows: a batch always has a file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from orchestra.book.amounts import (
    NOTHING,
    Amount,
    Limits,
    Spent,
    check_amount,
    closed_account,
    unknown_account,
)
from orchestra.book.memory_accounts import Account, MemoryCall, State, change, presume
from orchestra.book.messages import Hit, Payment, Start
from orchestra.core.errors import BookError

CLOSED_KEPT = 4096
REPLIES_KEPT = 4096


class MemoryLedger:
    """Budgets and calls of this process; see `Ledger` for what each message means."""

    def __init__(self, *, closed_kept: int = CLOSED_KEPT, replies_kept: int = REPLIES_KEPT) -> None:
        self._accounts: dict[str, Account] = {}
        self._calls: dict[str, MemoryCall] = {}
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
        label: str = "",
    ) -> None:
        """Open the budget `id`; see `Accounts.open_account`. Labels are for files."""
        check_amount("cost_micro", cost_micro, about=f"account {id!r}")
        check_amount("tokens", tokens, about=f"account {id!r}")
        limits = Limits(cost_micro, tokens)
        if hold and not any(limits.kinds):
            raise BookError(
                f"Account {id!r} holds nothing: hold=True needs cost_micro or tokens. Set one."
            )
        with self._lock:
            above = None if parent is None else self._account(parent)
            account = self._accounts.get(id) or Account(id, above, limits, hold)
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
                    change(above, rest, pending=1, who=f"account {id!r}")
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
                    presume(account, call.worst)
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
            change(account, worst, pending=1, who=who)
            call = self._calls[start.uid] = MemoryCall(start.uid, account, start.key, worst)
            account.calls.append(call)
            return None

    async def hit(self, hit: Hit) -> str | None:
        """The reply already paid for under the key; else the cache's is kept, at no cost."""
        with self._lock:
            if hit.uid in self._calls:
                return None
            stored = self._replies.get(hit.key)
            if stored is not None:
                return stored
            account, who = self._account(hit.account), f"call {hit.uid!r}"
            change(account, NOTHING, pending=1, who=who)  # an account that is closed refuses it
            change(account, NOTHING, pending=-1, who=who)
            call = MemoryCall(hit.uid, account, hit.key, NOTHING, "settled")
            self._calls[hit.uid] = call
            account.calls.append(call)
            self._keep(hit.key, hit.reply)
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
            if payment.reply is not None:
                self._keep(call.key, payment.reply)

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

    def _keep(self, key: str, reply: str) -> None:
        """Keep the first reply of a key; the oldest-used go where there are too many."""
        self._replies.setdefault(key, reply)
        if len(self._replies) > self._replies_kept:
            self._replies.popitem(last=False)

    def _account(self, id: str) -> Account:
        found = self._accounts.get(id)
        if found is None:
            raise unknown_account(id)
        return found

    def _close(self, account: Account) -> None:
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
            change(account.parent, -rest, pending=-1, who=f"closing {account.id!r}")
        if not account.has_children:
            self._closed[account.id] = None
            if len(self._closed) > self._closed_kept:
                self._forget(self._closed.popitem(last=False)[0])

    def _forget(self, id: str) -> None:
        for call in self._accounts.pop(id).calls:
            del self._calls[call.uid]

    def _end(self, call: MemoryCall, state: State, cost: Amount) -> None:
        who = f"call {call.uid!r}"
        change(call.account, -call.worst, beyond=-cost, spent=cost, pending=-1, who=who)
        call.state = state


def _over(call: MemoryCall, wanted: State) -> BookError:
    return BookError(
        f"Call {call.uid!r} is {call.state!r} and cannot become {wanted!r}. Settle a call once."
    )
