"""The queue as an Excel file: a line a field, all cells text, with columns for what is decided.

`orchestra apply` reads it back.
"""

from __future__ import annotations

import io

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font

from orchestra.batch.output.exports import guarded
from orchestra.core.job import Field, Result
from orchestra.core.values import shown, text_of
from orchestra.review.card import readings_of
from orchestra.review.desk import Desk
from orchestra.review.index import Choice

SHEET = "review"
COLUMNS = (
    "id",
    "field",
    "value",
    "new value",
    "decision",
    "why",
    "kind",
    "reason",
    "source",
    "confidence",
    "other reading",
    "text",
)
WIDTHS = (14, 14, 28, 28, 12, 24, 12, 40, 10, 11, 28, 60)
MOST_CHARS = 32_767  # of a cell of Excel
AS_TEXT = "@"
COMMON = Field()


def sheet_bytes(desk: Desk, choice: Choice) -> bytes:
    """The fields of a choice as an .xlsx file, in the order of the table."""
    lines = _lines(desk, choice)
    book = Workbook(write_only=True)
    sheet = book.create_sheet(SHEET)
    sheet.freeze_panes = "A2"
    for number, width in enumerate(WIDTHS):
        column = sheet.column_dimensions[chr(ord("A") + number)]
        column.width = width
        column.number_format = AS_TEXT  # what is typed into an empty cell stays as it was typed
    head = [WriteOnlyCell(sheet, name) for name in COLUMNS]
    for cell in head:
        cell.font = Font(bold=True)
    sheet.append(head)
    for line in lines:
        sheet.append([_plain(text) or None for text in line])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _lines(desk: Desk, choice: Choice) -> list[list[str]]:
    with desk.lock:
        index, last, found = desk.index, -1, list[list[str]]()
        results: tuple[Result, Result] | None = None
        for place in map(int, index.places(choice)):
            row = int(index.columns["row"][place])
            if row != last or results is None:
                _, said, now = desk.results(row)
                results, last = (said, now), row
            found.append(_line(desk, place, *results))
        return found


def _line(desk: Desk, place: int, said: Result, now: Result) -> list[str]:
    index = desk.index
    row_id, name = index.key(place)
    own = said.fields.get(name, COMMON)
    word_of = {
        key: index.names[key].words[int(index.columns[key][place])] for key in ("kind", "reason")
    }
    others = [one.value for one in readings_of(own) if one.value != shown(own.value)]
    text = next((call.data for call in said.calls if call.data and not call.images), "")
    sure = "" if own.confidence is None or not own.answered else f"{own.confidence:.3f}"
    value = text_of(now.fields.get(name, COMMON).value) or ""
    ahead = [row_id, name, value, "", "", "", word_of["kind"], word_of["reason"]]
    return [*ahead, own.source, sure, "; ".join(others), text]


def _plain(text: str) -> str:
    return guarded(ILLEGAL_CHARACTERS_RE.sub("�", text))[:MOST_CHARS]
