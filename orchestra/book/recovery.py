"""What a crash left open, closed: presumed, released, given back; it knows no file or lock."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.book.amounts import Amount
from orchestra.book.named import NamedCalls


@dataclass(frozen=True, slots=True)
class Recovery:
    """How many entries were presumed spent (at `cost_micro` in all) and released."""

    presumed: int
    released: int
    cost_micro: int
    closed_accounts: int


class Recoverable(NamedCalls):
    """A ledger that can tell what an earlier owner left open."""

    def recover(self) -> Recovery:
        """Close what earlier epochs left open; a second call finds nothing.

        A dispatched call may have been made: it settles at its worst case, marked presumed. A
        reserved one was not sent: it is released. Accounts that hold, and were not opened again
        since, are closed and give back the rest.
        """
        with self.transaction():
            left = self._read(
                "SELECT number, state, reserved_micro, reserved_tokens FROM entries"
                " WHERE epoch < ? AND state IN ('reserved', 'dispatched') ORDER BY number",
                (self._epoch,),
            )
            presumed = [row for row in left if row[1] == "dispatched"]
            for number, _, reserved_micro, reserved_tokens in presumed:
                self._presume(number, Amount(reserved_micro, reserved_tokens))
            for number, state, _, _ in left:
                if state == "reserved":
                    self.release(number)
            return Recovery(
                presumed=len(presumed),
                released=len(left) - len(presumed),
                cost_micro=sum(row[2] for row in presumed),
                closed_accounts=self._close_held(),
            )

    def abandon(self, account: str) -> int:
        """Close `account` as a crash would have left it, while its book goes on; calls presumed.

        For who ran in another process and died there: calls on their way settle at their worst
        case, and what its orphans still say of them changes nothing. An account that was never
        opened, or is closed, is left as it is.
        """
        with self.transaction():
            known = self._read_one("SELECT number, closed FROM accounts WHERE id = ?", (account,))
            if known is None or known[1]:
                return 0
            left = self._read(
                "SELECT number, state, reserved_micro, reserved_tokens FROM entries"
                " WHERE account = ? AND state IN ('reserved', 'dispatched') ORDER BY number",
                (known[0],),
            )
            for number, state, reserved_micro, reserved_tokens in left:
                if state == "dispatched":
                    self._presume(number, Amount(reserved_micro, reserved_tokens))
                else:
                    self.release(number)
            self.close_account(account)
            return sum(row[1] == "dispatched" for row in left)

    def _presume(self, entry: int, worst: Amount) -> None:
        self._close_entry(entry, "presumed", worst)
        row = self._read("SELECT account FROM entries WHERE number = ?", (entry,))[0]
        for link in self._chain(row[0]):
            self._write(
                "UPDATE accounts SET presumed_micro = presumed_micro + ?,"
                " presumed_entries = presumed_entries + 1 WHERE number = ?",
                (worst.micro, link.number),
            )

    def _close_held(self) -> int:
        """Close holds of earlier epochs, children first: they were numbered after parents."""
        closed = 0
        for id, number in self._read(
            "SELECT id, number FROM accounts WHERE epoch < ? AND hold AND NOT closed"
            " ORDER BY number DESC",
            (self._epoch,),
        ):
            pending = self._read("SELECT pending FROM accounts WHERE number = ?", (number,))
            if not pending[0][0]:  # else a child was opened again and is in use
                self.close_account(id)
                closed += 1
        return closed
