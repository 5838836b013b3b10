"""Questions with known answers: a named set, or a user's own file; it knows no model.

A file holds one JSON object a line:

    {"task": "vqa", "image": "7.jpg", "instruction": "How many?", "choices": ["1", "2"],
     "answer": "2"}

`text` or `image` (relative to the file) may be left out; an `answer` of null means that a model
should abstain; without `choices` the answer is free text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestra.clients.engine import Call
from orchestra.errors import InvalidTable
from orchestra.images.intake import normalise

FIELD = "answer"
MAX_TOKENS = 64
GROUP = "orchestra.questions"


@dataclass(frozen=True, slots=True)
class Question:
    """A call, the field of its answer that counts, and the true value; None means: abstain."""

    task: str
    call: Call
    field: str
    truth: str | None

    @property
    def needs(self) -> str:
        """The capability that it takes."""
        return "vision" if self.call.images else "maths" if self.task == "maths" else "text"


class _Line(BaseModel):
    """One line of a file of questions."""

    model_config = ConfigDict(extra="forbid")

    task: str = Field(min_length=1)
    answer: str | None
    instruction: str = Field(min_length=1)
    text: str | None = None
    image: str | None = None
    choices: list[str] | None = Field(default=None, min_length=2)


def load_questions(name: str) -> list[Question]:
    """The set called `name` (an installed one), or those of the file at `name`.

    Raises `InvalidTable` naming the line that is wrong, and an `ImageError` for its photo.
    """
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if name in points:
        return list(points[name].load()())
    path = Path(name)
    if not path.is_file():
        raise InvalidTable(
            f"There is no set of questions {name!r} (there are: {', '.join(sorted(points))}; "
            "or give the path of a .jsonl file)."
        )
    found = list(_read(path))
    if not found:
        raise InvalidTable(f"{name!r} holds no question. Write one JSON object a line.")
    return found


def choice_schema(choices: Iterable[str] | None, field: str = FIELD) -> dict[str, Any]:
    """The schema of an object with one field: of these values or null, or of free text."""
    value: dict[str, Any] = {"type": ["string", "null"], "maxLength": MAX_TOKENS * 2}
    if choices is not None:
        value = {"enum": [*choices, None]}
    return {"type": "object", "properties": {field: value}, "required": [field]}


def _read(path: Path) -> Iterator[Question]:
    with path.open(encoding="utf-8-sig") as file:
        for number, text in enumerate(file, start=1):
            if text.strip():
                yield _question(text, path, number)


def _question(text: str, path: Path, number: int) -> Question:
    try:
        line = _Line.model_validate(json.loads(text))
    except (ValidationError, ValueError) as error:
        raise InvalidTable(
            f"Line {number} of {str(path)!r} is no question: {_said(error)}. "
            "See `orchestra bench --help`."
        ) from error
    if line.text is None and line.image is None:
        raise InvalidTable(
            f"Line {number} of {str(path)!r} has neither a text nor an image. Give it one."
        )
    images = () if line.image is None else (normalise(line.image, base=path.parent),)
    schema = choice_schema(line.choices)
    call = Call(line.instruction, line.text, images, schema, MAX_TOKENS)
    return Question(line.task, call, FIELD, line.answer)


def _said(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
