"""What happens to a call, wherever it is kept: begun, then settled, released or presumed.

It knows no model and no price: worst case and actual cost are given. A call is paid for from the
moment it begins, so one that a dead process leaves on its way, or of which nobody reports what it
used, is presumed to have cost its worst case. How accounts and calls are kept is `entries`' (in a
file) and `memory`'s.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from orchestra.book.amounts import NOTHING, Amount, check_amount
from orchestra.book.messages import (
    AbandonAccount,
    BeginCall,
    BookHit,
    CloseAccount,
    EndThread,
    KeepThread,
    KeptThread,
    LeaveThread,
    ListThreads,
    ModelTotal,
    OpenAccount,
    ReadSpent,
    ReadThread,
    ReadTotals,
    ReleaseCall,
    SettleCall,
    Spent,
    TakeThread,
    ThreadEntry,
)
from orchestra.core.errors import BookError

CallState = Literal["dispatched", "settled", "released", "presumed"]


@dataclass(eq=False, slots=True)
class KnownCall:
    """A call that began: its `worst` case is reserved while it is dispatched."""

    uid: str
    key: str
    model: str
    worst: Amount
    state: CallState


C = TypeVar("C", bound=KnownCall)


class Calls(ABC, Generic[C]):
    """Does what is said of accounts and calls, each message as a whole or not at all."""

    def _begin_call(self, begun: BeginCall) -> str | None:
        known = self._call(begun.uid)
        if known is not None:
            if known.state != "dispatched":
                raise BookError(
                    f"The call {known.uid!r} is {known.state!r} already and cannot begin again. "
                    "Give each call an id of its own."
                )
            self._keep_alive(known)
            return None
        stored = self._reply(begun.key)
        if stored is None:
            who = f"the call of node {begun.node!r} on model {begun.model!r}"
            self._insert_call(begun, _amount(begun.cost_micro, begun.tokens, who), who)
        return stored

    def _book_hit(self, hit: BookHit) -> str | None:
        if self._call(hit.uid) is not None:
            return None
        stored = self._reply(hit.key)
        if stored is None:
            who = f"the saving of node {hit.node!r} on model {hit.model!r}"
            _amount(hit.saved_micro, hit.saved_tokens, who)
            self._insert_call(hit, NOTHING, who)
            self._settle_call(SettleCall(hit.uid, 0, 0, reply=hit.reply))
        return stored

    def _settle_call(self, paid: SettleCall) -> None:
        call, who = self._call(paid.uid), f"call {paid.uid!r}"
        if call is None:
            raise BookError(f"No call {paid.uid!r} in this book. Begin it before settling it.")
        if call.state in ("settled", "presumed"):
            return
        cost = _amount(paid.cost_micro, paid.tokens, who)
        if not math.isfinite(paid.cpu_s) or paid.cpu_s < 0:
            raise BookError(f"cpu_s={paid.cpu_s!r} of {who} must be 0 or more seconds.")
        self._finish(call, "presumed" if paid.presumed else "settled", cost, paid)

    def _release_call(self, message: ReleaseCall) -> None:
        call = self._call(message.uid)
        if call is not None and call.state not in ("released", "presumed"):
            self._finish(call, "released", NOTHING)

    def _abandon_account(self, message: AbandonAccount) -> None:
        self._free_threads(message.id)
        left = self._left_in(message.id)
        if left is not None:
            for call in left:
                self._finish(call, "presumed", call.worst)
            self._close_account(message.id)

    def _finish(
        self, call: C, state: CallState, cost: Amount, paid: SettleCall | None = None
    ) -> None:
        """Move a call on its way to a final state at `cost`, and give back the rest."""
        if call.state != "dispatched":
            raise BookError(
                f"Call {call.uid!r} is {call.state!r} and cannot become {state!r}. "
                "Settle a call once."
            )
        self._end_call(call, state, cost, paid)

    @abstractmethod
    def _open_account(self, opened: OpenAccount) -> None: ...

    @abstractmethod
    def _close_account(self, id: str) -> None: ...

    @abstractmethod
    def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved. Raises `BookError` when it is unknown."""

    @abstractmethod
    def _call(self, uid: str) -> C | None:
        """The call that began as `uid`."""

    @abstractmethod
    def _reply(self, key: str) -> str | None:
        """The reply that was paid for under `key`."""

    @abstractmethod
    def _left_in(self, account: str) -> Sequence[C] | None:
        """The account's calls on their way; None when it is unknown or closed."""

    @abstractmethod
    def _insert_call(self, begun: BeginCall | BookHit, worst: Amount, who: str) -> None:
        """Reserve `worst` for a call that is on its way from now on; `who` stands in errors."""

    @abstractmethod
    def _end_call(self, call: C, state: CallState, cost: Amount, paid: SettleCall | None) -> None:
        """Book `cost` instead of what the call reserved; keep what was `paid` for.

        What is presumed, and what lies beyond the reservation, is counted as such, in the call's
        account and all above it.
        """

    @abstractmethod
    def _keep_alive(self, call: C) -> None:
        """Note that whoever began a call, perhaps in an earlier epoch, has it under way still."""

    @abstractmethod
    def totals(self) -> list[ModelTotal]:
        """What all calls came to, by model and state."""

    @abstractmethod
    def _keep_thread(self, kept: KeepThread) -> None: ...

    @abstractmethod
    def _read_thread(self, asked: ReadThread) -> KeptThread | None: ...

    @abstractmethod
    def _take_thread(self, taken: TakeThread) -> None: ...

    @abstractmethod
    def _leave_thread(self, left: LeaveThread) -> None: ...

    @abstractmethod
    def _end_thread(self, ended: EndThread) -> None: ...

    @abstractmethod
    def _list_threads(self, asked: ListThreads) -> list[ThreadEntry]: ...

    @abstractmethod
    def _free_threads(self, account: str) -> None:
        """Nobody has the threads of this account any longer: who had them is dead."""


# By message; `Any` is a `Calls` of any kind and the message.
DEEDS: dict[type, Callable[[Any, Any], Any]] = {
    OpenAccount: lambda ledger, message: ledger._open_account(message),
    CloseAccount: lambda ledger, message: ledger._close_account(message.id),
    AbandonAccount: Calls._abandon_account,
    ReadSpent: lambda ledger, message: ledger.spent(message.account),
    ReadTotals: lambda ledger, message: ledger.totals(),
    BeginCall: Calls._begin_call,
    BookHit: Calls._book_hit,
    SettleCall: Calls._settle_call,
    ReleaseCall: Calls._release_call,
    KeepThread: lambda ledger, message: ledger._keep_thread(message),
    ReadThread: lambda ledger, message: ledger._read_thread(message),
    TakeThread: lambda ledger, message: ledger._take_thread(message),
    LeaveThread: lambda ledger, message: ledger._leave_thread(message),
    EndThread: lambda ledger, message: ledger._end_thread(message),
    ListThreads: lambda ledger, message: ledger._list_threads(message),
}


def _amount(cost_micro: int, tokens: int, who: str) -> Amount:
    check_amount("cost_micro", cost_micro, about=who)
    check_amount("tokens", tokens, about=who)
    return Amount(cost_micro, tokens)
