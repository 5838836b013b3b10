"""Tables: every cell as text, any encoding, and a bad row costs itself only."""

from __future__ import annotations

import csv
import datetime
import itertools
import json
import re
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestra.batch.tables.table import Row, Table, open_table, resolve_columns
from orchestra.core.errors import InvalidTable


def table(tmp_path: Path, content: str | bytes, name: str = "products.csv") -> Table:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_table(path)


def values(found: Table) -> list[dict[str, str]]:
    return [dict(row.values) for row in found.rows()]


def errors(found: Table) -> dict[int, str]:
    return {row.ordinal: row.error.message for row in found.rows() if row.error}


def test_csv_cells_stay_text_and_ordinals_count_from_one(tmp_path: Path) -> None:
    found = table(tmp_path, "sku,price\n00123,1.50\n7,\n")
    assert found.columns == ("sku", "price")
    assert list(found.rows()) == [
        Row(1, {"sku": "00123", "price": "1.50"}),
        Row(2, {"sku": "7", "price": ""}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiter_is_recognised(tmp_path: Path, delimiter: str) -> None:
    content = delimiter.join(["id", "text"]) + "\n" + delimiter.join(["1", '"a, b; c\td"']) + "\n"
    assert values(table(tmp_path, content)) == [{"id": "1", "text": "a, b; c\td"}]


def test_semicolon_table_with_decimal_commas_is_not_split_at_them(tmp_path: Path) -> None:
    found = table(tmp_path, "id;price\n1;2,50\n2;3,75\n")
    assert values(found)[0] == {"id": "1", "price": "2,50"}


def test_tsv_is_split_at_tabs_even_when_commas_agree(tmp_path: Path) -> None:
    found = table(tmp_path, "a\tb, c\n1\t2, 3\n", "t.tsv")
    assert found.columns == ("a", "b, c")


def test_quoted_newlines_crlf_and_blank_lines(tmp_path: Path) -> None:
    found = table(tmp_path, 'id,text\r\n1,"two\r\nlines ""quoted"""\r\n\r\n2,x\r\n')
    assert values(found) == [
        {"id": "1", "text": 'two\r\nlines "quoted"'},
        {"id": "2", "text": "x"},
    ]
    assert found.count() == 2


def test_cell_of_a_million_characters_is_read(tmp_path: Path) -> None:
    found = table(tmp_path, "id,text\n1," + "x" * 1_000_000 + "\n2,y\n")
    assert [len(row["text"]) for row in values(found)] == [1_000_000, 1]


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "gb18030"],
)
def test_encoding_is_recognised(tmp_path: Path, encoding: str) -> None:
    text = "sku,name\n" + "".join(f"{n},红色纯棉衬衫，适合夏天穿着\n" for n in range(300))
    found = table(tmp_path, text.encode(encoding))
    assert found.columns == ("sku", "name")
    rows = values(found)
    assert len(rows) == 300
    assert rows[299] == {"sku": "299", "name": "红色纯棉衬衫，适合夏天穿着"}


def test_utf16_with_either_mark_is_read(tmp_path: Path) -> None:
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        found = table(tmp_path, mark + "a;b\n1;苹果\n".encode(encoding))
        assert values(found) == [{"a": "1", "b": "苹果"}]


def test_character_across_a_block_border_is_not_a_fault(tmp_path: Path) -> None:
    body = "x" * ((1 << 20) - 6)
    found = table(tmp_path, f"a,b\n{body},ä苹果\n")
    assert values(found)[0]["b"] == "ä苹果"


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (b"a,b\n1,\xff\xff\n", 6),
        (b"\xef\xbb\xbfa,b\n1,\xff\n", 9),
        (b"a,b\n" + "1,苹果汁和梨\n".encode() * 50 + b"2,\xe8\x8b\n", 906),
        (b"a,b\n" + "1,苹果\n".encode() * 50 + b"2,\xe8\x8b\n", 456),
        (b"a,b\n" + b"1,x\n" * 300_000 + b"1,\xff\n", 1_200_006),
    ],
    ids=["no encoding", "after the mark", "damaged utf-8", "like GBK", "over blocks"],
)
def test_damaged_bytes_cost_their_row_only_and_are_told(
    tmp_path: Path, content: bytes, offset: int
) -> None:
    found = table(tmp_path, content)
    last = found.count()
    assert list(errors(found)) == [last]
    assert re.search(r"holds the byte .* in column 'b'.*UTF-8.*--encoding", errors(found)[last])
    assert f"the first at byte {offset}" in found.told[1]


def test_half_a_character_of_utf16_names_the_byte_and_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=r"utf-16 at byte 16.*UTF-8"):
        table(tmp_path, "a,b\n1,苹\n".encode("utf-16")[:-1])


def test_row_with_more_cells_than_the_header_costs_itself_only(tmp_path: Path) -> None:
    found = table(tmp_path, "id,text\n1,a\n2,b,c\n3,d\n")
    assert [row.ordinal for row in found.rows()] == [1, 2, 3]
    assert values(found)[1] == {"id": "2", "text": "b"}
    assert list(errors(found)) == [2]
    assert "3 cells" in errors(found)[2]
    error = next(itertools.islice(found.rows(), 1, 2)).error
    assert error is not None
    assert (error.stage, error.type) == ("table", "InvalidTable")


def test_trailing_empty_cells_are_no_fault_and_missing_ones_cost_their_row(tmp_path: Path) -> None:
    found = table(tmp_path, "id,text\n1\n2,b,,\n3,c\n")
    assert list(errors(found)) == [1]
    assert re.search(r"line 2.*1 cells and the header 2", errors(found)[1])
    assert values(found)[1] == {"id": "2", "text": "b"}


def test_cells_under_a_column_without_a_name_may_be_missing(tmp_path: Path) -> None:
    found = table(tmp_path, "id,text,\n1,a\n2,b,\n")
    assert not errors(found)


def test_nul_byte_costs_its_row_only(tmp_path: Path) -> None:
    found = table(tmp_path, "id,text\n1,a\n2,b\0c\n3,d\n")
    assert list(errors(found)) == [2]
    assert "'text'" in errors(found)[2]
    assert values(found)[1]["text"] == "bc"


@pytest.mark.parametrize("closing", ["", '5,"quoted"\n'])
def test_unclosed_quote_does_not_swallow_the_rows_after_it(tmp_path: Path, closing: str) -> None:
    found = table(tmp_path, 'id,text\n1,a\n2,"never closed\n3,c\n4,d\n' + closing)
    assert list(errors(found)) == [2]
    expected = ["1", "2", "3", "4"] + (["5"] if closing else [])
    assert [row["id"] for row in values(found)] == expected
    assert values(found)[3] == {"id": "4", "text": "d"}


def test_unclosed_quote_in_a_large_table_costs_one_row(tmp_path: Path) -> None:
    lines = [f"{n},some text of a product that is a little longer\n" for n in range(150_000)]
    lines[10] = '10,"open\n'
    found = table(tmp_path, "id,text\n" + "".join(lines))
    assert list(errors(found)) == [11]
    assert found.count() == 150_000


def test_record_beyond_the_limit_costs_itself_only(tmp_path: Path) -> None:
    found = table(tmp_path, "id,text\n1," + "x" * (9 << 20) + "\n2,y\n")
    assert list(errors(found)) == [1]
    assert values(found)[1] == {"id": "2", "text": "y"}


def test_stray_quote_inside_a_line_is_text(tmp_path: Path) -> None:
    found = table(tmp_path, 'id,text\n1,"5" pipe\n2,5" pipe\n3,"x"\n')
    assert not errors(found)
    assert [row["text"] for row in values(found)] == ['"5" pipe', '5" pipe', "x"]


def test_blank_header_names_are_numbered(tmp_path: Path) -> None:
    assert table(tmp_path, ",name,\n0,a,b\n").columns == ("column_1", "name", "column_3")
    assert table(tmp_path, "column_2,\n0,a\n").columns == ("column_2", "column_2_")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (" , ,\n1,2,3\n", "header"),
        ("id,text\n", "no rows"),
    ],
)
def test_table_without_header_or_rows_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(InvalidTable, match=said):
        table(tmp_path, content)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xlsx", b"PK\x03\x04", "CSV UTF-8"),
        ("a.csv", b"PK\x03\x04rest", "Excel"),
        ("a.csv", b"PAR1rest", "Parquet"),
        ("a.xls", b"\xd0\xcf\x11\xe0rest", "an old Excel workbook"),
        ("a.csv", b"\xd0\xcf\x11\xe0rest", r"old Excel.*\.xlsx"),
        ("a.csv", b"%PDF-1.7", "PDF"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00broken", "is whole"),
        ("a.doc", b"a,b\n1,2\n", r"\.csv, \.json"),
        ("a.parquet", b"not parquet", "Parquet"),
    ],
)
def test_other_formats_are_refused_with_a_cure(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(InvalidTable, match=said):
        table(tmp_path, content, name)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(InvalidTable):
            open_table(path)


def test_fingerprint_follows_the_content_not_the_name(tmp_path: Path) -> None:
    first = table(tmp_path, "a,b\n1,2\n", "x.csv").fingerprint
    assert table(tmp_path, "a,b\n1,2\n", "y.csv").fingerprint == first
    assert table(tmp_path, "a,b\n1,3\n", "x.csv").fingerprint != first


def test_jsonl_values_become_text(tmp_path: Path) -> None:
    lines = [
        {"id": "00123", "price": 1.5, "stock": 12345678901234567890, "ok": True},
        {"id": 7, "name": "苹果", "tags": ["红", 1.50], "size": {"w": None}, "ok": None},
    ]
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    found = table(tmp_path, content.replace("1.5,", "1.50,"), "p.jsonl")
    assert found.columns == ("id", "price", "stock", "ok", "name", "tags", "size")
    first, second = values(found)
    assert first["id"] == "00123"
    assert (first["price"], first["stock"], first["ok"]) == ("1.50", "12345678901234567890", "true")
    assert (first["name"], second["ok"]) == ("", "")
    assert (second["id"], second["tags"], second["size"]) == ("7", '["红",1.5]', '{"w":null}')


@pytest.mark.parametrize(
    "bad", ['{"id":', "[1]", '"text"', '{"id": Infinity}', r'{"id": "\ud800"}', "[" * 100_000]
)
def test_bad_jsonl_line_costs_itself_only(tmp_path: Path, bad: str) -> None:
    found = table(tmp_path, f'{{"id":"1"}}\n\n{bad}\n{{"id":"3"}}\n', "p.jsonl")
    assert [row["id"] for row in values(found)] == ["1", "", "3"]
    assert list(errors(found)) == [2]
    assert found.count() == 3


def test_jsonl_without_an_object_is_empty(tmp_path: Path) -> None:
    for content in ("", "\n", "{}\n", "nonsense\n"):
        with pytest.raises(InvalidTable, match="empty"):
            table(tmp_path, content, "p.jsonl")


def test_jsonl_line_separator_inside_a_string_is_text(tmp_path: Path) -> None:
    found = table(tmp_path, '{"id":"a\u2028b"}\r\n{"id":"c\x85"}\n', "p.jsonl")
    assert [row["id"] for row in values(found)] == ["a\u2028b", "c\x85"]


def test_parquet_values_become_text(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    columns = {
        "sku": pa.array(["00123", None]),
        "count": pa.array([5, None], pa.int64()),
        "gap": pa.array([7.0, float("nan")], pa.float64()),
        "price": pa.array([1.25, 1e300], pa.float64()),
        "narrow": pa.array([0.1, 3.0], pa.float32()),
        "money": pa.array([Decimal("1.50"), None]),
        "ok": pa.array([True, None]),
        "day": pa.array([datetime.date(2026, 1, 2), None]),
        "colour": pa.array(["red", "red"]).dictionary_encode(),
        "tags": pa.array([["a", "b"], None]),
        "photo": pa.array([b"\xff\xd8", b"text"]),
    }
    pq.write_table(pa.table(columns), path)
    first, second = values(open_table(path))
    assert first == {
        "sku": "00123",
        "count": "5",
        "gap": "7",
        "price": "1.25",
        "narrow": "0.1",
        "money": "1.50",
        "ok": "true",
        "day": "2026-01-02",
        "colour": "red",
        "tags": '["a","b"]',
        "photo": "data:application/octet-stream;base64,/9g=",
    }
    assert (second["sku"], second["count"], second["gap"], second["ok"]) == ("", "", "", "")
    assert (second["price"], second["narrow"], second["photo"]) == ("1e+300", "3", "text")


def test_parquet_numbers_rows_over_all_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"n": list(range(1, 101))}), path, row_group_size=30)
    found = open_table(path)
    assert found.count() == 100
    assert all(row.values["n"] == str(row.ordinal) for row in found.rows())


def test_parquet_without_rows_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), path)
    with pytest.raises(InvalidTable, match="empty"):
        open_table(path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_long_table_is_read_in_bounded_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"long.{suffix}"
    text = "a description of a product " * 300
    with path.open("w", newline="") as file:
        if suffix == "csv":
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            writer.writerows([n, text] for n in range(2_000))
        else:
            file.writelines(json.dumps({"id": n, "text": text}) + "\n" for n in range(2_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_table(path).rows()) == 2_000
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < path.stat().st_size / 2


COLUMNS = ("sku", "Name", "description_en", "photo")


def test_wanted_columns_are_taken_in_the_callers_order() -> None:
    assert resolve_columns(COLUMNS, ["photo", "sku", "photo"], [], "text") == ["photo", "sku"]


@pytest.mark.parametrize("wanted", [[], [""]])
def test_an_empty_list_means_no_column(wanted: list[str]) -> None:
    assert resolve_columns(COLUMNS, wanted, ["sku"], "text") == []


def test_without_a_wish_the_existing_candidates_are_taken() -> None:
    candidates = ["title", "NAME", "sku", "name"]
    assert resolve_columns(COLUMNS, None, candidates, "text") == ["Name", "sku"]


def test_unknown_column_names_the_nearest_and_all() -> None:
    with pytest.raises(InvalidTable) as caught:
        resolve_columns(COLUMNS, ["Description"], [], "text")
    message = str(caught.value)
    assert "'Description'" in message
    assert "Did you mean 'description_en'" in message
    assert "'sku', 'Name', 'description_en', 'photo'" in message
