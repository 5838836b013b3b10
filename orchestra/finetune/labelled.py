"""Rows whose fields a user labelled: of a table filled in part, of JSON lines, or of a gold set.

A field with an empty list is known to have no value; a field that is left out is not known. It
knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.batch.columns import TEXT_NAMES
from orchestra.batch.folder import Folder
from orchestra.batch.labels import labelled_rows
from orchestra.batch.tables.gold import NOTHING, STATE, STRATUM, WEIGHT, read_gold
from orchestra.batch.tables.table import Table, open_table, resolve_columns
from orchestra.core.errors import InvalidTable
from orchestra.finetune.rows import read_rows
from orchestra.finetune.values import texts_of


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A text, the group that it is said to be of (or ""), and the known values of its fields."""

    text: str
    group: str
    values: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Labels:
    """Where labelled rows are: a table, JSON lines with answers, or the folder of a batch.

    `gold` is a gold set of the batch; `text`, `group` and `fields` name columns of a table.
    """

    data: Path
    gold: Path | None = None
    text: tuple[str, ...] = ()
    group: str | None = None
    fields: tuple[str, ...] = ()


def read_labelled(labels: Labels) -> list[LabelledRow]:
    """The rows with at least one known field.

    Raises `InvalidTable` where there is none, or a column is not there.
    """
    if labels.data.is_dir():
        rows = list(_of_batch(labels))
    elif _has_answers(labels.data):
        rows = list(_of_answers(labels))
    else:
        rows = list(_of_table(labels))
    kept = [row for row in rows if row.values and row.text.strip()]
    if not kept:
        raise InvalidTable(
            f"{str(labels.data)!r} has {len(rows)!r} rows, and none has a text and a filled field. "
            "Fill some (`orchestra label` proposes which), or name the columns: --text, --fields."
        )
    return kept


def _has_answers(path: Path) -> bool:
    """Whether a file is JSON lines of the form that has an `answer`."""
    if path.suffix.lower() not in (".jsonl", ".ndjson") or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
    try:
        told = json.loads(first)
    except ValueError:
        return False
    return isinstance(told, dict) and ("answer" in told or "messages" in told)


def _of_answers(labels: Labels) -> Iterator[LabelledRow]:
    for row in read_rows(labels.data):
        if not isinstance(row.answer, dict) or row.text is None:
            raise InvalidTable(
                f"Line {row.line!r} of {str(labels.data)!r} has no text with an object as its "
                "answer, so no fields can be learnt from it. Mend it, or train a model that "
                "writes: --method full."
            )
        kept = {n: v for n, v in row.answer.items() if not labels.fields or n in labels.fields}
        yield LabelledRow(row.text, "", {name: _listed(value) for name, value in kept.items()})


def _of_table(labels: Labels) -> Iterator[LabelledRow]:
    table = open_table(labels.data)
    texts = _columns(table, labels.text or None, TEXT_NAMES, "text")
    (group,) = _columns(table, [labels.group], [], "group") if labels.group else ("",)
    own = {*texts, group, WEIGHT, STRATUM, STATE}
    fields = _columns(table, labels.fields or None, [], "field") or [
        name for name in table.columns if name not in own
    ]
    if not texts:
        raise InvalidTable(
            f"{str(labels.data)!r} has no column of texts (it has: {', '.join(table.columns)}). "
            "Name one: --text title."
        )
    for row in table.rows():
        cells = row.values
        text = "\n".join(cells[name] for name in texts if cells[name].strip())
        values = {name: _listed(cells[name]) for name in fields if cells[name].strip()}
        yield LabelledRow(text, cells[group].strip() if group else "", values)


def _of_batch(labels: Labels) -> Iterator[LabelledRow]:
    folder = Folder.read(labels.data)
    with closing(folder.book):
        drawn, fields = labelled_rows(folder) if labels.gold is None else read_gold(labels.gold)
        results = folder.results()
    for one in drawn:
        result = results.get(one.row_id)
        if result is None:
            continue
        text = next((c.data for c in result.calls if c.data and not c.images), "")
        kept = labels.fields or fields
        yield LabelledRow(text, "", {n: _listed(one.values[n]) for n in kept if n in one.values})


def _columns(
    table: Table, named: Sequence[str] | None, usual: Sequence[str], what: str
) -> list[str]:
    return resolve_columns(table.columns, named, usual, what)


def _listed(value: Any) -> list[str]:
    """The values of a cell or of an answer; a cell that holds a JSON list has several."""
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            told = json.loads(value)
        except ValueError:
            told = value
        value = told if isinstance(told, list) else value
    if isinstance(value, list):
        return [text for one in value for text in _listed(one)]
    return [] if value == NOTHING else texts_of(value)
