"""What people decided of a batch's rows, and the tables it has had: records that only grow.

A decision's id is the number of the state that it led to; a table takes a number of the same
count when it comes. Nothing is changed or deleted: what is taken back is taken back by another
decision. They belong to no epoch, so another process may write them while a batch runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from orchestra.book.journal import Journal
from orchestra.core.errors import InvalidDecision
from orchestra.core.spelling import did_you_mean

Action = Literal["edit", "approve", "reject", "skip"]
PAGE_DECISIONS = 4096

COLUMNS = "id, row_id, field, action, value, by, at, why, grp, undoes, version"
_DECISION = f"SELECT {COLUMNS} FROM decisions"
_STATE = """SELECT max(ifnull((SELECT max(id) FROM decisions), 0),
    ifnull((SELECT max(state) FROM tables), 0))"""


@dataclass(frozen=True, slots=True)
class NewDecision:
    """What a person says of a row, or of one `field` of it.

    An `edit` is of a field and gives its `value`, any JSON; None says that it has none. An
    `approve` locks what stands, a `reject` empties it, and a `skip` leaves it for later.
    """

    row_id: str
    action: Action
    _: KW_ONLY
    field: str | None = None
    value: Any = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as it is kept: `by` whom, `at` what time (UTC, ISO 8601) and `why`.

    Those that were written together have one `group`. One that `undoes` another says nothing
    else. `version` is that of the row's record that the person saw.
    """

    id: int
    row_id: str
    field: str | None
    action: Action
    value: Any
    by: str
    at: str
    why: str
    group: str | None
    undoes: int | None
    version: int


class Decisions(Journal):
    """The decisions of a book."""

    @property
    def state(self) -> int:
        """The number of the last decision or table; 0 where there is none yet."""
        found = self._read_one(_STATE)
        return 0 if found is None else int(found[0])

    def decisions(
        self, after: int = 0, *, up_to: int | None = None, row_id: str | None = None
    ) -> Iterator[Decision]:
        """Decisions with an id above `after`, in their order, those that were undone too."""
        last = self.state if up_to is None else up_to
        which, of_row = ("", ()) if row_id is None else (" AND row_id = ?", (row_id,))
        query = f"{_DECISION} WHERE id > ? AND id <= ?{which} ORDER BY id LIMIT {PAGE_DECISIONS}"
        while page := self._read(query, (after, last, *of_row)):
            after = page[-1][0]
            for found in page:
                yield _decision(found)

    def decide(
        self,
        decisions: Sequence[NewDecision],
        *,
        by: str,
        why: str = "",
        group: str | None = None,
    ) -> tuple[Decision, ...]:
        """Write `decisions`, all or none, as one transaction; what was written.

        `why` is the reason of those that give none. A `group` that was written before is
        not written again: what it came to is returned, so that who heard no answer may repeat it.

        Raises `InvalidDecision` for a row without a result, a field that no row has, an edit
        without a field, or a value without an edit; `BookError` as `Book.do` does.
        """
        check_name(by)
        with self.transaction(is_shared=True):
            if group is not None and (known := self.group(group)):
                return known
            fields = self.field_names()
            for one in decisions:
                check(one, fields)
            seen = self._versions([one.row_id for one in decisions])
            if strange := next((one for one in decisions if one.row_id not in seen), None):
                raise InvalidDecision(
                    f"No row {strange.row_id!r} of this batch has a result, so nothing can be "
                    "decided of it. Check its id, or run the batch first."
                )
            first, now = self.state + 1, decided_at()
            return self._insert(
                Decision(
                    id,
                    new.row_id,
                    new.field,
                    new.action,
                    new.value,
                    by,
                    now,
                    new.why or why,
                    group,
                    None,
                    seen[new.row_id],
                )
                for id, new in enumerate(decisions, first)
            )

    def undo(
        self, ids: Sequence[int], *, by: str, why: str = "", group: str | None = None
    ) -> tuple[Decision, ...]:
        """Take decisions back, by as many others; one that is taken back already is passed over.

        Taking back a decision that took back another makes that one stand again. Raises
        `InvalidDecision` for a number that is no decision, and `BookError`.
        """
        check_name(by)
        with self.transaction(is_shared=True):
            if group is not None and (known := self.group(group)):
                return known
            found = [self._by_id(id) for id in ids]
            undone = {one.undoes for one in live(self._beside(found))}
            left = [one for one in found if one.id not in undone]
            return self._take_back(left, by=by, why=why, group=group)

    def roll_back(self, to: int, *, by: str, why: str = "") -> tuple[Decision, ...]:
        """Let the decisions of the state `to` stand again, by taking back what came later.

        Raises `InvalidDecision` for a state that never was, and `BookError`.
        """
        check_name(by)
        with self.transaction(is_shared=True):
            last = self.state
            if not 0 <= to <= last:
                raise InvalidDecision(
                    f"There is no state {to}: the last is {last}. `orchestra decisions` lists them."
                )
            later = live(list(self.decisions(to)))
            # What took back one as late as itself stays, or that one would stand again.
            standing = [one for one in later if one.undoes is None or one.undoes <= to]
            return self._take_back(standing, by=by, why=why or f"back to state {to}", group=None)

    def group(self, group: str) -> tuple[Decision, ...]:
        """The decisions that were written as `group`; none where it is unknown."""
        return tuple(_decision(row) for row in self._read(f"{_DECISION} WHERE grp = ?", (group,)))

    def _by_id(self, id: int) -> Decision:
        found = self._read_one(f"{_DECISION} WHERE id = ?", (id,))
        if found is None:
            raise InvalidDecision(f"There is no decision {id}: the last state is {self.state}.")
        return _decision(found)

    def _beside(self, found: Sequence[Decision]) -> list[Decision]:
        """All decisions of the rows of `found`, in their order."""
        ids = json.dumps(list({one.row_id for one in found}))
        rows = self._read(
            f"{_DECISION} WHERE row_id IN (SELECT value FROM json_each(?)) ORDER BY id", (ids,)
        )
        return [_decision(row) for row in rows]

    def _versions(self, row_ids: Sequence[str]) -> dict[str, int]:
        """The version of the record of each row that has one; of two rows of an id the first's."""
        rows = self._read(
            "SELECT row_id, version FROM finished WHERE row_id IN"
            " (SELECT value FROM json_each(?)) ORDER BY ordinal DESC",
            (json.dumps(list(dict.fromkeys(row_ids))),),
        )
        return dict(rows)

    def _take_back(
        self, decisions: Sequence[Decision], *, by: str, why: str, group: str | None
    ) -> tuple[Decision, ...]:
        first, now = self.state + 1, decided_at()
        return self._insert(
            replace(one, id=id, by=by, at=now, why=why, group=group, undoes=one.id)
            for id, one in enumerate(sorted(decisions, key=lambda one: -one.id), first)
        )

    def _insert(self, decisions: Iterable[Decision]) -> tuple[Decision, ...]:
        rows = tuple(decisions)
        self._write_many(
            f"INSERT INTO decisions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    one.id,
                    one.row_id,
                    one.field,
                    one.action,
                    json.dumps(one.value, ensure_ascii=False) if one.action == "edit" else None,
                    one.by,
                    one.at,
                    one.why,
                    one.group,
                    one.undoes,
                    one.version,
                )
                for one in rows
            ),
        )
        return rows


def live(decisions: Sequence[Decision]) -> list[Decision]:
    """Those of a row's decisions, in their order, that nobody took back.

    A decision only takes back an earlier one, so the last is read first.
    """
    found: list[Decision] = []
    undone: set[int] = set()
    for one in reversed(decisions):
        if one.id in undone:
            continue
        if one.undoes is not None:
            undone.add(one.undoes)
        found.append(one)
    return found[::-1]


def _decision(row: Sequence[Any]) -> Decision:
    value = None if row[4] is None else json.loads(row[4])
    return Decision(row[0], row[1], row[2], row[3], value, *row[5:])


def decided_at() -> str:
    """The time of now as decisions keep it: UTC, ISO 8601, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def check_name(by: str) -> None:
    """Raises `InvalidDecision` where nobody is named."""
    if not by.strip():
        raise InvalidDecision("A decision needs the name of who made it. Give it as --by NAME.")


def check(new: NewDecision, fields: Sequence[str]) -> None:
    """Raises `InvalidDecision` for a decision that says too much or too little."""
    if new.field is not None and new.field not in fields:
        raise InvalidDecision(
            f"No row has a field {new.field!r} (of row {new.row_id!r}). "
            f"{did_you_mean(new.field, fields)}"
        )
    if new.action == "edit" and new.field is None:
        raise InvalidDecision(
            f"The edit of row {new.row_id!r} names no field. Name the field that it is of."
        )
    if new.action != "edit" and new.value is not None:
        raise InvalidDecision(
            f"To {new.action} row {new.row_id!r} takes no value (got {new.value!r:.80}). "
            "Give it as an edit."
        )
