"""Questions with known answers: a named set, or a user's own file; it knows no model.

A named set is an entry point of the group `orchestra.questions`, or `module:function`: a function
of an optional folder of data that yields `Question`s.

A file holds one JSON object a line:

    {"task": "vqa", "image": "7.jpg", "instruction": "How many?", "choices": ["1", "2"],
     "answer": "2"}

`text` or `image` (relative to the file) may be left out; an `answer` of null means that a model
should abstain; without `choices` the answer is free text. `capability` names the models that are
asked (default: those that take what the line gives, `text` or `vision`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from orchestra.core import shipped
from orchestra.core.call import Call
from orchestra.core.card import Capability
from orchestra.core.errors import InvalidTable
from orchestra.core.files.json_lines import read_lines
from orchestra.images.intake import normalise

FIELD = "answer"
MAX_TOKENS = 64
GROUP = "orchestra.questions"


@dataclass(frozen=True, slots=True)
class Question:
    """A call, the field of its answer that counts, and the true value; None means: abstain.

    `kind` parts a task's questions further. Questions of one call count each, and cost once.
    `capability` is what a model has to offer; without it that follows from the call.
    """

    task: str
    call: Call
    field: str
    truth: str | None
    kind: str = ""
    capability: Capability | None = None

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that it takes."""
        if self.capability is not None:
            return frozenset({self.capability})
        given = {"vision": self.call.images, "text": self.call.text or not self.call.images}
        return frozenset(name for name, part in given.items() if part)


class _QuestionLine(BaseModel):
    """One line of a file of questions."""

    model_config = ConfigDict(extra="forbid")

    task: str = Field(min_length=1)
    answer: str | None
    instruction: str = Field(min_length=1)
    text: str | None = None
    image: str | None = None
    choices: list[str] | None = Field(default=None, min_length=2)
    capability: Capability | None = None


def load_questions(name: str, data: Path | None = None) -> list[Question]:
    """The set called `name` (an installed one, or `module:function`), or those of the file `name`.

    `data` is a folder of photos or tables that the set also asks about. Raises `InvalidTable`
    naming what is wrong (with the line of a file), and an `ImageError` for a photo.
    """
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    place = points[name].value if name in points else name
    if name in points or (":" in name and not Path(name).exists()):
        return list(_attribute(place)(data))
    path = Path(name)
    if not path.is_file():
        raise InvalidTable(
            f"There is no set of questions {name!r} (there are: {', '.join(sorted(points))}; "
            "or give module:function, or the path of a .jsonl file)."
        )
    if data is not None:
        raise InvalidTable(f"{name!r} is a file, and asks about no other data. Leave --data out.")
    lines = read_lines(path, _QuestionLine, what="question", cure="See `orchestra bench --help`.")
    found = [_question(line, path, number) for number, line in lines]
    if not found:
        raise InvalidTable(f"{name!r} holds no question. Write one JSON object a line.")
    return found


def _attribute(place: str) -> Any:
    try:
        return shipped.attribute(place)
    except (ImportError, AttributeError, ValueError) as cause:
        raise InvalidTable(
            f"The questions {place!r} cannot be loaded: {cause}. Name a function that yields "
            "questions as module:function."
        ) from cause


def choice_schema(choices: Iterable[str] | None, field: str = FIELD) -> dict[str, Any]:
    """The schema of an object with one field: of these values or null, or of free text."""
    value: dict[str, Any] = {"type": ["string", "null"], "maxLength": MAX_TOKENS * 2}
    if choices is not None:
        value = {"enum": [*choices, None]}
    return {"type": "object", "properties": {field: value}, "required": [field]}


def _question(line: _QuestionLine, path: Path, number: int) -> Question:
    if line.text is None and line.image is None:
        raise InvalidTable(
            f"Line {number} of {str(path)!r} has neither a text nor an image. Give it one."
        )
    images = () if line.image is None else (normalise(line.image, base=path.parent),)
    schema = choice_schema(line.choices)
    call = Call(line.instruction, line.text, images, schema, MAX_TOKENS)
    return Question(line.task, call, FIELD, line.answer, capability=line.capability)
