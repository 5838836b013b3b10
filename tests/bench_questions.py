"""A set of questions that tests name as `module:function`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestra.bench.questions import Question, choice_schema
from orchestra.core.call import Call


def questions(data: Path | None = None) -> Iterator[Question]:
    """Two colours; the second one's truth tells which folder was given."""
    schema = choice_schema(["red", "blue"])
    yield Question("colour", Call("Which?", "A red hat.", (), schema, 16), "answer", "red")
    truth = None if data is None else str(data)
    yield Question("colour", Call("Which?", "A blue hat.", (), schema, 16), "answer", truth)
