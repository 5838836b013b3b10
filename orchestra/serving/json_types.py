"""Values over HTTP have the types that the document says: no "5" for 5, no `true` for 1.

Pydantic would turn the one into the other, and a client's mistake into another job than it meant.
Its strict mode would also refuse a list for a tuple, which JSON does not have.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Json, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from orchestra.core.job import Budget

TEXT, NUMBER, TRUTH = "a string", "a number", "true or false"
_KINDS: Mapping[Any, frozenset[str]] = {
    str: frozenset({TEXT}),
    int: frozenset({NUMBER}),
    float: frozenset({NUMBER}),
    bool: frozenset({TRUTH}),
    Decimal: frozenset({NUMBER, TEXT}),
    date: frozenset({TEXT}),
    Any: frozenset({TEXT, NUMBER, TRUTH}),
    Json: frozenset({TEXT}),
}
_ANY, _LIMIT = _KINDS[Any], _KINDS[Decimal]


class JsonTyped(BaseModel):
    """Base of what is received: a string, number or truth stands only where one is taken."""

    @model_validator(mode="before")
    @classmethod
    def _values_are_of_their_types(cls, given: Any) -> Any:
        wrong: list[InitErrorDetails] = []
        for name in cls.model_fields.keys() & given.keys() if isinstance(given, Mapping) else ():
            taken = _taken(cls, name)
            try:
                checked(given[name], taken or _ANY)
            except ValueError as error:
                why = PydanticCustomError("type", "{why}", {"why": str(error)})
                wrong.append({"type": why, "loc": (name,), "input": given[name]})
        if wrong:  # told at their fields
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return given


def checked(value: Any, taken: frozenset[str]) -> Any:
    """`value`. Raises `ValueError` for a string, number or truth that is none of `taken`."""
    kind = _kind(value)
    if kind is not None and kind not in taken:
        raise ValueError(f"{value!r:.60} is {kind}, and it takes {' or '.join(sorted(taken))}")
    return value


def _day(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lstrip("+-").replace(".", "").isdigit():
        raise ValueError(f"{value!r:.40} is no day: give one like 2026-01-31")
    return value


Day = Annotated[date, BeforeValidator(_day)]  # pydantic would read a number as seconds since 1970


def _budget(value: Any) -> Any:
    if isinstance(value, Mapping):
        for name, limit in value.items():
            try:
                checked(limit, _LIMIT if name == "cost_usd" else _KINDS[float])
            except ValueError as error:
                raise ValueError(f"{name}={error}") from None
    return value


JsonBudget = Annotated[Budget, BeforeValidator(_budget)]  # a budget itself reads what people write


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, int | float | Decimal):
        return NUMBER
    return TEXT if isinstance(value, str) else None


@functools.cache
def _taken(model: type[BaseModel], field: str) -> frozenset[str]:
    return _kinds(model.model_fields[field].annotation)


def _kinds(annotation: Any) -> frozenset[str]:
    """The kinds of scalars that a type takes; none for lists, objects and what is not known."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return frozenset(kind for one in arguments if (kind := _kind(one)) is not None)
    if origin is Annotated:
        return _kinds(arguments[0])
    if annotation in _KINDS:
        return _KINDS[annotation]
    if origin in (Union, UnionType):
        return frozenset().union(*map(_kinds, arguments))
    return frozenset()
