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
    """Product and category of each photo of val, and the kind of each garment.

    The choices are all names that train and val have: val alone lacks some, and would be easier.
    Raises `InvalidTable` for a table that is not there or lacks a column, and an `ImageError`.
    """
    yield from _asked("photo products", data / "grocery", "name", "product")
    yield from _asked("photo categories", data / "grocery", "category", "category")
    yield from _asked("photo garments", data / "clothing", "category", "category")


def _asked(task: str, folder: Path, column: str, field: str) -> Iterator[Question]:
    rows = _rows(folder / "val.csv", ("image", column))
    known = [*rows, *_rows(folder / "train.csv", (column,))]
    schema = choice_schema(sorted({row[column] for row in known}), field)
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
            "train.csv and val.csv of grocery and clothing."
        ) from error
    missing = [name for name in columns if not rows or name not in rows[0]]
    if missing:
        raise InvalidTable(f"{str(path)!r} has no column {missing[0]!r} with rows. Mend the table.")
    return rows
