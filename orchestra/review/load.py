"""Reads a batch into an index: each row of its book beside the table's own columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from orchestra.batch.decided import RowStanding, Standing
from orchestra.batch.folder import Folder
from orchestra.batch.spec import BatchSpec
from orchestra.batch.tables.table import open_table
from orchestra.book.decisions import Decision
from orchestra.book.journal import FinishedRow
from orchestra.core.errors import DuplicateId, InvalidTable
from orchestra.core.job import Field, Result
from orchestra.review.findings import STALE, WHOLE_ROW, Finding, finding, findings
from orchestra.review.index import Index, RowOf
from orchestra.review.texts import Cells

STATE_OF: Mapping[str, str] = {
    "approve": "approved",
    "edit": "edited",
    "reject": "rejected",
    "skip": "skipped",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A batch as it was read; where the book's `version` is another, rows ran since.

    `doubles` are rows with the id of another row: decisions go by ids, so nothing can be decided
    of them, and they are left out.
    """

    index: Index
    cells: Cells
    version: int
    doubles: tuple[int, ...]


def load(folder: Folder, spec: BatchSpec, standing: Standing) -> Loaded:
    """Read the rows of the batch in `folder`, with what `standing` says is decided of them."""
    book, index, cells, doubles = folder.book, Index(), Cells(), list[int]()
    version, names = book.versions, book.field_names()
    inputs = _inputs(spec)
    given = next(inputs, None)
    for row in book.rows():
        while given is not None and given[0] < row.ordinal:
            given = next(inputs, None)
        record = from_json(row.record_json)
        if any(error["type"] == DuplicateId.__name__ for error in record.get("errors") or ()):
            doubles.append(row.ordinal)
            continue
        values = given[1] if given is not None and given[0] == row.ordinal else {}
        text = "\n".join(values.values()) or text_read(record)
        cells.add(values)
        key = RowOf(row.ordinal, row.row_id, row.status, text, row.version)
        index.add(key, findings(record, names))
    index.ready()
    for row_id, decided in standing.rows():
        if (number := index.row(row_id)) is not None:
            note(index, number, decided, folder, standing)
    return Loaded(index, cells, version, tuple(doubles))


def note(
    index: Index,
    number: int,
    decided: RowStanding | None,
    folder: Folder,
    standing: Standing,
    names: Collection[str] | None = None,
) -> None:
    """Note in the index what stands decided of fields of a row, and what that raises anew.

    `names` are the fields that were decided of just now; without them it is of all.
    """
    raised: Mapping[str, Field] = {}
    is_raising = decided is not None and _may_raise(decided, index.rows[number].version)
    if is_raising:
        _, said, now = read_row(index, number, folder, standing)
        raised = {name: one for name, one in now.fields.items() if is_raised(one, said, name)}
        names = None  # what is decided of one field may raise another
    said = Counter(one.field for one in decided.history if one.undoes is None) if decided else {}
    index.tally.is_raising[number] = is_raising
    index.tally.of_row[number] = said.get(None, 0)
    for place in index.fields_of(number):
        name = index.key(place)[1]
        if names is not None and name not in names:
            continue
        index.tally.of_field[place] = said.get(name, 0)
        again = raised.get(name)
        index.flag(place, None if again is None else _raised(name, again))
        state = state_of(decided, name)[0]
        index.set_states([place], "open" if again and state != "skipped" else state)


def read_row(
    index: Index, number: int, folder: Folder, standing: Standing
) -> tuple[FinishedRow, Result, Result]:
    """A row's record, what the models said, and that with what people decided."""
    ordinal = index.rows[number].ordinal
    found = next(folder.book.rows(after=ordinal - 1, limit=1))
    result = Result.model_validate_json(found.record_json)
    return found, result, standing.applied(found, result)


def is_raised(now: Field, said: Result, name: str) -> bool:
    """Whether a field is for review because of what was decided: its source has changed since, or
    it was written of a value that a person has changed."""
    before = said.fields.get(name)
    is_flagged = bool(now.doubt or now.contradiction)
    return is_flagged and (now.decided is not None or before is None or now.doubt != before.doubt)


def _raised(name: str, now: Field) -> Finding:
    found = finding(name, now.model_dump())
    return replace(found, kind=STALE) if found.kind == "doubt" else found


def _may_raise(decided: RowStanding, version: int) -> bool:
    """Whether decisions may leave something for review: what is approved as it stands may not."""
    return any(
        one.action in ("edit", "reject") or one.version != version for one in decided.history
    )


def state_of(decided: RowStanding | None, name: str) -> tuple[str, Decision | None]:
    """What stands decided of a field, and by which decision: its own, or that of its row."""
    if decided is None:
        return "open", None
    if decided.row is not None and (decided.is_rejected or name == WHOLE_ROW):
        return STATE_OF[decided.row.action], decided.row
    held = None if name == WHOLE_ROW else decided.held(name)
    if held is not None:
        return STATE_OF[held.said.action], held.last
    skips = (one for one in decided.history if one.action == "skip" and one.undoes is None)
    last = next((one for one in reversed(list(skips)) if (one.field or "") in ("", name)), None)
    return ("open", None) if last is None else ("skipped", last)


def text_read(record: Mapping[str, Any]) -> str:
    """The text that models were given as data, of a record as plain JSON; empty without one."""
    return next((call["data"] for call in record.get("calls") or () if call.get("data")), "")


def _inputs(spec: BatchSpec) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The table's columns by ordinal; nothing where it is gone or cannot be read."""
    with suppress(InvalidTable, OSError):
        for row in open_table(spec.table, spec.read_as).rows():
            yield row.ordinal, row.values
