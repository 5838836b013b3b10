"""Calls kept in the book's file as entries, and their replies; it knows no rule of a call.

An entry keeps what was said of its call for ever: what it reserved, cost, overran and saved.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from orchestra.book.accounts import Accounts
from orchestra.book.amounts import NOTHING, Amount
from orchestra.book.calls import Calls, CallState, KnownCall
from orchestra.book.messages import BeginCall, BookHit, ModelTotal, SettleCall

_COLUMNS = """uid, key, model, reserved_micro, reserved_tokens, state, number, account, epoch,
    cached, saved_micro, node"""


@dataclass(eq=False, slots=True)
class Entry(KnownCall):
    """A call as it stands in the file; its account by number."""

    number: int
    account: int
    epoch: int
    cached: int
    saved_micro: int
    node: str


class Entries(Accounts, Calls[Entry]):
    """The calls of a book and the replies they were paid for."""

    def recover(self, unbilled: Collection[str] = ()) -> int:
        """Close what earlier epochs left open; how many calls are presumed. Again finds nothing.

        A call on its way may have been made: it settles at its worst case, marked presumed. One on
        an `unbilled` model died with its machine's process, and nobody will ask for more than it
        usually costs: it settles at that (docs/adr/0076). Accounts that hold, and were not opened
        again since, are closed and give back the rest.
        """
        with self.transaction():
            self._living = self._epoch
            left = self._on_their_way("epoch < ?", self._epoch)
            usual: dict[tuple[str, str], Amount | None] = {}
            for entry in left:
                kind = (entry.model, entry.node)
                if kind not in usual:
                    usual[kind] = self._usual(*kind) if entry.model in unbilled else None
                self._finish(entry, "presumed", _at_most(entry.worst, usual[kind]))
            self._close_held()
            return len(left)

    def _usual(self, model: str, node: str) -> Amount | None:
        """What settled calls of a node on a model came to on average; None where there are none."""
        micro, tokens = self._read(
            "SELECT avg(cost_micro), avg(tokens) FROM entries"
            " WHERE state = 'settled' AND cached = 0 AND model = ? AND node = ?",
            (model, node),
        )[0]
        return None if micro is None else Amount(math.ceil(micro), math.ceil(tokens))

    def spare_the_living(self) -> None:
        """Until `recover`, take who began something in an earlier epoch to be alive.

        Who tells so in time, by the messages that began it, keeps what is theirs.
        """
        self._living = 1

    def close_unused(self) -> int:
        """Close accounts of earlier epochs that nobody opened again; how many.

        They are those of jobs: a plan gave them a ceiling, or calls were made in them. Those that
        pay for others, as a tenant's, stay.
        """
        with self.transaction():
            left = self._read(
                "SELECT id FROM accounts WHERE epoch < ? AND closed = 0 AND pending = 0"
                " AND (coalesce(ceiling_micro, ceiling_tokens) IS NOT NULL"
                " OR EXISTS (SELECT 1 FROM entries WHERE account = accounts.number))"
                " ORDER BY number DESC",
                (self._epoch,),
            )
            for (id,) in left:
                self._close_account(id)
            return len(left)

    def totals(self) -> list[ModelTotal]:
        """What all calls came to, by model and state."""
        return [ModelTotal(*row) for row in self._read("SELECT * FROM totals")]

    def _keep_alive(self, call: Entry) -> None:
        if call.epoch != self._epoch:
            self._write("UPDATE entries SET epoch = ? WHERE number = ?", (self._epoch, call.number))

    def _close_held(self) -> None:
        """Close holds of earlier epochs, children first: they were numbered after parents."""
        for id, number in self._read(
            "SELECT id, number FROM accounts WHERE epoch < ? AND hold = 1 AND closed = 0"
            " ORDER BY number DESC",
            (self._epoch,),
        ):
            pending = self._read("SELECT pending FROM accounts WHERE number = ?", (number,))
            if not pending[0][0]:  # else a child was opened again and is in use
                self._close_account(id)

    def _reply(self, key: str) -> str | None:
        row = self._read_one("SELECT reply FROM replies WHERE key = ?", (key,))
        return None if row is None else row[0]

    def _call(self, uid: str) -> Entry | None:
        row = self._read_one(f"SELECT {_COLUMNS} FROM entries WHERE uid = ?", (uid,))
        return None if row is None else _entry(row)

    def _left_in(self, account: str) -> list[Entry] | None:
        known = self._read_one(
            "SELECT number FROM accounts WHERE id = ? AND closed = 0", (account,)
        )
        return None if known is None else self._on_their_way("account = ?", known[0])

    def _on_their_way(self, condition: str, value: int) -> list[Entry]:
        rows = self._read(
            f"SELECT {_COLUMNS} FROM entries WHERE state = 'dispatched' AND {condition}"
            " ORDER BY number",
            (value,),
        )
        return [_entry(row) for row in rows]

    def _insert_call(self, begun: BeginCall | BookHit, worst: Amount, who: str) -> None:
        chain = self._chain(begun.account)
        self._change(chain, worst, pending=1, who=who)
        is_hit = isinstance(begun, BookHit)
        saved = (begun.saved_micro, begun.saved_tokens) if is_hit else (0, 0)
        self._write(
            "INSERT INTO entries (account, epoch, state, node, model, key, uid,"
            " reserved_micro, reserved_tokens, cached, saved_micro, saved_tokens, day)"
            " VALUES (?, ?, 'dispatched', ?, ?, ?, ?, ?, ?, ?, ?, ?, date('now'))",
            (
                chain[0],
                self._epoch,
                begun.node,
                begun.model,
                begun.key,
                begun.uid,
                worst.micro,
                worst.tokens,
                int(is_hit),
                *saved,
            ),
        )

    def _end_call(
        self, call: Entry, state: CallState, cost: Amount, paid: SettleCall | None
    ) -> None:
        overrun, chain = cost.beyond(call.worst), self._chain(call.account)
        measured = None if paid is None else paid.measured
        self._write(
            "UPDATE entries SET state = ?, cost_micro = ?, tokens = ?, overrun_micro = ?,"
            " overrun_tokens = ?, cpu_s = ?, measured = ? WHERE number = ?",
            (
                state,
                cost.micro,
                cost.tokens,
                overrun.micro,
                overrun.tokens,
                0.0 if paid is None else paid.cpu_s,
                None if measured is None else json.dumps(measured, sort_keys=True),
                call.number,
            ),
        )
        self._write(
            "INSERT INTO totals VALUES (?, ?, 1, ?, ?, ?, ?) ON CONFLICT (model, state) DO UPDATE"
            " SET calls = totals.calls + 1, micro = totals.micro + excluded.micro,"
            " tokens = totals.tokens + excluded.tokens,"
            " overrun_micro = totals.overrun_micro + excluded.overrun_micro,"
            " saved_micro = totals.saved_micro + excluded.saved_micro",
            (
                call.model,
                "cached" if call.cached else state,
                cost.micro,
                cost.tokens,
                overrun.micro,
                call.saved_micro,
            ),
        )
        who = f"call {call.uid!r}"
        self._change(chain, -call.worst, spent=cost, overrun=overrun, pending=-1, who=who)
        if paid is not None and paid.reply is not None:
            self._write(
                "INSERT INTO replies (key, entry, reply) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (call.key, call.number, paid.reply),
            )
        if state == "presumed":
            self._excuse(chain[0], call.worst)
        for number in chain if state == "presumed" else ():
            self._write(
                "UPDATE accounts SET presumed_micro = presumed_micro + ?,"
                " presumed_calls = presumed_calls + 1 WHERE number = ?",
                (cost.micro, number),
            )
        for number in chain if overrun != NOTHING else ():
            self._write(
                "INSERT INTO overruns (account, model, calls, micro, tokens)"
                " VALUES (?, ?, 1, ?, ?) ON CONFLICT (account, model) DO UPDATE SET"
                " calls = overruns.calls + 1, micro = overruns.micro + excluded.micro,"
                " tokens = overruns.tokens + excluded.tokens",
                (number, call.model, overrun.micro, overrun.tokens),
            )


def _entry(row: tuple[Any, ...]) -> Entry:
    uid, key, model, micro, tokens, *rest = row
    return Entry(uid, key, model, Amount(micro, tokens), *rest)


def _at_most(worst: Amount, usual: Amount | None) -> Amount:
    if usual is None:
        return worst
    return Amount(min(worst.micro, usual.micro), min(worst.tokens, usual.tokens))
