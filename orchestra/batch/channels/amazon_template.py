"""A template that a seller downloaded from Amazon: its rows above the products, as they stand.

Templates differ by category and day, so none comes with Orchestra. A filled one is written as text
between tabs, whatever the template was: Amazon takes it, and refuses workbooks that another program
has saved (error 90502). How a template is built stands in `tables.template`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from orchestra.batch.tables.records import Dialect, records
from orchestra.batch.tables.template import MOST_ABOVE, SKUS, rows_above
from orchestra.core.errors import UsageError

WORKBOOKS = (".xlsx", ".xlsm")
HEAD_CHARS = 1 << 22  # a template of 1,000 columns has 200,000 in its rows above


@dataclass(frozen=True, slots=True)
class AmazonTemplate:
    """The lines of its head as they stand, and the names of its columns, which are the last."""

    head: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> AmazonTemplate:
        """The head of the template at `path`. Raises `UsageError` where that is none."""
        rows = _of_workbook(path) if path.suffix.lower() in WORKBOOKS else _of_text(path)
        above = rows_above([cells for cells, _ in rows])
        if not above:
            raise UsageError(
                f"The file {str(path)!r} is no template of Amazon: its first row begins with "
                "'TemplateType=' and one below names the column 'item_sku'. Download one from "
                "Seller Central (Add Products via Upload), and give its sheet 'Template'."
            )
        names = tuple(cell.strip() for cell in rows[above][0])
        if not set(names) & {SKUS[0]}:
            raise UsageError(
                f"The template {str(path)!r} names its columns as 'contribution_sku#1.value' does "
                "or as templates before 2013 did; those with 'item_sku' are filled. Choose "
                "'Advanced' or 'Lite' where you download it, or paste the rows of the file that is "
                "written without --template."
            )
        return cls(tuple(raw for _, raw in rows[: above + 1]), names)


def _of_text(path: Path) -> list[tuple[Sequence[str], str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read(HEAD_CHARS)
    except OSError as error:
        raise UsageError(
            f"The template {str(path)!r} cannot be read: {error.strerror}. Give --template the "
            "file that you downloaded."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The template {str(path)!r} is no UTF-8 ({error.reason}). Give the workbook as it was "
            "downloaded, or save it as 'Unicode text' in UTF-8."
        ) from error
    found = islice(records(io.StringIO(text, newline=""), Dialect("\t")), MOST_ABOVE + 1)
    return [(record.cells, record.raw.rstrip("\r\n")) for record in found]


def _of_workbook(path: Path) -> list[tuple[Sequence[str], str]]:
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, KeyError, ValueError, OSError, EOFError) as error:
        raise UsageError(
            f"The template {str(path)!r} is a damaged Excel workbook ({error}). Download it again."
        ) from error
    with closing(book):
        for sheet in book.worksheets:
            rows = [list(_cells(row)) for row in sheet.iter_rows(max_row=MOST_ABOVE + 1)]
            filled = [row for row in rows if any(row)]
            if rows_above(filled):
                return [(row, "\t".join(row)) for row in filled]
    return []


def _cells(row: Sequence[object]) -> Iterator[str]:
    for cell in row:
        value = getattr(cell, "value", None)
        yield "" if value is None else " ".join(str(value).split())
