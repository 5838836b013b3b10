"""Reads files of one JSON object a line, each checked; an error names the line and the cure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from orchestra.core.errors import InvalidTable
from orchestra.core.job import first_problem

Line = TypeVar("Line", bound=BaseModel)


def read_lines(path: Path, form: type[Line], *, what: str, cure: str) -> Iterator[tuple[int, Line]]:
    """The lines of `path` with their numbers from 1; blank ones are left out.

    `what` is what a line should be. Raises `InvalidTable`, also for a file that cannot be read.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield number, form.model_validate_json(text)
    except ValidationError as error:
        raise InvalidTable(
            f"Line {number} of {str(path)!r} is no {what}: {first_problem(error, form)}. {cure}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTable(
            f"The table {str(path)!r} cannot be read: {error}. Give a UTF-8 file of JSON lines."
        ) from error
