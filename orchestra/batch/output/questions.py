"""The sheet of a batch's questions: waiting.csv says what rows ask, and is read with the answers.

A line is a question; who fills in its last column can give the file back as it is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestra.batch.output.exports import guarded, unguarded
from orchestra.batch.parked import WaitingRow
from orchestra.batch.tables.table import open_table
from orchestra.core.errors import InvalidTable, UsageError
from orchestra.core.files.atomic import atomic_file

SHEET = "waiting.csv"
ID, QUESTION_ID, ANSWER = "id", "question_id", "answer"
COLUMNS = (ID, "row", "node", QUESTION_ID, "question", ANSWER)


def write_questions(folder: Path, rows: Iterable[WaitingRow]) -> Path | None:
    """Write the sheet into `folder`; no file where no row waits. Raises `DiskFull`.

    Answers that were typed into an earlier one stay with the questions that are open still.
    """
    path = folder / SHEET
    waiting, typed = iter(rows), _typed(path)
    first = next(waiting, None)
    if first is None:
        path.unlink(missing_ok=True)
        return None
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
        sheet = csv.writer(text)
        sheet.writerow(COLUMNS)
        for row in (first, *waiting):
            sheet.writerows([guarded(cell) for cell in line] for line in _lines(row, typed))
        text.detach()
    return path


def _lines(row: WaitingRow, typed: Mapping[tuple[str, str], str]) -> Iterator[list[str]]:
    for question in row.questions:
        place = [row.row_id, str(row.ordinal), question.node or ""]
        yield [*place, question.id, question.text, typed.get((row.row_id, question.id), "")]


def _typed(path: Path) -> dict[tuple[str, str], str]:
    """The answers in an earlier sheet, by row and question; none where it cannot be read."""
    with suppress(OSError, InvalidTable):
        return {
            (unguarded(row.values.get(ID, "")), row.values.get(QUESTION_ID, "")): unguarded(
                row.values.get(ANSWER, "")
            )
            for row in open_table(path).rows()
        }
    return {}


def read_answers(path: Path) -> dict[str, Any]:
    """Answers by row id, from a table with the columns `id` and `answer` (CSV, JSON Lines, ...).

    They are read as `read_answer` does; an empty one is none. With a `question_id` those of a row
    are a mapping by it.

    Raises `InvalidTable` for a file that cannot be read, and `UsageError` for one without answers,
    or with two to one question.
    """
    answers: dict[str, Any] = {}
    by_question: dict[str, dict[str, Any]] = {}
    for place, (row_id, question_id, answer) in enumerate(_answers(path), 1):
        known = by_question.setdefault(row_id, {})
        if question_id in known or (known and "" in (question_id, *known)):
            raise UsageError(
                f"Answer {place} of {str(path)!r} is another one to row {row_id!r}. Give each "
                "question one answer, and those of a row with several their question_id."
            )
        known[question_id] = answer
        answers[row_id] = known if question_id else answer
    if not answers:
        raise UsageError(
            f"{str(path)!r} has no answers. Fill in the column 'answer' of {SHEET}, or "
            "give a table with the columns 'id' and 'answer'."
        )
    return answers


def read_answer(text: str) -> Any:
    """An answer as it was typed: JSON where it reads as that, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _answers(path: Path) -> Iterator[tuple[str, str, Any]]:
    table = open_table(path)
    _check_columns(path, table.columns)
    for row in table.rows():
        if row.error is not None:
            raise row.error.error()
        answer = row.values.get(ANSWER, "").strip()
        if answer:
            row_id, question_id = row.values.get(ID, ""), row.values.get(QUESTION_ID, "")
            yield unguarded(row_id), question_id.strip(), read_answer(unguarded(answer))


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    missing = [name for name in (ID, ANSWER) if name not in columns]
    if missing:
        raise UsageError(
            f"The answers in {str(path)!r} have no column {missing[0]!r} (they have: "
            f"{', '.join(map(repr, columns))}). Give a table with the columns 'id' and 'answer'."
        )
