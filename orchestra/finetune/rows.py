"""A user's rows to fine-tune on: read from JSON lines, checked, and parted; it knows no model.

One JSON object a line, in either form (photos are relative to the file):

    {"instruction": "Extract.", "text": "Red cup, 4 EUR", "answer": {"item": "cup", "eur": 4}}
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}

`answer` is a flat object, or a string, which is the object {"answer": ...}; `image` may stand
beside or instead of `text`. Messages end with what the assistant should say.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from orchestra.core.call import Call, Turn
from orchestra.core.errors import ImageError, InvalidTable
from orchestra.core.files.json_lines import read_lines
from orchestra.images.intake import normalise

FIELD = "answer"  # of an answer that is a string alone
SHORTEST_BOUND = 64  # characters that a string of an answer may always have
Value = StrictStr | StrictBool | StrictInt | StrictFloat | list[StrictStr] | None
Words = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row: what is asked and what should be answered, an object or (in a chat) a text."""

    line: int
    instruction: str
    answer: dict[str, Any] | str
    text: str | None = None
    image: Path | None = None
    turns: tuple[Turn, ...] = ()

    @property
    def written(self) -> str:
        """The answer as the model should write it: compact JSON as decoding under a schema does."""
        if isinstance(self.answer, str):
            return self.answer
        return json.dumps(self.answer, ensure_ascii=False, separators=(",", ":"))

    @property
    def fields(self) -> tuple[str, ...]:
        """The properties of the answer, in order; none for a text."""
        return () if isinstance(self.answer, str) else tuple(self.answer)

    def call(self, schema: dict[str, Any] | None = None, max_tokens: int = 128) -> Call:
        """The call that asks it. Raises `InvalidTable` for a photo that cannot be used."""
        images = ()
        if self.image is not None:
            try:
                images = (normalise(self.image),)
            except ImageError as error:
                raise InvalidTable(
                    f"The photo of line {self.line} cannot be used: {error}"
                ) from error
        return Call(self.instruction, self.text, images, schema, max_tokens, self.turns)


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: Words


class _RowLine(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid")

    instruction: Words | None = None
    text: str | None = None
    image: Words | None = None
    answer: StrictStr | dict[str, Value] | None = None
    messages: list[_Message] | None = Field(default=None, min_length=2)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.messages is None:
            if self.instruction is None or not self.answer:
                raise ValueError("it needs an 'instruction' and an 'answer', or 'messages'")
            return self
        if self.instruction is not None or self.answer is not None or self.text is not None:
            raise ValueError("'messages' hold all; leave 'instruction', 'text' and 'answer' out")
        if [message.role for message in self.messages[-2:]] != ["user", "assistant"]:
            raise ValueError("the last two messages are not from 'user' and 'assistant'")
        return self

    def row(self, number: int, folder: Path) -> TrainingRow:
        image = None if self.image is None else folder / self.image
        if self.messages is None:
            answer = {FIELD: self.answer} if isinstance(self.answer, str) else self.answer or {}
            return TrainingRow(number, self.instruction or "", answer, self.text, image)
        *before, question, reply = self.messages
        turns = tuple(Turn(message.role, message.content) for message in before)
        return TrainingRow(number, question.content, reply.content, None, image, turns)


def read_rows(path: Path) -> list[TrainingRow]:
    """All rows of a file. Raises `InvalidTable` naming the line that is wrong, and the cure."""
    cure = "Mend it: `orchestra finetune --help` shows the forms."
    lines = read_lines(path, _RowLine, what="row", cure=cure)
    rows = [line.row(number, path.parent) for number, line in lines]
    if not rows:
        raise InvalidTable(f"The table {str(path)!r} holds no row. Write one JSON object a line.")
    return rows


def part(
    rows: Sequence[TrainingRow], share: float, seed: int
) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """Rows to learn from, and rows held out: about `share` of them, drawn by `seed`.

    Rows that ask the same are on one side. Raises `InvalidTable` when a side would be empty.
    """
    alike: dict[tuple[Any, ...], list[TrainingRow]] = {}
    for row in rows:
        alike.setdefault((row.instruction, row.text, row.image, row.turns), []).append(row)
    groups = list(alike.values())
    random.Random(seed).shuffle(groups)
    count = max(1, round(len(groups) * share))
    if count >= len(groups):
        raise InvalidTable(
            f"{len(rows)} rows that ask {len(groups)} different things leave nothing to learn from "
            f"when {share:g} of them are held out. Give more rows, or a smaller --val."
        )
    sides = groups[count:], groups[:count]
    train, held = ([row for group in side for row in group] for side in sides)
    return train, held


def schemas(rows: Sequence[TrainingRow]) -> dict[tuple[str, ...], dict[str, Any]]:
    """For each set of fields that answers have, the JSON schema that holds an answer to it."""
    seen: dict[tuple[str, ...], dict[str, list[Any]]] = {}
    for row in rows:
        if isinstance(row.answer, dict):
            values = seen.setdefault(row.fields, {})
            for name, value in row.answer.items():
                values.setdefault(name, []).append(value)
    return {
        fields: {
            "type": "object",
            "properties": {name: _property(found) for name, found in values.items()},
            "required": list(fields),
            "additionalProperties": False,
        }
        for fields, values in seen.items()
    }


def _property(values: Sequence[Any]) -> dict[str, Any]:
    """What a field may hold: the types that it had, strings up to twice their longest."""
    texts = [value for value in values if isinstance(value, str)]
    lists = [value for value in values if isinstance(value, list)]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    options: list[dict[str, Any]] = []
    if texts:
        options.append(_text(texts))
    if lists:
        items = [item for value in lists for item in value]
        most = max(1, *(len(value) for value in lists))
        options.append({"type": "array", "items": _text(items), "maxItems": most})
    if numbers:
        whole = all(isinstance(value, int) for value in numbers)
        options.append({"type": "integer" if whole else "number"})
    if any(isinstance(value, bool) for value in values):
        options.append({"type": "boolean"})
    if None in values:
        options.append({"type": "null"})
    return options[0] if len(options) == 1 else {"anyOf": options}


def _text(values: Sequence[str]) -> dict[str, Any]:
    longest = max((len(value) for value in values), default=0)
    return {"type": "string", "maxLength": max(SHORTEST_BOUND, 2 * longest)}
