"""Makes text of JSON objects: each value as it was written, nested ones as JSON. Pure."""

from __future__ import annotations

import json
from typing import Any

from orchestra.core.values import compact

NAN = ("NaN", "-NaN")  # how pandas writes a gap


def values_of(text: str, what: str = "object") -> tuple[dict[str, str], str | None]:
    """The values of one JSON object, or none and what is wrong with it. Digits stay as written."""
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=_constant)
        if not isinstance(found, dict):
            return {}, f"is a JSON {type(found).__name__} ({text.strip()[:40]!r}), not an object."
        if any(isinstance(value, dict | list) for value in found.values()):
            nested = json.loads(text, parse_constant=_constant)
            found = {
                key: compact(nested[key]) if isinstance(value, dict | list) else value
                for key, value in found.items()
            }
        values = {key: _text(value) for key, value in found.items()}
        "".join(values.values()).encode()
        "".join(values).encode()
    except UnicodeEncodeError:
        return (
            {},
            r"holds bytes of no text, or half of a surrogate pair (\ud800-\udfff).",
        )
    except RecursionError:
        return {}, "is nested too deeply. Flatten it."
    except ValueError as error:
        return {}, f"is not JSON ({error}): {text.strip()[:40]!r}. Write whole objects."
    return values, None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _constant(name: str) -> None:
    if name not in NAN:
        raise ValueError(f"{name} is not a JSON number")
