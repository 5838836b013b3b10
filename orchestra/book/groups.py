"""Decisions of many fields at once, written and taken back in the database itself.

Where 50,000 fields are approved, making each decision in Python takes seconds. What is kept is the
same: one record a decision, in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from orchestra.book.decisions import COLUMNS, Decisions, NewDecision, check, check_name, decided_at
from orchestra.core.errors import InvalidDecision

LOG_PAGES = 1000  # sqlite's own: with so many in the log a commit moves them into the file
# Of rows by their place, in the order in which those are given.
_ALIKE = f"""INSERT INTO decisions ({COLUMNS})
    SELECT ? + place.key, row_id, ?, ?, NULL, ?, ?, ?, ?, NULL, version
    FROM json_each(?) AS place CROSS JOIN finished ON ordinal = place.value"""
_UNDO_ALIKE = f"""INSERT INTO decisions ({COLUMNS})
    SELECT id + ?, row_id, field, action, value, ?, ?, ?, ?, id, version
    FROM decisions WHERE id BETWEEN ? AND ?"""


@dataclass(frozen=True, slots=True)
class DecisionSpan:
    """Decisions that were written together: the numbers of the first and the last."""

    first: int
    last: int
    group: str | None
    is_undo: bool

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class DecisionGroups(Decisions):
    """The decisions of a book, by what was written together."""

    def decide_alike(
        self,
        action: Literal["approve", "skip"],
        rows: Mapping[str | None, Sequence[int]],
        *,
        versions: int,
        by: str,
        group: str,
        why: str = "",
    ) -> int:
        """Approve or skip many fields as one `group`, in the book itself; how many there are.

        `rows` holds places of rows in the table by field, under None those of rows as a whole, as
        they were in the book of these `versions`. It writes what `decide` would, and in the same
        transaction, but 50,000 decisions take it a tenth of the time.

        Raises `InvalidDecision` where rows ran or another table came since, or a row has no
        result; `BookError` as `Book.do` does.
        """
        check_name(by)
        with self._unmoved(), self.transaction(is_shared=True):
            if known := self.group_size(group):
                return known
            if self.versions != versions:
                raise InvalidDecision(
                    f"Rows of this batch ran, or another table came, since the {action} of group "
                    f"{group!r} was shown. Open the page again."
                )
            fields, now, first = self.field_names(), decided_at(), self.state + 1
            for field, places in rows.items():
                if places:
                    check(NewDecision(f"at {places[0]}", action, field=field), fields)
                common = (field, action, by, now, why, group)
                self._write(_ALIKE, (first, *common, json.dumps(list(places))))
                first += len(places)
            count = self.group_size(group)
            if count != (asked := sum(map(len, rows.values()))):
                raise InvalidDecision(
                    f"Of the {asked} rows of group {group!r} only {count} have a result. Open the "
                    "page again."
                )
            return count

    def undo_alike(self, span: DecisionSpan, *, by: str, group: str, why: str = "") -> int:
        """Take back all decisions of `span` as one `group`, in the book itself; how many there are.

        Raises `InvalidDecision` where some of them are taken back already, and `BookError`.
        """
        check_name(by)
        with self._unmoved(), self.transaction(is_shared=True):
            if known := self.group_size(group):
                return known
            if undone := self.undone(span):
                raise InvalidDecision(
                    f"Decision {min(undone)} of {span.first} to {span.last} is taken back already. "
                    "Take back the others by their numbers."
                )
            away = self.state + 1 - span.first
            self._write(_UNDO_ALIKE, (away, by, decided_at(), why, group, span.first, span.last))
            return self.group_size(group)

    @contextmanager
    def _unmoved(self) -> Iterator[None]:
        """Leave what is committed in the log, which is as safe there: the next commit moves it into
        the file, when nobody waits for 50,000 decisions to be answered."""
        self._write("PRAGMA wal_autocheckpoint = 0")
        try:
            yield
        finally:
            self._write(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")

    def group_size(self, group: str) -> int:
        """How many decisions were written as `group`."""
        return self._read("SELECT count(*) FROM decisions WHERE grp = ?", (group,))[0][0]

    def spans(self, before: int | None = None) -> Iterator[DecisionSpan]:
        """What was written together, the last first; of what came before the decision `before`."""
        end = self.state if before is None else before - 1
        while end > 0:
            found = self._read_one(
                "SELECT id, grp, undoes IS NOT NULL FROM decisions WHERE id <= ?"
                " ORDER BY id DESC LIMIT 1",
                (end,),
            )
            if found is None:
                return
            last, group, is_undo = found
            query = "SELECT min(id) FROM decisions WHERE grp = ?"
            first = last if group is None else self._read(query, (group,))[0][0]
            yield DecisionSpan(first, last, group, bool(is_undo))
            end = first - 1

    def span_of(self, group: str) -> DecisionSpan | None:
        """Where the decisions of `group` stand; None where it is unknown."""
        found = self._read_one("SELECT max(id) FROM decisions WHERE grp = ?", (group,))
        last = None if found is None else found[0]
        return None if last is None else next(self.spans(last + 1))

    def members(self, span: DecisionSpan) -> list[tuple[str, str | None, str]]:
        """Row id, field and action of each decision of `span`."""
        query = "SELECT row_id, field, action FROM decisions WHERE id BETWEEN ? AND ?"
        return [*map(tuple, self._read(query, (span.first, span.last)))]

    def undone(self, span: DecisionSpan) -> set[int]:
        """The numbers of the decisions of `span` that are taken back."""
        found = self._read(
            "SELECT id, undoes FROM decisions WHERE undoes IS NOT NULL AND id > ? ORDER BY id DESC",
            (span.first,),
        )
        undone: set[int] = set()
        for id, undoes in found:  # a decision only takes back an earlier one
            if id not in undone:
                undone.add(undoes)
        return {id for id in undone if span.first <= id <= span.last}
