"""Known answers by row id: a table of true values, or a gold set that somebody labelled.

A gold set is a CSV with the batch's id, a column for each field, and how each row was drawn, so
that estimates from it can be weighed back to the whole batch. It knows no model and no terminal.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.batch.tables.table import Row, Table, open_table
from orchestra.core.errors import InvalidTable
from orchestra.quality.readings import Truth, Truths

GOLD = "gold.csv"  # the gold set of a batch, in its folder
WEIGHT = "label_weight"  # how many rows of the batch a row stands for
STRATUM = "label_stratum"
STATE = "label_state"
ROW = "label_row"  # the id's column where the batch has none
NOTHING = "(none)"  # the true answer is that there is none


def read_truths(path: Path, id_column: str | None) -> Truths:
    """The answers of the table at `path`; an id that stands twice counts once.

    Rows are named by `id_column`, in a gold set without it by `label_row`, else by their number.
    Raises `InvalidTable` when the table cannot be read or a weight is no number above 0.
    """
    table = open_table(path)
    named = next((name for name in (id_column, ROW) if name in table.columns), None)
    rows: dict[str, Truth] = {}
    for row in table.rows():
        row_id = row.values.get(named, "") if named else str(row.ordinal)
        rows.setdefault(row_id.strip(), Truth(dict(row.values), _weight(row, path)))
    return Truths(rows, table.columns)


def _weight(row: Row, path: Path) -> float:
    written = row.values.get(WEIGHT, "").strip() or "1"
    try:
        weight = float(written)
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise InvalidTable(
            f"{path}: row {row.ordinal} has {WEIGHT}={written!r}, which is no number above 0. "
            "Mend it, or remove the column."
        )
    return weight


@dataclass(slots=True)
class Drawn:
    """One row of a gold set: what was answered of it so far.

    `states` holds for each field that was dealt with `accepted`, `corrected`, `nothing`,
    `skipped` or `given`.
    """

    row_id: str
    weight: float
    stratum: str
    values: dict[str, str]
    states: dict[str, str]


def gold_bytes(drawn: Sequence[Drawn], fields: Sequence[str], id_column: str | None) -> bytes:
    """The gold set as CSV."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow([id_column or ROW, *fields, WEIGHT, STRATUM, STATE])
    for row in drawn:
        states = json.dumps(row.states, ensure_ascii=False)
        values = [row.values.get(name, "") for name in fields]
        writer.writerow([row.row_id, *values, format(row.weight, ".9g"), row.stratum, states])
    return file.getvalue().encode("utf-8")


def read_gold(path: Path) -> tuple[list[Drawn], list[str]]:
    """A gold set that was begun, and its fields. Raises `InvalidTable` for another table."""
    table = open_table(path)
    own = (WEIGHT, STRATUM, STATE)
    missing = [name for name in own if name not in table.columns]
    if missing:
        raise InvalidTable(
            f"{str(path)!r} is no gold set: it lacks the column {missing[0]!r}. Give --out a new "
            "file, or take labels from a table that has them with --gold."
        )
    fields = [name for name in table.columns[1:] if name not in own]
    return list(_drawn(table, fields, path)), fields


def _drawn(table: Table, fields: Sequence[str], path: Path) -> Iterator[Drawn]:
    for row in table.rows():
        values = {name: row.values[name] for name in fields if row.values[name].strip()}
        try:
            states = dict(json.loads(row.values[STATE] or "{}"))
        except (ValueError, TypeError):
            raise InvalidTable(
                f"{path}: row {row.ordinal} has {STATE}={row.values[STATE]!r:.80}, no JSON "
                "object. Mend it, or label into a new file with --out."
            ) from None
        row_id = row.values[table.columns[0]].strip()
        yield Drawn(row_id, _weight(row, path), row.values[STRATUM], values, states)
