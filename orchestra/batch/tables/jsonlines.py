"""Reads JSON Lines row by row; it knows no column's meaning.

The columns are the keys of all lines in the order they first appear, so the file is read once
when it is opened. Numbers keep the digits they were written with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestra.batch.tables.encodings import scan
from orchestra.batch.tables.row import Row, Table, row_error
from orchestra.core.errors import InvalidTable
from orchestra.core.values import compact


class JsonLinesTable(Table):
    """A JSONL file. Raises InvalidTable when it holds no object at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = scan(path)
        self._encoding = found.encoding
        self.fingerprint = found.fingerprint
        columns: dict[str, None] = {}
        self._count = 0
        for line in self._lines():
            self._count += 1
            columns.update(dict.fromkeys(_parse(line)[0]))
        self.columns = tuple(columns)
        if not self.columns:
            raise InvalidTable(
                f"Table {str(path)!r} is empty: none of its {self._count} lines is a JSON object "
                'with keys. Write one object a line, such as {"id":"1","name":"Apple"}.'
            )

    def rows(self) -> Iterator[Row]:
        """A row a line that is not blank; a damaged one has an error."""
        for ordinal, line in enumerate(self._lines(), 1):
            found, problem = _parse(line)
            values = dict.fromkeys(self.columns, "") | found
            error = f"Row {ordinal} {problem}" if problem else None
            yield Row(ordinal, values, row_error(error) if error else None)

    def count(self) -> int:
        """How many lines are not blank."""
        return self._count

    def _lines(self) -> Iterator[str]:
        # Only \n ends a line: JSON strings may hold U+2028 and the like as they are.
        with self.path.open(encoding=self._encoding, newline="\n") as file:
            yield from filter(str.strip, file)


def _parse(line: str) -> tuple[dict[str, str], str | None]:
    """The values of a line as text, or none and what is wrong with the line."""
    try:
        found = json.loads(line, parse_int=str, parse_float=str, parse_constant=_no_number)
        if not isinstance(found, dict):
            return {}, f"is a JSON {type(found).__name__} ({line.strip()[:40]!r}), not an object."
        if any(isinstance(value, (dict, list)) for value in found.values()):
            nested = json.loads(line)
            found = {
                key: compact(nested[key]) if isinstance(value, (dict, list)) else value
                for key, value in found.items()
            }
        values = {key: _text(value) for key, value in found.items()}
        "".join(values.values()).encode()
        "".join(values).encode()
    except UnicodeEncodeError:
        return {}, r"holds half of a surrogate pair (\ud800-\udfff). Export the row again."
    except RecursionError:
        return {}, "is nested too deeply. Flatten it."
    except ValueError as error:
        return {}, f"is not JSON ({error}): {line.strip()[:40]!r}. Write one object a line."
    return values, None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
