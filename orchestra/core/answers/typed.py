"""Reads answers as an object of the user's own type; it knows no model and no graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from orchestra.core.errors import AnswerAbstained, AnswerInvalid

T = TypeVar("T")


class Said(Protocol):
    """What is needed of a field: its value, whether there is one, and why not."""

    @property
    def value(self) -> Any: ...

    @property
    def answered(self) -> bool: ...

    @property
    def note(self) -> str | None: ...


def read_as(kind: type[T], fields: Mapping[str, Said], answer: str | None) -> T:
    """`fields` as one `kind`, or where there are none, the JSON of `answer`.

    Raises `AnswerAbstained` and `AnswerInvalid`.
    """
    adapter = TypeAdapter(kind)
    if not fields:
        return _of_text(adapter, answer)
    values = {name: field.value for name, field in fields.items()}
    try:
        return adapter.validate_json(_json_of(values))
    except ValidationError as error:
        wrong = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
    left = {name for name in wrong if name in values and not fields[name].answered}
    kept = {name: value for name, value in values.items() if name not in left}
    try:
        return adapter.validate_json(_json_of(kept))  # so that defaults stand in
    except ValidationError as error:
        name = getattr(kind, "__name__", str(kind))
        first = next((one for one in error.errors() if one["loc"]), error.errors()[0])
        raise _unfit(name, first, fields) from error


def _json_of(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, default=str)


def _of_text(adapter: TypeAdapter[T], answer: str | None) -> T:
    try:
        return adapter.validate_json(answer or "")
    except ValidationError as error:
        raise AnswerInvalid(
            f"The result has no fields, and its answer {answer!r:.80} cannot be read: "
            f"{error.errors()[0]['msg']}. Give the node's ask a schema."
        ) from error


def _unfit(name: str, wrong: ErrorDetails, fields: Mapping[str, Said]) -> AnswerInvalid:
    """The error for the first thing that is wrong, with its cure."""
    place = ".".join(str(part) for part in wrong["loc"])
    head, said = f"The result cannot be read as {name}", wrong["input"]
    field = fields.get(place.partition(".")[0])
    if field is None:
        have = ", ".join(map(repr, fields))
        return AnswerInvalid(
            f"{head}: {place or 'it'}: {wrong['msg']} (its fields: {have}). Ask for that field, or "
            f"give it a default in {name}."
        )
    if not field.answered or said is None:
        return AnswerAbstained(
            f"{head}: its field {place!r} has no answer ({field.note or 'nothing was said'}). Let "
            f"it be None in {name}, or give it a default.",
            field=place,
        )
    return AnswerInvalid(
        f"{head}: its field {place!r} is {said!r:.80}: {wrong['msg']}. Give the node's ask {name} "
        "as its schema."
    )
