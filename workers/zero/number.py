"""Which whole numbers a response schema lets a model answer, and how each is written there.

It knows no model. A model that answers one number fills one property: as an integer, or as the
same digits in a string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestra.core.errors import InvalidSchema
from workers.decoding.shape import Shape, read_schema


def writings(schema: Mapping[str, Any], numbers: int) -> tuple[str, dict[int, Any]]:
    """The schema's one property, and for each number under `numbers` that fits its value there.

    Raises InvalidSchema for a schema of several properties, or one that no number fits.
    """
    properties = read_schema(schema).properties
    if len(properties) != 1:
        raise InvalidSchema(
            f"The schema has the properties {[name for name, _ in properties]!r}, and this model "
            "answers one number. Ask for one property."
        )
    name, options = properties[0]
    found: dict[int, Any] = {}
    for number in range(numbers):
        values = [value for option in options for value in _values(option, number)]
        if values:
            found[number] = values[0]
    if not found:
        raise InvalidSchema(
            f"The property {name!r} takes {[option.kind for option in options]!r}, which holds no "
            f"number from 0 to {numbers - 1}. Make it an integer, or a string."
        )
    return name, found


def _values(option: Shape, number: int) -> list[Any]:
    """`number` as `option` allows it: one value or none."""
    text = str(number)
    if option.kind == "enum":
        as_number = [v for v in option.values if v == number and not isinstance(v, bool)]
        return as_number or [v for v in option.values if v == text]
    if option.kind in ("integer", "number"):
        return [number] if _is_within(number, option) else []
    if option.kind == "string":
        fits = _is_within(len(text), option)
        return [text] if fits and (not option.pattern or re.search(option.pattern, text)) else []
    return []


def _is_within(size: int, option: Shape) -> bool:
    least, most = option.least, option.most
    above = least is None or size > least or (size == least and not option.open_least)
    below = most is None or size < most or (size == most and not option.open_most)
    return above and below
