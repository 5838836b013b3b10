"""Amazon's templates: what stands above their rows, and which are filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import Workbook

from orchestra.batch.channels.amazon_template import AmazonTemplate
from orchestra.batch.tables.table import open_table
from orchestra.core.errors import UsageError

SETTINGS = ("TemplateType=fptcustom", "Version=2021.0625", "TemplateSignature=QkxBTktFVA==", "")
LABELS = ("Product Type", "Seller SKU", "Brand Name", 'Name ("as shown")')
NAMES = ("feed_product_type", "item_sku", "brand_name", "item_name")
ROW = ("blanket", "B-1", "Acme", 'Blanket 60"')


def text_of(*rows: tuple[str, ...]) -> str:
    return "\r\n".join("\t".join(row) for row in rows) + "\r\n"


def workbook(path: Path, *rows: tuple[str, ...]) -> Path:
    book = Workbook()
    told = book.active
    assert told is not None
    told.title = "Instructions"
    for line in ("How to use it", "Fill the sheet Template", "Save it as text"):
        told.append([line, "", line])
    sheet = book.create_sheet("Template")
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


def test_the_head_of_a_text_stays_as_it_is_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "blank.txt"
    path.write_text(text_of(SETTINGS, LABELS, NAMES), encoding="utf-8", newline="")
    found = AmazonTemplate.read(path)
    assert found.names == NAMES
    assert "\r\n".join(found.head) + "\r\n" == path.read_text(encoding="utf-8").replace(
        "\n", "\r\n"
    )


def test_a_workbook_is_read_by_its_own_sheet(tmp_path: Path) -> None:
    found = AmazonTemplate.read(workbook(tmp_path / "blank.xlsx", SETTINGS, LABELS, NAMES))
    assert found.names == NAMES
    assert [line.split("\t")[0] for line in found.head] == [SETTINGS[0], LABELS[0], NAMES[0]]


@pytest.mark.parametrize("above", [(SETTINGS, LABELS), (SETTINGS,)])
def test_a_filled_one_is_a_table_of_its_rows(tmp_path: Path, above: tuple) -> None:
    path = tmp_path / "filled.txt"
    path.write_text(text_of(*above, NAMES, ROW), encoding="utf-8", newline="")
    for one in (path, workbook(tmp_path / "filled.xlsx", *above, NAMES, ROW)):
        table = open_table(one)
        assert tuple(table.columns) == NAMES
        assert [tuple(row.values.values()) for row in table.rows()] == [ROW]
        assert table.format.name == "amazon"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((LABELS, NAMES), "is no template"),
        ((SETTINGS, LABELS), "is no template"),
        (
            (("settings=attributeRow=2&dataRow=3", ""), ("contribution_sku#1.value", "item_name")),
            "those with 'item_sku' are filled",
        ),
    ],
)
def test_what_is_no_template_that_can_be_filled_is_told(
    tmp_path: Path, rows: tuple[tuple[str, ...], ...], said: str
) -> None:
    path = tmp_path / "other.txt"
    path.write_text(text_of(*rows), encoding="utf-8", newline="")
    with pytest.raises(UsageError, match=said):
        AmazonTemplate.read(path)
