"""The queue as an Excel file, and its way back as decisions."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import load_workbook

from orchestra.batch.corrections import apply_corrections, read_corrections
from orchestra.core.job import Result
from orchestra.review.desk import Desk
from orchestra.review.index import Choice
from orchestra.review.sheet import COLUMNS, sheet_bytes
from tests.review_books import make_batch, run_again

FIRST = "SKU-000001"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    out = make_batch(tmp_path, 25, photos=2, side_px=64)

    def formula(result: Result) -> Result:
        brand = result.fields["brand"].model_copy(
            update={"value": "=cmd|' /C calc'!A0", "confidence": 0.1}
        )
        return result.model_copy(update={"fields": {**result.fields, "brand": brand}})

    run_again(out, 2, formula)
    desk = Desk.open(out, "ana")
    yield desk
    desk.close()


def lines(content: bytes) -> list[dict[str, str]]:
    sheet = load_workbook(io.BytesIO(content), data_only=False).worksheets[0]
    rows = sheet.iter_rows()
    assert tuple(cell.value for cell in next(rows)) == COLUMNS
    found: list[dict[str, str]] = []
    for row in rows:
        assert "f" not in {cell.data_type for cell in row}
        values = [str(cell.value or "") for cell in row]
        found.append(dict(zip(COLUMNS, values, strict=True)))
    return found


def test_the_queue_is_a_line_a_field_with_why_and_both_readings(desk: Desk) -> None:
    found = lines(sheet_bytes(desk, Choice()))
    assert len(found) == desk.index.progress()["left"]
    first = next(line for line in found if line["id"] == FIRST)
    assert (first["field"], first["kind"]) == ("colour", "conflict")
    assert first["other reading"]
    assert first["value"] != first["other reading"]
    assert "Made in" in first["text"]


def test_a_cell_is_text_and_never_a_formula(desk: Desk) -> None:
    found = lines(sheet_bytes(desk, Choice(field="brand")))
    assert "'=cmd|' /C calc'!A0" in [line["value"] for line in found]


def test_what_is_typed_into_an_empty_cell_stays_text(desk: Desk) -> None:
    sheet = load_workbook(io.BytesIO(sheet_bytes(desk, Choice()))).worksheets[0]
    assert sheet.column_dimensions["D"].number_format == "@"  # new value: 00123 stays 00123


def test_a_filled_sheet_is_read_back_as_decisions(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "queue.xlsx"
    path.write_bytes(sheet_bytes(desk, Choice()))
    book = load_workbook(path)
    sheet = book.worksheets[0]
    place = {name: number for number, name in enumerate(COLUMNS, 1)}
    filled: list[tuple[str, str]] = []
    for row in range(2, sheet.max_row + 1):
        row_id, name = (str(sheet.cell(row, place[key]).value or "") for key in ("id", "field"))
        if not name:  # of the row itself
            sheet.cell(row, place["decision"], "skip")
        elif len(filled) == 0:
            sheet.cell(row, place["new value"], "blue")
        elif len(filled) == 1:
            sheet.cell(row, place["decision"], "Approve")
        elif len(filled) == 2:
            sheet.cell(row, place["decision"], "reject")
            sheet.cell(row, place["why"], "not on the pack")
        filled += [(row_id, name)] if name else []
    book.save(path)
    found = read_corrections(desk.folder, path, by="ben")
    apply_corrections(desk.folder, found)
    assert found.wrong == ()
    made = [(one.row_id, one.field, one.action) for one in desk.folder.book.decisions()]
    assert {action for _, name, action in made if name is None} == {"skip"}
    assert [one for one in made if one[1] is not None] == [
        (*filled[0], "edit"),
        (*filled[1], "approve"),
        (*filled[2], "reject"),
    ]
    desk.refresh()
    assert desk.state_of(*filled[0]) == "edited"
