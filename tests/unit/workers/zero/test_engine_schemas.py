"""Which numbers a schema allows as an answer, and how they are written."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra.core.errors import InvalidSchema
from workers.zero.engine import writings
from workers.zero.task import Action

NUMBERS = [Action(number) for number in range(4)]


def of(shape: dict[str, Any], *more: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict.fromkeys(("answer", *more), shape)}


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ({"type": "integer"}, [0, 1, 2, 3]),
        ({"type": "string"}, ["0", "1", "2", "3"]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["0", "1", "2", "3"]),
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 3}, [1, 2]),
        ({"type": "number", "exclusiveMinimum": 1}, [2, 3]),
        ({"enum": [2, "3", True, None]}, [2, "3"]),
        ({"const": 1}, [1]),
        ({"type": "string", "pattern": "^[12]$"}, ["1", "2"]),
    ],
)
def test_the_numbers_that_fit_are_written_as_the_schema_asks(
    shape: dict[str, Any], values: list[Any]
) -> None:
    name, found = writings(of(shape), NUMBERS)
    assert name == "answer"
    assert list(found.values()) == values
    assert [type(value) for value in found.values()] == [type(value) for value in values]
    assert all(str(number) == str(value) for number, value in found.items())


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        (of({"type": "boolean"}), "'boolean'"),
        (of({"type": "string", "minLength": 2}), "Make it an integer"),
        (of({"enum": [True, False]}), "'enum'"),
        (of({"type": "integer"}, "reason"), "'reason'"),
        (of({"type": "integer", "multipleOf": 3}), "multipleOf"),
    ],
)
def test_a_schema_that_no_number_fits_is_refused(schema: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidSchema, match=part):
        writings(schema, NUMBERS)
