"""An Excel workbook of the products, for people: every cell is text, so that none is a formula.

The columns are the table's, then for each field its value, source, confidence, who reviewed it and
whether a model wrote it, then the status. The workbook's properties carry China's implicit label,
where it is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO, Any, ClassVar

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.packaging.custom import StringProperty

from orchestra.batch.channels.ai_labels import authorship
from orchestra.batch.channels.channel import Line, WholeTable, Writer, column_of
from orchestra.batch.channels.listing import Listing
from orchestra.batch.channels.rules import Fault
from orchestra.batch.tables.row import STATUS
from orchestra.core.values import text_of

MOST_CHARS = 32_767  # of a cell; support.microsoft.com, "Excel specifications and limits"
MOST_ROWS = 1_048_576  # of a sheet, the header among them
ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # what openpyxl refuses, as XML 1.0 does
PARTS = ("", "source", "confidence", "written_by_model", "reviewer")


class Sheets(WholeTable):
    """An Excel workbook."""

    name: ClassVar[str] = "xlsx"
    suffixes: ClassVar[tuple[str, ...]] = (".xlsx",)
    parts: ClassVar[tuple[str, ...]] = PARTS

    def lines(self, listing: Listing) -> list[Line]:
        """One row a product."""
        values = (listing.entry.row.values.get(name, "") for name in self.table.columns)
        row = dict(zip(self.inputs, values, strict=True))
        for name in self.fields:
            field = listing.entry.outcome.fields.get(name)
            if field is None:
                continue
            wrote = authorship(name, field)
            told = (
                text_of(field.value),
                field.source,
                "" if field.confidence is None else format(field.confidence, ".6g"),
                "yes" if wrote.is_written_by_model else "no",
                wrote.reviewer,
            )
            row |= {
                column_of(name, part): value or "" for part, value in zip(PARTS, told, strict=True)
            }
        return [{**row, STATUS: listing.entry.status}]

    def faults(self, listing: Listing, lines: Sequence[Line]) -> list[Fault]:
        """Cells that Excel cannot hold."""
        limit = f"a cell holds at most {MOST_CHARS:,} characters"
        return [
            Fault(name, value, f"{limit}, and it has {len(value):,}", "Use parquet.", listing.id)
            for line in lines
            for name, value in line.items()
            if len(value) > MOST_CHARS
        ]

    def writer(self, file: IO[bytes], suffix: str) -> Writer:
        """A workbook that is written row by row."""
        return _Workbook(file, [*self.inputs, *self.outputs])


class _Workbook(Writer):
    """Writes one sheet in bounded memory."""

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        self._file, self._columns = file, tuple(columns)
        self._book: Any = Workbook(write_only=True)
        self._sheet: Any = self._book.create_sheet("products")
        self._sheet.freeze_panes = "B2"
        self._row(self._columns)

    def add(self, lines: Sequence[Line]) -> None:
        """Write the row of one product."""
        for line in lines:
            self._row([str(line.get(name, "")) for name in self._columns])

    def label(self, text: str) -> None:
        """Keep the label among the workbook's own properties."""
        self._book.custom_doc_props.append(StringProperty(name="AIGC", value=text))

    def end(self) -> None:
        """Save the workbook."""
        self._book.save(self._file)

    def _row(self, values: Sequence[str]) -> None:
        """A row of text cells: openpyxl would make a formula of what begins with `=`."""
        cells: list[Any] = []
        for value in values:
            cell: Any = WriteOnlyCell(self._sheet)
            cell.value = ILLEGAL.sub("", value)
            cell.data_type = "s"
            cell.quotePrefix = True
            cells.append(cell)
        self._sheet.append(cells)
