"""Workbooks and Parquet with all that is known, the labels, and what is refused at once."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestra.batch.channels.export import export
from orchestra.batch.channels.rules import gtin_fault
from orchestra.batch.export_settings import ExportSettings
from orchestra.batch.tables.structured import structured, structured_cell
from orchestra.batch.tables.table import open_table
from orchestra.core.errors import UsageError
from tests.channel_batch import Batch, decided, labels, read, saved, told, written
from tests.channel_rules.barcodes import is_gtin

TABLE = """sku,name,colour,price
007,=HYPERLINK("http://evil.example"),blue,9.50
8,Mug \x07,,1e3
"""
CUP = """sku,name,description,price,brand,handle,photo,barcode
1,杯子,好,9,甲乙,a,https://c.example/1.jpg,90311017
"""
CHINA = {"ai_labels": {"china": True, "eu": True, "provider": "示例公司"}}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved(tmp_path, "in.csv", TABLE)


def test_a_workbook_has_text_cells_alone(source: Path, tmp_path: Path) -> None:
    fields = {"007": {**read(colour="red"), **written("+Title")}, "8": {}}
    out = tmp_path / "out.xlsx"
    Batch(source, fields).export("xlsx", out)
    sheet = openpyxl.load_workbook(out)["products"]
    head, first, second = sheet.iter_rows(values_only=True)
    row = dict(zip(head, first, strict=True))
    assert (row["sku"], row["price"]) == ("007", "9.50")
    assert row["name"] == '=HYPERLINK("http://evil.example")'
    # The field `colour` takes the name, so the table's own column is called as in products.csv.
    assert (row["input_colour"], row["colour"]) == ("blue", "red")
    assert (row["title"], row["title_written_by_model"]) == ("+Title", "yes")
    kinds = {cell.data_type for cells in sheet.iter_rows() for cell in cells if cell.value}
    assert kinds == {"s"}
    assert second[1] == "Mug "


def test_a_cell_that_excel_cannot_hold_is_told(tmp_path: Path) -> None:
    source = saved(tmp_path, "in.csv", f"sku,name\n1,{'x' * 32_768}\n2,ok\n")
    done = Batch(source, {}).export("xlsx", tmp_path / "out.xlsx")
    assert done.products == 1 and told(done)[0]["limit"].startswith("a cell holds at most 32,767")


def test_parquet_tells_all_that_is_known_of_a_value(source: Path, tmp_path: Path) -> None:
    red = read(colour="red")["colour"]
    field = decided(red, "ana", "edit", value="crimson", source="person", alternatives=(red,))
    out = tmp_path / "out.parquet"
    Batch(source, {"007": {"colour": field, **written("Mug")}}).export("parquet", out)
    first, second = pq.read_table(out).to_pylist()
    assert (first["colour"], first["colour_source"]) == ("crimson", "person")
    assert (first["colour_reviewer"], first["colour_decision"]) == ("ana", "edit")
    assert (first["colour_decided_at"], first["colour_why"]) == ("2026-11-29T06:00:00Z", "seen")
    (before,) = json.loads(first["colour_alternatives"])
    assert (before["value"], before["model"]) == ("red", "encoder")
    assert json.loads(first["colour_evidence"])[0]["text"] == "x"
    assert (first["title_model"], first["title_written_by_model"]) == ("r1", "true")
    assert first["title_prompt_hash"] == "abc" and first["colour_confidence"] == 0.9
    assert second["colour"] is None and second["input_colour"] == ""
    again = [row.values for row in open_table(out).rows()]
    assert [row["sku"] for row in again] == ["007", "8"] and again[0]["colour"] == "crimson"


def test_chinas_labels_are_seen_and_read_by_programs(tmp_path: Path) -> None:
    source = saved(tmp_path, "in.csv", CUP)
    copy = {"1": written("蓝色马克杯", "蓝色的杯子。")}
    shop, feed = tmp_path / "s.csv", tmp_path / "f.jsonl"
    Batch(source, copy).export("shopify", shop, **CHINA)
    body = next(iter(open_table(shop).rows())).values["Description"]
    assert "（本内容由人工智能生成）" in body
    found = re.search(r'data-aigc="([^"]+)"', body)
    assert found is not None
    aigc = json.loads(html.unescape(found[1]))["AIGC"]
    assert list(aigc) == [
        "Label",
        "ContentProducer",
        "ProduceID",
        "ReservedCode1",
        "ContentPropagator",
        "PropagateID",
        "ReservedCode2",
    ]
    assert (aigc["Label"], aigc["ContentProducer"]) == ("1", "示例公司")
    assert "digitalsourcetype/trainedAlgorithmicMedia" in body
    done = Batch(source, copy).export("openai", feed, **CHINA)
    assert json.loads(feed.read_text(encoding="utf-8"))["description"].endswith(
        "（本内容由人工智能生成）"
    )
    marks = {one["field"]: one for one in labels(done)}
    assert marks["title"]["AIGC"]["ContentPropagator"] == "示例公司"
    assert marks["title"]["digital_source_type"].endswith("trainedAlgorithmicMedia")


def test_files_that_have_metadata_carry_the_implicit_label(tmp_path: Path) -> None:
    source = saved(tmp_path, "in.csv", CUP)
    for fields, is_labelled in ((written("杯"), True), (read(colour="red"), False)):
        book, table = tmp_path / "x.xlsx", tmp_path / "p.parquet"
        Batch(source, {"1": fields}).export("xlsx", book, **CHINA)
        Batch(source, {"1": fields}).export("parquet", table, **CHINA)
        loaded: Any = openpyxl.load_workbook(book)
        properties = loaded.custom_doc_props
        kept = pq.read_metadata(table).metadata or {}
        assert [one.name for one in properties.props] == ["AIGC"] * is_labelled
        assert (b"AIGC" in kept) == is_labelled
        if is_labelled:
            assert json.loads(kept[b"AIGC"])["ContentProducer"] == "示例公司"


def test_nothing_is_labelled_that_no_model_wrote_and_nothing_unasked(tmp_path: Path) -> None:
    source = saved(tmp_path, "in.csv", "sku,name\n1,Mug\n")
    out = tmp_path / "s.csv"
    for fields, settings in (
        (written(description="Words."), {}),
        (read(brand="Acme"), CHINA),
        ({"description": decided(written(description="x")["description"], "a", "edit",
                                 value="Mine.", source="person")}, CHINA),
    ):  # fmt: skip
        Batch(source, {"1": fields}).export("shopify", out, **settings)
        text = out.read_text(encoding="utf-8")
        assert "ai-label" not in text and "生成" not in text


def test_a_label_counts_among_the_characters(tmp_path: Path) -> None:
    source = saved(tmp_path, "in.csv", CUP)
    copy = {"1": written("Mug", "x" * 4999)}
    done = Batch(source, copy).export("openai", tmp_path / "f.jsonl", **CHINA)
    assert told(done)[0]["attribute"] == "description"


@given(st.text(min_size=1).map(str.strip).filter(bool))
def test_a_structured_text_is_read_back(text: str) -> None:
    assert structured(structured_cell(text)) == (text, True)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("Mug: large", ("Mug: large", False)),
        (":Mug", ("Mug", False)),
        ('default:"Mug: large"', ("Mug: large", False)),
        ('{"digital_source_type":"trained_algorithmic_media","content":"Mug"}', ("Mug", True)),
        ('{"content": 3}', ('{"content": 3}', False)),
    ],
)
def test_structured_cells_of_others_are_read(cell: str, found: tuple[str, bool]) -> None:
    assert structured(cell) == found


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="china wants a provider"):
        ExportSettings.model_validate({"ai_labels": {"china": True}})
    with pytest.raises(ValidationError, match="'usa' is no country code"):
        ExportSettings.model_validate({"countries": ["usa"]})
    with pytest.raises(ValidationError, match="currency"):
        ExportSettings.model_validate({"currency": "euro"})


@pytest.mark.parametrize(
    ("to", "name", "told"),
    [
        ("ebay", "f.csv", "no channel 'ebay'; there are shopify"),
        ("google", "f.pdf", r"no ending that google takes; those are .tsv.*Name it 'f.tsv'"),
        ("shopify", "none/f.csv", "in a folder that there is not"),
    ],
)
def test_a_wrong_request_is_told_before_anything_is_read(
    tmp_path: Path, to: str, name: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        export(tmp_path / "out", to, tmp_path / name)


@pytest.mark.parametrize(
    "number", ["4006381333931", "036000291452", "90311017", "10614141000415", "012345678905"]
)
def test_check_digits_are_gs1s(number: str) -> None:
    assert gtin_fault(number) is None and is_gtin(number)
    for digit in "0123456789":
        other = number[:-1] + digit
        assert (gtin_fault(other) is None) == is_gtin(other) == (other == number)
