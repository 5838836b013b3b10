"""Gives what was read in the form that a property of a schema allows; None where it fits none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestra.core.schema import resolved
from workers.tagging.tagger import TaggedValue

NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*")
THOUSANDS = re.compile(r"(?<=\d)[.,](?=\d{3}(?:\D|$))")


def fitted(read: Sequence[TaggedValue], shape: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """The value of a property of `shape`: text, number, truth, list, or None."""
    whole, _ = resolved(shape, root, ())
    options = [resolved(option, root, ())[0] for option in whole.get("anyOf", (whole,))]
    for option in options:
        if option.get("type") == "array":
            items = option.get("items", {})
            values = [one for each in read if (one := fitted([each], items, root)) is not None]
            return values[: option.get("maxItems", len(values))]
    if not read:
        return None
    for option in options:
        value = _one(read[0].value, option)
        if value is not None:
            return value
    return None


def _one(text: str, option: Mapping[str, Any]) -> Any:
    if "enum" in option:
        folded = {str(value).casefold(): value for value in option["enum"] if value is not None}
        return folded.get(text.casefold())
    kind = option.get("type", "string")
    if kind == "string":
        most = option.get("maxLength", len(text))
        pattern = option.get("pattern")
        fits = len(text) <= most and (pattern is None or re.search(pattern, text))
        return text if fits else None
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.casefold())
    if kind in ("integer", "number"):
        found = NUMBER.search(text)
        number = None if found is None else float(THOUSANDS.sub("", found[0]).replace(",", "."))
        if number is None or not _within(number, option):
            return None
        if kind == "integer":
            return int(number) if number == int(number) else None
        return number
    return None


def _within(number: float, option: Mapping[str, Any]) -> bool:
    low, high = option.get("minimum", number), option.get("maximum", number)
    return low <= number <= high
