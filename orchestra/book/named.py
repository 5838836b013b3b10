"""Calls named by ids that their clients make, so that a message sent twice counts once.

A client that lost an answer sends the same message again: a call that began, was paid or was
given back under its `uid` is left as it is. It knows no message and no process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestra.book.amounts import NOTHING, Amount, check_amount
from orchestra.book.calls import Entries, Settlement
from orchestra.core.errors import BookError


class NamedCalls(Entries):
    """The calls of a book by their uids."""

    def begin(
        self,
        uid: str,
        account: str,
        *,
        key: str,
        node: str,
        model: str,
        cost_micro: int,
        tokens: int,
    ) -> str | None:
        """The reply already paid for under `key`; else None, with the call reserved and dispatched.

        A `uid` that is under way already gives None again. Raises what `reserve` raises, and
        `BookError` for a `uid` whose call is over.
        """
        with self.transaction():
            known = self._find(uid)
            if known is None:
                stored = self.reply(key)
                if stored is None:
                    self._reserve(
                        account,
                        Amount(cost_micro, tokens),
                        node=node,
                        model=model,
                        key=key,
                        uid=uid,
                        state="dispatched",
                    )
                return stored
            if known[1] != "dispatched":
                raise BookError(
                    f"The call {uid!r} is {known[1]!r} already and cannot begin again. "
                    "Give each call an id of its own."
                )
            return None

    def hit(
        self,
        uid: str,
        account: str,
        *,
        key: str,
        node: str,
        model: str,
        saved: Amount,
        reply: str,
    ) -> str | None:
        """Book a call that a shared cache answered: settled at nothing, with what that saved.

        The reply that this book holds under `key` already is returned instead, with nothing
        booked. Raises `BookError` for an unknown or closed account or a negative amount.
        """
        with self.transaction():
            if self._find(uid) is not None:
                return None
            stored = self.reply(key)
            if stored is not None:
                return stored
            about = f"the saving of node {node!r} on model {model!r}"
            check_amount("cost_micro", saved.micro, about=about)
            check_amount("tokens", saved.tokens, about=about)
            number = self._reserve(
                account, NOTHING, node=node, model=model, key=key, uid=uid, state="dispatched"
            )
            self._settle(Settlement(number, 0, 0, reply=reply))
            self._write(
                "UPDATE entries SET cached = 1, saved_micro = ?, saved_tokens = ? WHERE number = ?",
                (saved.micro, saved.tokens, number),
            )
            return None

    def pay(
        self,
        uid: str,
        *,
        cost_micro: int,
        tokens: int,
        cpu_s: float = 0.0,
        reply: str | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        """Settle the call `uid`; a settled or presumed one stays. Raises as `settle` does."""
        with self.transaction():
            number, state = self._found(uid)
            if state not in ("settled", "presumed"):
                self._settle(Settlement(number, cost_micro, tokens, cpu_s, measured, reply))

    def give_back(self, uid: str) -> None:
        """Release the call `uid`; one that never began, was released or presumed stays.

        Raises `BookError` when it was paid for.
        """
        with self.transaction():
            known = self._find(uid)
            if known is not None and known[1] not in ("released", "presumed"):
                self.release(known[0])

    def _found(self, uid: str) -> tuple[int, str]:
        known = self._find(uid)
        if known is None:
            raise BookError(f"No call {uid!r} in this book. Begin it before settling it.")
        return known

    def _find(self, uid: str) -> tuple[int, str] | None:
        row = self._read_one("SELECT number, state FROM entries WHERE uid = ?", (uid,))
        return None if row is None else (row[0], row[1])
