"""Rows of a batch that wait for a person: what they ask, and which answers they can take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestra.batch.folder import Folder
from orchestra.core.errors import UsageError
from orchestra.core.job import Question, Result

WAITING = "waiting"
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A row whose graph asks a person; `result` is what it came to so far.

    `key` and `ordinal` are those of the journal and the table, `source` tells what its job read.
    """

    row_id: str
    ordinal: int
    key: str
    result: Result
    source: str = ""

    @property
    def questions(self) -> tuple[Question, ...]:
        """What it asks."""
        return self.result.questions

    @property
    def open_ids(self) -> list[str]:
        """The ids of its questions; a breakpoint has none."""
        return [question.id for question in self.questions if question.id]

    @property
    def thread_id(self) -> str:
        """The thread that it waits as, in the batch's book."""
        return self.result.thread_id or ""

    def alike(self, answer: Any) -> Any:
        """`answer` to each of its questions."""
        ids = self.open_ids
        return {id: answer for id in ids} if len(ids) > 1 else answer

    def public(self) -> dict[str, Any]:
        """As JSON."""
        asked = [question.model_dump(mode="json") for question in self.questions]
        return {
            "id": self.row_id,
            "row": self.ordinal,
            "thread_id": self.thread_id,
            "questions": asked,
        }


def waiting_rows(folder: Folder) -> Iterator[WaitingRow]:
    """The rows that wait, in the table's order."""
    for row in folder.book.rows(status=WAITING):
        result = Result.model_validate_json(row.record_json)
        yield WaitingRow(row.row_id, row.ordinal, row.key, result, row.source)


def answered_rows(
    rows: Sequence[WaitingRow], answers: Mapping[str, Any]
) -> list[tuple[WaitingRow, Any]]:
    """Each answer, by row id, with its row.

    Raises `UsageError` for a row that does not wait, and an answer that leaves open to what.
    """
    by_id = {row.row_id: row for row in rows}
    for row_id in answers:
        if row_id not in by_id:
            raise UsageError(f"No row {row_id!r} waits for an answer. {_those_that_wait(rows)}")
    found = [(by_id[row_id], answer) for row_id, answer in answers.items()]
    for row, answer in found:
        _check(row, answer)
    return found


def _check(row: WaitingRow, answer: Any) -> None:
    ids = row.open_ids
    if answer is None and ids:
        raise UsageError(
            f"Row {row.row_id!r} needs an answer, and {answer!r} is none. It asks: "
            f"{row.questions[0].text}"
        )
    if len(ids) < 2:
        return
    given = list(answer) if isinstance(answer, Mapping) else []
    if not given or any(key not in ids for key in given):
        raise UsageError(
            f"Row {row.row_id!r} asks {len(ids)} questions at once, and {answer!r} says not which "
            f"of them it answers. Give a mapping from their ids: {', '.join(ids)}."
        )


def _those_that_wait(rows: Sequence[WaitingRow]) -> str:
    if not rows:
        return "None of this batch does."
    named = ", ".join(repr(row.row_id) for row in rows[:MOST_NAMED])
    more = len(rows) - MOST_NAMED
    return f"These do: {named}{f' and {more} others' if more > 0 else ''}."
