"""Reads a batch into an index: each row of its book beside the table's own columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from orchestra.batch.decided import RowStanding, Standing
from orchestra.batch.folder import Folder
from orchestra.batch.spec import BatchSpec
from orchestra.batch.tables.table import open_table
from orchestra.book.decisions import Action, Decision
from orchestra.core.errors import InvalidTable
from orchestra.review.findings import findings
from orchestra.review.index import Index, RowOf
from orchestra.review.texts import Cells

STATE_OF: Mapping[Action, str] = {
    "approve": "approved",
    "edit": "edited",
    "reject": "rejected",
    "skip": "skipped",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A batch as it was read; where the book's `version` is another, rows ran since."""

    index: Index
    cells: Cells
    version: int


def load(folder: Folder, spec: BatchSpec, standing: Standing) -> Loaded:
    """Read the rows of the batch in `folder`, with what `standing` says is decided of them."""
    book, index, cells = folder.book, Index(), Cells()
    version, names = book.versions, book.field_names()
    inputs = _inputs(spec)
    given = next(inputs, None)
    for row in book.rows():
        while given is not None and given[0] < row.ordinal:
            given = next(inputs, None)
        values = given[1] if given is not None and given[0] == row.ordinal else {}
        record = from_json(row.record_json)
        text = "\n".join(values.values()) or text_read(record)
        cells.add(values)
        index.add(RowOf(row.ordinal, row.row_id, row.status, text), findings(record, names))
    index.ready()
    for row_id, decided in standing.rows():
        if (number := index.row(row_id)) is not None:
            note(index, number, decided)
    return Loaded(index, cells, version)


def note(index: Index, number: int, decided: RowStanding | None) -> None:
    """Note in the index what stands decided of each field of a row."""
    for place in index.fields_of(number):
        index.set_states([place], state_of(decided, index.key(place)[1])[0])


def state_of(decided: RowStanding | None, name: str) -> tuple[str, Decision | None]:
    """What stands decided of a field, and by which decision: its own, or that of its row."""
    if decided is None:
        return "open", None
    if decided.is_rejected:
        return "rejected", decided.row
    held = decided.held(name)
    if held is not None:
        return STATE_OF[held.said.action], held.last
    skips = (one for one in decided.history if one.action == "skip" and one.undoes is None)
    last = next((one for one in reversed(list(skips)) if one.field in (None, name)), None)
    return ("open", None) if last is None else ("skipped", last)


def text_read(record: Mapping[str, Any]) -> str:
    """The text that models were given as data, of a record as plain JSON; empty without one."""
    return next((call["data"] for call in record.get("calls") or () if call.get("data")), "")


def _inputs(spec: BatchSpec) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The table's columns by ordinal; nothing where it is gone or cannot be read."""
    with suppress(InvalidTable, OSError):
        for row in open_table(spec.table).rows():
            yield row.ordinal, row.values
