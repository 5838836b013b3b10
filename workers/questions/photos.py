"""Questions about the real photos of the public sets' validation splits; knows no model.

`DATA/grocery/val.csv` has `image,name,category`, `DATA/clothing/val.csv` has `image,category`;
photo paths are relative to their table. The choices are the values that stand in each table.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from orchestra.bench.questions import Question, choice_schema
from orchestra.core.call import Call
from orchestra.core.errors import InvalidTable
from orchestra.images.intake import normalise

INSTRUCTION = "Describe the product shown."
ANSWER_TOKENS = 40
Row = dict[str, str]


def photo_questions(data: Path) -> Iterator[Question]:
    """Product and category of each grocery photo, and the kind of each garment.

    Raises `InvalidTable` for a table that is not there or lacks a column, and an `ImageError`.
    """
    groceries = _rows(data / "grocery" / "val.csv", ("image", "name", "category"))
    garments = _rows(data / "clothing" / "val.csv", ("image", "category"))
    folder = data / "grocery"
    yield from _asked("photo products", groceries, "name", "product", folder)
    yield from _asked("photo categories", groceries, "category", "category", folder)
    yield from _asked("photo garments", garments, "category", "category", data / "clothing")


def _asked(task: str, rows: list[Row], column: str, field: str, folder: Path) -> Iterator[Question]:
    choices = sorted({row[column] for row in rows})
    schema = choice_schema(choices, field)
    for row in rows:
        image = normalise(row["image"], base=folder)
        call = Call(INSTRUCTION, None, (image,), schema, ANSWER_TOKENS)
        yield Question(task, call, field, row[column])


def _rows(path: Path, columns: tuple[str, ...]) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InvalidTable(
            f"{str(path)!r} cannot be read: {error.strerror}. Give the folder that holds "
            "grocery/val.csv and clothing/val.csv."
        ) from error
    missing = [name for name in columns if not rows or name not in rows[0]]
    if missing:
        raise InvalidTable(f"{str(path)!r} has no column {missing[0]!r} with rows. Mend the table.")
    return rows
