"""Finds the JSON object in what a model wrote, whatever it wrote around it and however it escaped.

Strict JSON is read as it is. Where there is none, what models are known to write instead is
mended: line ends in strings, escapes that JSON does not have, a comma too many, Python's words,
JSON inside a JSON string. Nothing is guessed: an object that was cut stays cut. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set
from typing import Any

STRICT = json.JSONDecoder()
LOOSE = json.JSONDecoder(strict=False)  # control characters may stand in strings
STRING = r'"(?:[^"\\]|\\.)*"'
# Outside of strings: a comma before the end of an object or list, and Python's constants.
LEFT_OVER = re.compile(rf"({STRING})|,(?=\s*[}}\]])|\b(True|False|None)\b", re.DOTALL)
PYTHON = {"True": "true", "False": "false", "None": "null"}
ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|["\\/bfnrt]|.)', re.DOTALL)
TWICE = re.compile(r"\\u([0-9a-fA-F]{4})")
MARKS = "'_*-#[]!.`~&"  # escaped in Markdown and other languages, and never in JSON
KNOWN_ESCAPE = re.compile(r'u[0-9a-fA-F]{4}|["\\/bfnrt]')


def object_in(text: str, keys: Set[str]) -> dict[str, Any] | None:
    """The last JSON object of `text` that answers something of `keys`; None without one.

    Models fence an answer, say something before it, or repeat the schema they were given.
    """
    for candidate in (text, _inside_string(text)):
        if candidate is None:
            continue
        found = _last_object(candidate, keys, STRICT)
        if found is None:
            found = _last_object(_mended(candidate), keys, LOOSE)
        if found is not None:
            return found
    return None


def escaped_once(value: str) -> str:
    """`value` with what a model escaped twice read once more, as in ``\\u7ea2`` for 红."""
    return TWICE.sub(lambda match: chr(int(match.group(1), 16)), value)


def _last_object(text: str, keys: Set[str], decoder: json.JSONDecoder) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            end = at + 1
        else:
            found = value if keys & set(value) else found
        at = text.find("{", end)
    return found


def _inside_string(text: str) -> str | None:
    """What `text` holds, where it is one JSON string that holds an object."""
    start = text.find('"')
    if start < 0 or "{" in text[:start]:
        return None
    try:
        value, _ = LOOSE.raw_decode(text, start)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, str) and "{" in value else None


def _mended(text: str) -> str:
    """`text` with the slips of models put right."""

    def token(match: re.Match[str]) -> str:
        string, word = match.groups()
        if string is None:
            return PYTHON.get(word, "")
        return ESCAPE.sub(_escape, string)

    return LEFT_OVER.sub(token, text)


def _escape(match: re.Match[str]) -> str:
    """An escape as JSON has it: marks lose their backslash, elsewhere it stands for itself."""
    what = match.group(1)
    if KNOWN_ESCAPE.fullmatch(what):
        return match.group()
    return what if what in MARKS else f"\\\\{what}"
