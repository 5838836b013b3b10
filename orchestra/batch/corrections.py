"""Corrections that people wrote into a file, as decisions of a batch's rows.

Three forms are read. A sheet has a line a field: `id`, `field`, `new value`, `decision`, `why`. A
list has the same without `new value`: then `value` is the new one. Any other table has a column a
field, such as products.csv itself: a cell that differs from what stands is an edit, an empty one
says nothing. What is wrong with a line is an error of that line, and the others are taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from orchestra.batch.decided import Standing
from orchestra.batch.folder import Folder
from orchestra.batch.output.exports import unguarded
from orchestra.batch.recipe import FieldRule, Recipe
from orchestra.batch.tables.gold import NOTHING
from orchestra.batch.tables.table import Row, Table, open_table
from orchestra.book.decisions import Action, Decision, NewDecision
from orchestra.core.answers.choices import Choices
from orchestra.core.errors import InvalidTable
from orchestra.core.job import Field, Result
from orchestra.core.spelling import did_you_mean
from orchestra.core.values import folded, text_of

IDS = ("id", "row_id")
FIELD, VALUE, NEW_VALUE, WHY, BY = "field", "value", "new value", "why", "by"
DECISIONS = ("decision", "action")
Said = tuple[str, str, str]  # what is decided, the new value, and the one that was seen
MOST_VALUES = 12  # of a choice, told where a value is none of them


@dataclass(frozen=True, slots=True)
class WrongLine:
    """A line of the file that cannot be taken, and why."""

    line: int
    row_id: str
    field: str | None
    why: str

    def __str__(self) -> str:
        of = f", field {self.field!r}" if self.field else ""
        return f"line {self.line} (row {self.row_id!r}{of}): {self.why}"


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a file says: decisions by who made them, lines that change nothing, and wrong ones."""

    decisions: tuple[tuple[str, NewDecision], ...]
    unchanged: int
    wrong: tuple[WrongLine, ...]

    def public(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "decisions": [{"by": by, **asdict(one)} for by, one in self.decisions],
            "unchanged": self.unchanged,
            "wrong": [asdict(one) for one in self.wrong],
        }


def read_corrections(folder: Folder, file: Path, *, by: str, why: str = "") -> Corrections:
    """What `file` says of the rows of a batch; lines that name nobody are of `by`.

    Raises `InvalidTable` for a file that cannot be read or says nothing of any row.
    """
    return _Reader(folder, open_table(file), by, why).read()


def apply_corrections(folder: Folder, found: Corrections) -> tuple[Decision, ...]:
    """Keep the decisions, all or none. Raises `InvalidDecision` and `BookError`."""
    written: list[Decision] = []
    with folder.book.transaction(is_shared=True):
        for name in dict.fromkeys(by for by, _ in found.decisions):
            own = [one for by, one in found.decisions if by == name]
            written += folder.book.decide(own, by=name)
    return tuple(sorted(written, key=lambda one: one.id))


class _Wrong(Exception):
    """Why a line cannot be taken."""


class _Reader:
    """Reads one file; it keeps the row that was read last, for its next field."""

    def __init__(self, folder: Folder, table: Table, by: str, why: str) -> None:
        spec = folder.spec
        self.book, self.table = folder.book, table
        self.standing = Standing.of(self.book)
        self.fields = self.book.field_names()
        self.values = _Values(spec.recipe)
        self.by, self.why = by, why
        named = {name.strip().casefold(): name for name in table.columns}
        ids = [*([spec.columns.id] if spec.columns.id else []), *IDS]
        self.id = next((named[i.casefold()] for i in ids if i.casefold() in named), None)
        self.columns = {key: named.get(key) for key in (FIELD, VALUE, NEW_VALUE, WHY, BY)}
        self.decision = next((named[key] for key in DECISIONS if key in named), None)
        # A field of that name has its own column in a wide table.
        self.is_long = self.columns[FIELD] is not None and FIELD not in self.fields
        self.decisions: list[tuple[str, NewDecision]] = []
        self.wrong: list[WrongLine] = []
        self.unchanged = 0
        self.seen: set[tuple[str, str | None]] = set()
        self._last: tuple[str, Result] | None = None

    def read(self) -> Corrections:
        """Every line of the file."""
        self._check_columns()
        for row in self.table.rows():
            row_id = unguarded(row.values.get(self.id or "", "")).strip()
            name: str | None = None
            try:
                if row.error is not None:
                    raise _Wrong(row.error.message)
                parts = list(self._long(row) if self.is_long else self._wide(row))
            except _Wrong as error:
                self.wrong.append(WrongLine(row.ordinal, row_id, name, str(error)))
                continue
            for name, said in parts:
                try:
                    self._take(row, row_id, name, said)
                except _Wrong as error:
                    self.wrong.append(WrongLine(row.ordinal, row_id, name, str(error)))
        return Corrections(tuple(self.decisions), self.unchanged, tuple(self.wrong))

    def _take(self, row: Row, row_id: str, name: str | None, said: Said) -> None:
        if (row_id, name) in self.seen:
            raise _Wrong("it stands in this file before already")
        one = self._decision(row, row_id, name, *said)
        self.seen.add((row_id, name))
        if one is None:
            self.unchanged += 1
        else:
            self.decisions.append((self._cell(row, BY) or self.by, one))

    def _check_columns(self) -> None:
        if self.id is None:
            raise InvalidTable(
                f"{str(self.table.path)!r} has no column of ids (it has: "
                f"{', '.join(map(repr, self.table.columns))}). Name it 'id'."
            )
        columns = set(self.table.columns)
        if not self.is_long and not columns & set(self.fields) and self.decision is None:
            raise InvalidTable(
                f"{str(self.table.path)!r} corrects nothing: it has neither the columns 'field' "
                f"and 'value' nor one of a field (the batch has: {', '.join(self.fields)})."
            )

    def _cell(self, row: Row, key: str) -> str:
        column = self.columns[key]
        return "" if column is None else unguarded(row.values.get(column, "")).strip()

    def _action(self, row: Row) -> str:
        action = row.values.get(self.decision, "").strip().casefold() if self.decision else ""
        if action and action not in get_args(Action):
            raise _Wrong(f"{action!r} is no decision. {did_you_mean(action, get_args(Action))}")
        return action

    def _long(self, row: Row) -> Iterator[tuple[str | None, Said]]:
        """The field of a line with what is decided, the new value, and the one that was seen."""
        name, action = self._cell(row, FIELD) or None, self._action(row)
        value = self._cell(row, VALUE)
        if self.columns[NEW_VALUE] is not None:
            new = self._cell(row, NEW_VALUE)
            if new and action not in ("", "edit"):
                raise _Wrong(f"it says {action!r} and gives the new value {new!r:.80}; write edit")
            if new or action:
                yield name, (action or "edit", new, value)
            return
        if value or action:
            yield name, (action or "edit", value, value)

    def _wide(self, row: Row) -> Iterator[tuple[str | None, Said]]:
        """Each field that a line gives another value, then what it says of the row."""
        for name in self.fields:
            cell = unguarded(row.values.get(name, "")).strip() if name in row.values else ""
            if cell:
                yield name, ("edit", cell, "")
        if action := self._action(row):
            if action == "edit":
                raise _Wrong("an edit is of a field; give its value in the field's column")
            yield None, (action, "", "")

    def _decision(
        self, row: Row, row_id: str, name: str | None, action: str, new: str, seen: str
    ) -> NewDecision | None:
        """The decision; None where it stands already. Raises `_Wrong`."""
        if name is not None and name not in self.fields:
            raise _Wrong(f"no row has a field {name!r}. {did_you_mean(name, self.fields)}")
        if name is None and action == "edit":
            raise _Wrong(f"it gives the value {new!r:.80} to no field; name one in 'field'")
        now = self._now(row_id)
        why = self._cell(row, WHY) or self.why
        if name is None:
            return self._of_row(row_id, action, why)
        field = now.fields.get(name, Field())
        if action == "edit":
            value = self.values.read(name, new, field)
            is_same = text_of(value) == text_of(field.value)
            if is_same and (value is not None or field.decided is not None):
                return None
            return NewDecision(row_id, "edit", field=name, value=value, why=why)
        if action == "approve":
            if seen and folded(seen) != folded(text_of(field.value) or NOTHING):
                raise _Wrong(
                    f"it approves {seen!r:.80}, and the field says "
                    f"{(text_of(field.value) or NOTHING)!r:.80} now"
                )
            if field.decided is not None and not field.doubt:
                return None
        if action == "reject" and field.decided is not None and field.decided.action == "reject":
            return None
        return NewDecision(row_id, action, field=name, why=why)  # type: ignore[arg-type]

    def _of_row(self, row_id: str, action: str, why: str) -> NewDecision | None:
        standing = self.standing.row(row_id)
        if standing is not None and standing.row is not None and standing.row.action == action:
            is_last = standing.history[-1].id == standing.row.id
            if is_last:
                return None
        return NewDecision(row_id, action, why=why)  # type: ignore[arg-type]

    def _now(self, row_id: str) -> Result:
        """What the row says now. Raises `_Wrong` for a row that has no result."""
        if self._last is not None and self._last[0] == row_id:
            return self._last[1]
        row = self.book.row_by_id(row_id)
        if row is None:
            raise _Wrong(f"no row {row_id!r} of this batch has a result")
        said = Result.model_validate_json(row.record_json)
        self._last = row_id, self.standing.applied(row, said)
        return self._last[1]


class _Values:
    """Reads a cell as a field's value: a choice by any word for it, a list or object as JSON."""

    def __init__(self, recipe: Recipe | None) -> None:
        self._rules: Mapping[str, FieldRule] = {} if recipe is None else recipe.fields
        self._choices = {
            name: Choices(rule.values, {w: value for value, ws in rule.terms.items() for w in ws})
            for name, rule in self._rules.items()
            if rule.type == "choice"
        }

    def read(self, name: str, cell: str, field: Field) -> Any:
        """The value; None for an empty cell and `(none)`. Raises `_Wrong`."""
        if cell in ("", NOTHING):
            return None
        if name in self._choices:
            return self._choice(name, cell)
        known = [field.value, *(one.value for one in field.alternatives)]
        like = next((value for value in known if value is not None), None)
        return cell if like is None or isinstance(like, str) else _as_json(cell, like)

    def _choice(self, name: str, cell: str) -> str:
        choices = self._choices[name]
        value = choices.find(cell)
        if value is None:
            told: Sequence[str] = choices.listed[:MOST_VALUES]
            more = len(choices.listed) - len(told)
            listed = ", ".join(map(repr, told)) + f" and {more} more" * (more > 0)
            raise _Wrong(
                f"the recipe has no value {cell!r:.80} for it (it has: {listed}). Add it to the "
                "recipe, or give one of these"
            )
        return value


def _as_json(cell: str, like: Any) -> Any:
    """A value of the kind of `like`; lines are the items of a list."""
    try:
        value = json.loads(cell)
    except ValueError:
        value = [line.strip() for line in cell.splitlines() if line.strip()]
    if isinstance(value, type(like)) or (
        isinstance(value, int | float) and isinstance(like, int | float)
    ):
        return value
    raise _Wrong(f"{cell!r:.80} is no {type(like).__name__}, as the field's value is")
