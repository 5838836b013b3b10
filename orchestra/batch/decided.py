"""What people decided of a batch's rows, laid over what the models said.

A decision holds for its row's id, whatever the table does. A value that was edited or approved is
locked: a row that is run again keeps it, and where what it was read from has changed since, it is
for review with both values. It knows no folder and no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from orchestra.batch.outdated import is_same, outdated
from orchestra.book.book import Book
from orchestra.book.decisions import PAGE_DECISIONS, Decision, live
from orchestra.book.journal import FinishedRow
from orchestra.core.errors import DuplicateId
from orchestra.core.job import Decided, Field, Result, Status
from orchestra.core.values import text_of

NEVER_SAID = Field()


@dataclass(frozen=True, slots=True)
class Held:
    """What holds of a field: who gave or locked its value, and the last who looked at it.

    `locks` are approvals without an edit or a rejection, the first first.
    """

    said: Decision
    last: Decision
    locks: tuple[Decision, ...] = ()


@dataclass(frozen=True)
class RowStanding:
    """What stands of a row's decisions: `history` holds those that nobody took back."""

    history: tuple[Decision, ...]

    @cached_property
    def row(self) -> Decision | None:
        """The last approval or rejection of the whole row."""
        whole = (one for one in reversed(self._said) if one.field is None)
        return next((one for one in whole if one.action != "skip"), None)

    @cached_property
    def fields(self) -> Mapping[str, Decision]:
        """By field, the decision that gave, locked or emptied its value; of fields by name."""
        names = dict.fromkeys(one.field for one in self._said if one.field is not None)
        held = {name: self.held(name) for name in names}
        return {name: one.said for name, one in held.items() if one is not None}

    @property
    def skipped(self) -> Decision | None:
        """The last decision, where that was to leave the row for later."""
        last = self._said[-1] if self._said else None
        return last if last is not None and last.action == "skip" else None

    @property
    def is_rejected(self) -> bool:
        """Whether the whole row was rejected."""
        return self.row is not None and self.row.action == "reject"

    @property
    def is_approved(self) -> bool:
        """Whether the whole row was approved."""
        return self.row is not None and self.row.action == "approve"

    def is_decided(self, name: str) -> bool:
        """Whether a person said what becomes of the field."""
        return self.held(name) is not None

    def held(self, name: str) -> Held | None:
        """What holds of the field `name`; None where nobody decided of it or its row.

        Approving what was edited or rejected keeps that; approving a rejected field by its name
        takes the model's value.
        """
        found: Held | None = None
        for one in self._said:
            if one.field not in (None, name) or one.action == "skip":
                continue
            if one.field is None and one.action == "reject":
                continue  # of the row, whose fields are as they were when it is approved again
            if one.action != "approve":
                found = Held(one, one)
            elif found is None or (found.said.action == "reject" and one.field == name):
                found = Held(one, one, (one,))
            elif found.said.action == "approve":
                found = Held(found.said, one, (*found.locks, one))
            else:
                found = Held(found.said, one)
        return found

    @cached_property
    def _said(self) -> list[Decision]:
        return [one for one in self.history if one.undoes is None]

    def shown(self, one: Decision) -> Decided:
        """A decision as the fields that it is of show it."""
        if one.id not in self._shown:
            self._shown[one.id] = _decided(one)
        return self._shown[one.id]

    @cached_property
    def _shown(self) -> dict[int, Decided]:
        return {}


@dataclass(frozen=True, slots=True)
class Past:
    """A record that another has taken the place of, and what its job had read."""

    record_json: str
    source: str


class _Records(Mapping[int, Past]):
    """All records of a book, read one by one."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def __getitem__(self, version: int) -> Past:
        row = self._book.record(version)
        if row is None:
            raise KeyError(version)
        return Past(row.record_json, row.source)

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return self._book.versions


@dataclass(slots=True)
class Standing:
    """The decisions of a book up to a `state`, by row.

    `past` holds the records that decisions were about and that stand no longer, by version; in an
    earlier state it reads them from the book. Of more than `at_once` new decisions a row's are read
    when somebody asks for the row.
    """

    state: int = 0
    versions: int = 0
    past: Mapping[int, Past] = field(default_factory=dict[int, "Past"])
    at_once: int = PAGE_DECISIONS
    _decisions: dict[str, list[Decision]] = field(default_factory=dict)
    _rows: dict[str, RowStanding | None] = field(default_factory=dict)
    _read: dict[int, Mapping[str, Field]] = field(default_factory=dict)
    _late: tuple[Book, int] | None = None

    @classmethod
    def of(cls, book: Book, up_to: int | None = None) -> Standing:
        """What stands in `book`, or stood in the state `up_to`. Raises `BookError`."""
        if up_to is None:
            return cls()._taken_in(book, book.state)
        # A record of then may stand again now.
        return cls(versions=book.versions, past=_Records(book))._taken_in(book, up_to)

    def renewed(self, book: Book) -> Standing:
        """This one, with what was decided since. Raises `BookError`."""
        state = book.state
        is_much = state - self.state > self.at_once
        if self._late is None and not is_much:
            return self._taken_in(book, state)
        if not is_much:
            for one in book.decisions(self.state, up_to=state):
                self._rows.pop(one.row_id, None)
        else:
            self._rows.clear()
        self._late = self._late or (book, self.state)
        self.state = state
        self._renew_past(book)
        return self

    def _catch_up(self) -> None:
        """Read what was left to be read."""
        if self._late is not None:
            (book, self.state), self._late, state = self._late, None, self.state
            self._taken_in(book, state)

    def _taken_in(self, book: Book, state: int) -> Standing:
        for one in book.decisions(self.state, up_to=state):
            self._decisions.setdefault(one.row_id, []).append(one)
            self._rows.pop(one.row_id, None)
        self.state = state
        self._renew_past(book)
        return self

    def _renew_past(self, book: Book) -> None:
        if (versions := book.versions) != self.versions:
            found = book.records_decided_of()
            self.past = {version: Past(*kept) for version, kept in found.items()}
            self.versions = versions

    def __len__(self) -> int:
        """How many rows somebody decided of."""
        self._catch_up()
        return len(self._decisions)

    def rows(self) -> Iterator[tuple[str, RowStanding]]:
        """Every row of which a decision stands."""
        self._catch_up()
        for row_id in self._decisions:
            standing = self.row(row_id)
            if standing is not None:
                yield row_id, standing

    def row(self, row_id: str) -> RowStanding | None:
        """What stands of a row; None where nobody decided anything of it."""
        if self._late is None and row_id not in self._decisions:
            return None
        if row_id not in self._rows:
            said = self._decisions.get(row_id, [])
            if self._late is not None:
                book, after = self._late
                said = [*said, *book.decisions(after, up_to=self.state, row_id=row_id)]
            kept = tuple(live(said))
            is_said = any(one.undoes is None for one in kept)
            self._rows[row_id] = RowStanding(kept) if is_said else None
        return self._rows[row_id]

    def of_record(self, row: FinishedRow, result: Result) -> RowStanding | None:
        """What stands of this row; None too for one whose id is another row's."""
        return None if _is_double(result) else self.row(row.row_id)

    def applied(self, row: FinishedRow, result: Result) -> Result:
        """`result` of `row` with what people decided of it: values, locks and status."""
        standing = self.of_record(row, result)
        if standing is None:
            return result
        names = dict.fromkeys([*result.fields, *standing.fields])
        fields = {
            name: self._field(name, standing, row, result.fields.get(name, NEVER_SAID))
            for name in names
        }
        if standing.is_rejected and standing.row is not None:
            shown = standing.shown(standing.row)
            empty = {name: _rejected(one, shown) for name, one in fields.items()}
            return result.model_copy(update={"fields": empty, "answer": None, "status": "failed"})
        fields |= dict(outdated(fields, result.fields))
        answer = text_of(fields["answer"].value) if "answer" in fields else result.answer
        status = _status(result, fields, is_approved=standing.is_approved)
        return result.model_copy(update={"fields": fields, "status": status, "answer": answer})

    def _field(self, name: str, standing: RowStanding, row: FinishedRow, now: Field) -> Field:
        held = standing.held(name)
        if held is None:
            return now
        if held.said.action == "reject":
            return _rejected(now, standing.shown(held.said))
        if held.said.action == "edit":
            kept = _edited(now, held.said.value, standing.shown(held.said))
        else:
            kept = self._locked(name, held, standing, row, now)
        if not self._is_stale(name, held.last, row) or is_same(kept, now):
            return kept
        return _flagged(kept, now, held.last)

    def _locked(
        self, name: str, held: Held, standing: RowStanding, row: FinishedRow, now: Field
    ) -> Field:
        """The first value that was approved; none was where the field was empty each time."""
        for lock in held.locks:
            then = now if lock.version == row.version else self._then(lock.version, name, now)
            if then.answered:
                return _approved(then, now, standing.shown(lock))
        last = standing.shown(held.last)
        if held.last.version == row.version:
            return _approved(now, now, last)
        if not now.answered:
            return now.model_copy(update={"decided": last})
        why = f"it was empty when {held.last.by} approved the row"
        return now.model_copy(update={"doubt": why})

    def _then(self, version: int, name: str, now: Field) -> Field:
        """The field as it was in a record that was decided of."""
        if version not in self.past:
            return now
        if version not in self._read:
            record = Result.model_validate_json(self.past[version].record_json)
            self._read[version] = record.fields
        return self._read[version].get(name, NEVER_SAID)

    def _is_stale(self, name: str, last: Decision, row: FinishedRow) -> bool:
        """Whether what the field was read from is another now than who decided saw."""
        if last.version == row.version or last.version not in self.past:
            return False
        then, now = self.past[last.version].source.split("."), row.source.split(".")
        if len(then) != 2 or len(now) != 2:
            return then != now
        read = self._then(last.version, name, NEVER_SAID).source
        if read == "text":
            return then[0] != now[0]
        return then[1] != now[1] if read == "photo" else then != now


def _is_double(result: Result) -> bool:
    """Whether the row has an id that another row has; decisions of the id are of the other."""
    return any(error.type == DuplicateId.__name__ for error in result.errors)


def told(one: Decision | Decided) -> str:
    """Who decided, when and why, in a line."""
    past = {"edit": "edited", "approve": "approved", "reject": "rejected", "skip": "left for later"}
    at = one.at[:16].replace("T", " ")
    return _told(f"{past[one.action]} by {one.by} on {at} UTC", one.why)


def _decided(one: Decision) -> Decided:
    action: Literal["edit", "approve", "reject"] = "approve" if one.action == "skip" else one.action
    return Decided(action=action, by=one.by, at=one.at, why=one.why, state=one.id)


def _edited(now: Field, value: Any, edit: Decided) -> Field:
    has_value = value not in (None, "", [])
    return Field(
        value=value if has_value else None,
        source="person" if has_value else "none",
        note=None if has_value else _told(f"{edit.by} says that it has none", edit.why),
        alternatives=_readings(now),
        decided=edit,
    )


def _approved(then: Field, now: Field, lock: Decided) -> Field:
    is_own = then is now or is_same(then, now)
    others = then.alternatives if is_own else (*_readings(now), *then.alternatives)
    return then.model_copy(
        update={"contradiction": False, "doubt": None, "alternatives": others, "decided": lock}
    )


def _rejected(now: Field, reject: Decided) -> Field:
    told = _told(f"rejected by {reject.by}", reject.why)
    return Field(note=told, alternatives=_readings(now), decided=reject)


def _flagged(kept: Field, now: Field, last: Decision) -> Field:
    """A value whose source has changed since: it stays, and the new reading stands beside it."""
    said = repr(text_of(now.value)) if now.answered else "nothing"
    verb = "gave it" if last.action == "edit" else "approved it"
    doubt = f"what it was read from has changed since {last.by} {verb}; it reads {said} now"
    readings = _readings(now)
    others = (*readings, *(one for one in kept.alternatives if one not in readings))
    update = {"contradiction": now.answered, "doubt": doubt, "alternatives": others}
    return kept.model_copy(update=update)


def _readings(now: Field) -> tuple[Field, ...]:
    """The model's own reading, then those beside it, as alternatives of another value."""
    if not now.answered:
        return now.alternatives
    return (now.model_copy(update={"alternatives": (), "contradiction": False}), *now.alternatives)


def _told(fact: str, why: str) -> str:
    return f"{fact}: {why}" if why else fact


def _status(result: Result, fields: Mapping[str, Field], *, is_approved: bool) -> Status:
    """The status of a row that somebody decided of: complete once nothing of it is left open."""
    if result.status == "waiting":
        return "waiting"
    is_answered = any(one.answered for one in fields.values()) or result.answer is not None
    is_open = any(one.contradiction or one.doubt for one in fields.values())
    is_settled = is_approved or all(one.decided is not None for one in fields.values())
    if not is_answered:
        # Of a row that is empty because its fields were rejected nothing is left to decide.
        return "complete" if fields and is_settled and not result.errors else result.status
    if is_open:
        return "review"
    return "complete" if is_settled or not result.errors else "partial"
