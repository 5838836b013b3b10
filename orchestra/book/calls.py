"""Calls of a book and their replies: begun, then settled, released or, after a crash, presumed.

It knows no model and no price: worst case and actual cost are given. A call is paid for from the
moment it begins, so one that a crash leaves on its way is presumed to have cost its worst case.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from orchestra.book.accounts import Accounts
from orchestra.book.amounts import (
    NOTHING,
    Amount,
    CallState,
    begun_again,
    call_over,
    checked_amount,
    unknown_call,
)
from orchestra.book.messages import AbandonAccount, BeginCall, BookHit, ReleaseCall, SettleCall
from orchestra.core.errors import BookError

_COLUMNS = "number, uid, account, state, key, reserved_micro, reserved_tokens"


class KnownCall(NamedTuple):
    """A call as it stands in the book; its account by number."""

    number: int
    uid: str
    account: int
    state: CallState
    key: str
    worst: Amount


class Calls(Accounts):
    """The calls of a book and the replies they were paid for."""

    def recover(self) -> int:
        """Close what earlier epochs left open; how many calls are presumed. Again finds nothing.

        A call on its way may have been made: it settles at its worst case, marked presumed.
        Accounts that hold, and were not opened again since, are closed and give back the rest.
        """
        with self.transaction():
            left = self._on_their_way("epoch < ?", self._epoch)
            for call in left:
                self._presume(call)
            self._close_held()
            return len(left)

    def _begin_call(self, begun: BeginCall) -> str | None:
        known = self._call(begun.uid)
        if known is not None:
            if known.state != "dispatched":
                raise begun_again(begun.uid, known.state)
            return None
        stored = self._reply(begun.key)
        if stored is None:
            who = f"the call of node {begun.node!r} on model {begun.model!r}"
            self._insert_call(begun, checked_amount(begun.cost_micro, begun.tokens, about=who), who)
        return stored

    def _book_hit(self, hit: BookHit) -> str | None:
        if self._call(hit.uid) is not None:
            return None
        stored = self._reply(hit.key)
        if stored is None:
            about = f"the saving of node {hit.node!r} on model {hit.model!r}"
            checked_amount(hit.saved_micro, hit.saved_tokens, about=about)
            self._insert_call(hit, NOTHING, f"call {hit.uid!r}")
            self._settle_call(SettleCall(hit.uid, 0, 0, reply=hit.reply))
        return stored

    def _settle_call(self, paid: SettleCall) -> None:
        call, about = self._call(paid.uid), f"call {paid.uid!r}"
        if call is None:
            raise unknown_call(paid.uid)
        if call.state in ("settled", "presumed"):
            return
        cost = checked_amount(paid.cost_micro, paid.tokens, about=about)
        if not math.isfinite(paid.cpu_s) or paid.cpu_s < 0:
            raise BookError(f"cpu_s={paid.cpu_s!r} of {about} must be 0 or more seconds.")
        measured = None if paid.measured is None else json.dumps(paid.measured, sort_keys=True)
        self._end(call, "settled", cost, paid.cpu_s, measured)
        if paid.reply is not None:
            self._write(
                "INSERT INTO replies (key, entry, reply) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (call.key, call.number, paid.reply),
            )

    def _release_call(self, message: ReleaseCall) -> None:
        call = self._call(message.uid)
        if call is not None and call.state not in ("released", "presumed"):
            self._end(call, "released", NOTHING)

    def _abandon_account(self, message: AbandonAccount) -> None:
        known = self._read_one(
            "SELECT number FROM accounts WHERE id = ? AND NOT closed", (message.id,)
        )
        if known is not None:
            for call in self._on_their_way("account = ?", known[0]):
                self._presume(call)
            self._close_account(message.id)

    def _reply(self, key: str) -> str | None:
        row = self._read_one("SELECT reply FROM replies WHERE key = ?", (key,))
        return None if row is None else row[0]

    def _call(self, uid: str) -> KnownCall | None:
        row = self._read_one(f"SELECT {_COLUMNS} FROM entries WHERE uid = ?", (uid,))
        return None if row is None else _known(row)

    def _on_their_way(self, condition: str, value: int) -> list[KnownCall]:
        rows = self._read(
            f"SELECT {_COLUMNS} FROM entries WHERE state = 'dispatched' AND {condition}"
            " ORDER BY number",
            (value,),
        )
        return [_known(row) for row in rows]

    def _insert_call(self, call: BeginCall | BookHit, worst: Amount, who: str) -> None:
        """Reserve `worst` for a call that is on its way from now on."""
        chain = self._chain(call.account)
        self._change(chain, worst, pending=1, who=who)
        saved = (1, call.saved_micro, call.saved_tokens) if isinstance(call, BookHit) else (0, 0, 0)
        self._write(
            "INSERT INTO entries (account, epoch, state, node, model, key, uid,"
            " reserved_micro, reserved_tokens, cached, saved_micro, saved_tokens, day)"
            " VALUES (?, ?, 'dispatched', ?, ?, ?, ?, ?, ?, ?, ?, ?, date('now'))",
            (
                chain[0].number,
                self._epoch,
                call.node,
                call.model,
                call.key,
                call.uid,
                worst.micro,
                worst.tokens,
                *saved,
            ),
        )

    def _end(
        self,
        call: KnownCall,
        state: CallState,
        cost: Amount,
        cpu_s: float = 0.0,
        measured: str | None = None,
    ) -> None:
        """Move a call on its way to a final state at `cost`, capped; the rest is an overrun."""
        if call.state != "dispatched":
            raise call_over(call.uid, call.state, state)
        taken = cost.within(call.worst)
        self._write(
            "UPDATE entries SET state = ?, cost_micro = ?, tokens = ?, overrun_micro = ?,"
            " overrun_tokens = ?, cpu_s = ?, measured = ? WHERE number = ?",
            (
                state,
                taken.micro,
                taken.tokens,
                cost.micro - taken.micro,
                cost.tokens - taken.tokens,
                cpu_s,
                measured,
                call.number,
            ),
        )
        self._change(
            self._chain(call.account),
            -call.worst,
            beyond=-taken,
            spent=taken,
            pending=-1,
            who=f"call {call.uid!r}",
        )

    def _presume(self, call: KnownCall) -> None:
        self._end(call, "presumed", call.worst)
        for link in self._chain(call.account):
            self._write(
                "UPDATE accounts SET presumed_micro = presumed_micro + ?,"
                " presumed_calls = presumed_calls + 1 WHERE number = ?",
                (call.worst.micro, link.number),
            )

    def _close_held(self) -> None:
        """Close holds of earlier epochs, children first: they were numbered after parents."""
        for id, number in self._read(
            "SELECT id, number FROM accounts WHERE epoch < ? AND hold AND NOT closed"
            " ORDER BY number DESC",
            (self._epoch,),
        ):
            pending = self._read("SELECT pending FROM accounts WHERE number = ?", (number,))
            if not pending[0][0]:  # else a child was opened again and is in use
                self._close_account(id)


def _known(row: tuple[Any, ...]) -> KnownCall:
    number, uid, account, state, key, micro, tokens = row
    return KnownCall(number, uid, account, state, key, Amount(micro, tokens))
