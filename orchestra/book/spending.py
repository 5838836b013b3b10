"""What a book's calls were spent on, and corrections of their prices; it knows no card.

An entry stays as it was booked: a correction is an entry of its own with its day, its reason and
what each call costs more or less by it, so that history shows both. Budgets held at the price of
their time; a correction changes no account.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestra.book.amounts import check_amount
from orchestra.book.database import Database
from orchestra.core.errors import BookError

PAGE_ROWS = 1024
FOLDED = "folded"  # the state of a sum


@dataclass(frozen=True, slots=True)
class Expense:
    """One paid call: in which account, for what, booked at what, and corrected by what.

    Or so many `calls` that were folded into a sum: its `account` is who paid for their jobs, 0 for
    nobody, its `label` that of their tags, and its `graph` theirs. `overrun_micro` is the part of
    `booked_micro` beyond the call's worst case. `saved_micro` is what a call that a shared cache
    answered would have cost, and None for a call that was made. `work` is (input tokens, output
    tokens, images) where its reply is kept, else None.
    """

    entry: int
    account: int
    node: str
    model: str
    day: str
    state: str
    booked_micro: int
    overrun_micro: int
    more_micro: int
    tokens: int
    saved_micro: int | None
    work: tuple[int, int, int] | None
    calls: int = 1
    hits: int = 0
    presumed_micro: int = 0
    label: str = ""
    graph: str = ""

    @property
    def cost_micro(self) -> int:
        """What it cost by the prices as they are known now."""
        return self.booked_micro + self.more_micro


@dataclass(frozen=True, slots=True)
class Correction:
    """A price that was wrong, put right on `at` (UTC); `price` is the right one, as on a card.

    `scaled` calls kept no reply, so that theirs are changed in the proportion of the others.
    """

    at: str
    model: str
    reason: str
    price: Mapping[str, Any]
    calls: int
    scaled: int
    more_micro: int


@dataclass(frozen=True, slots=True)
class SpendingAccount:
    """An account: its parent's number, and the row whose it is, when it is a row's."""

    number: int
    id: str
    parent: int | None
    label: str
    row_id: str | None


class Spending(Database):
    """The paid calls of a book, and its corrections."""

    def places(self) -> dict[int, SpendingAccount]:
        """All accounts by number."""
        rows = self._read(
            "SELECT accounts.number, id, parent, label, row_id FROM accounts"
            " LEFT JOIN records ON records.account = accounts.number"
        )
        return {row[0]: SpendingAccount(*row) for row in rows}

    def expenses(self, since: str | None = None) -> Iterator[Expense]:
        """Every call that was paid for or is presumed to be, in the order reserved.

        Before them the sums of those that were folded. With `since` those alone that were reserved
        on that day (2026-11-29) or later.
        """
        yield from (one for one in self._folded() if since is None or one.day >= since)
        last = 0 if since is None else self._last_before(since)
        while page := self._read(
            "SELECT number, account, node, model, day, state, cost_micro, overrun_micro,"
            " (SELECT CAST(coalesce(sum(more_micro), 0) AS BIGINT) FROM corrected"
            " WHERE entry = entries.number),"
            " tokens, CASE WHEN cached = 1 THEN saved_micro END,"
            " (SELECT reply FROM replies WHERE entry = entries.number)"
            " FROM entries WHERE number > ? AND state IN ('settled', 'presumed')"
            f" ORDER BY number LIMIT {PAGE_ROWS}",
            (last,),
        ):
            last = page[-1][0]
            for *fields, reply in page:
                one = Expense(*fields, work=_work(reply))
                presumed = one.cost_micro if one.state == "presumed" else 0
                hits = int(one.saved_micro is not None)
                yield replace(one, presumed_micro=presumed, hits=hits)

    def _folded(self) -> Iterator[Expense]:
        for row in self._read(
            "SELECT account, node, model, day, micro, overrun_micro, more_micro, tokens,"
            " saved_micro, calls, hits, presumed_micro, label, graph FROM sums"
            " ORDER BY day, model, node, label, graph, account"
        ):
            account, node, model, day, micro, overrun, more, tokens, saved, calls, hits, *rest = row
            yield Expense(
                0, account, node, model, day, FOLDED, micro, overrun, more, tokens,
                saved if hits else None, None, calls, hits, *rest,
            )  # fmt: skip

    def _last_before(self, day: str) -> int:
        """The number of the last entry that was reserved before `day`.

        Entries are numbered as they come, so that their days only grow.
        """
        low, high = 0, self._read("SELECT ifnull(max(number), 0) FROM entries")[0][0]
        while low < high:
            middle = (low + high + 1) // 2
            row = self._read_one(
                "SELECT day FROM entries WHERE number <= ? ORDER BY number DESC LIMIT 1", (middle,)
            )
            low, high = (middle, high) if row is None or row[0] < day else (low, middle - 1)
        return low

    def correct(
        self,
        model: str,
        *,
        reason: str,
        price: Mapping[str, Any],
        costs: Mapping[int, int],
        scaled: int,
    ) -> None:
        """Record that the calls in `costs` (by entry) cost so many micro-dollars.

        Raises `BookError` without a reason, for an entry of another model, or a negative cost.
        """
        if not reason.strip():
            raise BookError(
                f"The correction of {model!r} has no reason. Say why the price was wrong."
            )
        with self.transaction():
            number = self._write(
                "INSERT INTO corrections (at, model, reason, price, scaled)"
                " VALUES (datetime('now'), ?, ?, ?, ?)",
                (model, reason.strip(), json.dumps(price, sort_keys=True, default=str), scaled),
            ).lastrowid
            for entry, cost in costs.items():
                check_amount("cost_micro", cost, about=f"entry {entry}")
                changed = self._write(
                    "INSERT INTO corrected (correction, entry, more_micro) SELECT ?, number,"
                    " ? - cost_micro - (SELECT coalesce(sum(more_micro), 0) FROM corrected"
                    " WHERE entry = entries.number) FROM entries WHERE number = ? AND model = ?",
                    (number, cost, entry, model),
                ).rowcount
                if not changed:
                    raise BookError(f"Entry {entry!r} is no call of {model!r}. Use expenses().")

    def corrections(self) -> list[Correction]:
        """All corrections, the first one first."""
        rows = self._read(
            "SELECT at, model, reason, price, count(entry) + folded_calls, scaled,"
            " coalesce(sum(more_micro), 0) + folded_micro"
            " FROM corrections LEFT JOIN corrected ON correction = number"
            " GROUP BY number ORDER BY number"
        )
        return [
            Correction(at, model, reason, json.loads(price), calls, scaled, more)
            for at, model, reason, price, calls, scaled, more in rows
        ]


def _work(reply: str | None) -> tuple[int, int, int] | None:
    """The metered work of a kept reply."""
    try:
        prompt, output, images = json.loads(reply or "")["usage"]
        return int(prompt), int(output), int(images)
    except (ValueError, KeyError, TypeError):
        return None
