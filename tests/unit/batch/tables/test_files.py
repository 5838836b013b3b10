"""Every kind of file a table may come in: packed, JSON, XML, Excel, Parquet, folders, addresses."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from orchestra.batch.columns import Columns
from orchestra.batch.tables.folder import FolderTable
from orchestra.batch.tables.table import Table, is_table_name, open_table
from orchestra.core.errors import InvalidTable

ITEM = "<item><g:id>{}</g:id><title>{}</title></item>"


def written(folder: Path, name: str, content: str | bytes) -> Table:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_table(path)


def cells(table: Table) -> list[dict[str, str]]:
    return [dict(row.values) for row in table.rows()]


def errors(table: Table) -> dict[int, str]:
    return {row.ordinal: row.error.message for row in table.rows() if row.error}


def workbook(rows: list[list[Any]], *others: str) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Products"
    for row in rows:
        sheet.append(row)
    for name in others:
        book.create_sheet(name).append(["a note"])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


TWO = [{"sku": "01", "name": "Äpfel"}, {"sku": "02", "name": "苹果"}]
FEED = (
    "<?xml version='1.0'?><rss xmlns:g='http://base.google.com/ns/1.0'><channel>"
    + "".join(f"<item><g:sku>{one['sku']}</g:sku><name>{one['name']}</name></item>" for one in TWO)
    + "</channel></rss>"
)
CONTENT = {
    "p.csv": "sku,name\n01,Äpfel\n02,苹果\n".encode(),
    "p.tsv": "sku\tname\n01\tÄpfel\n02\t苹果\n".encode(),
    "p.txt": "sku|name\n01|Äpfel\n02|苹果\n".encode(),
    "p.jsonl": "".join(json.dumps(one) + "\n" for one in TWO).encode(),
    "p.json": json.dumps(TWO, indent=1, ensure_ascii=False).encode(),
    "p.xml": FEED.encode(),
    "p.xlsx": workbook([["sku", "name"], *([one["sku"], one["name"]] for one in TWO)]),
    "p.parquet": parquet({name: [one[name] for one in TWO] for name in TWO[0]}),
}


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", CONTENT)
def test_each_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, is_packed: bool) -> None:
    content = gzip.compress(CONTENT[name]) if is_packed else CONTENT[name]
    found = written(tmp_path, f"{name}.gz" if is_packed else name, content)
    assert cells(found) == TWO
    assert (found.count(), found.columns) == (2, ("sku", "name"))


@pytest.mark.parametrize("name", ["p.xlsx", "p.parquet", "p.json", "p.jsonl", "p.xml"])
def test_what_a_file_is_stands_in_its_content(tmp_path: Path, name: str) -> None:
    content = CONTENT[name]
    assert cells(written(tmp_path, "export.csv", content)) == TWO


def test_the_hash_is_of_the_content_packed_or_not(tmp_path: Path) -> None:
    for name, content in CONTENT.items():
        plain = written(tmp_path, name, content).fingerprint
        assert written(tmp_path, f"{name}.gz", gzip.compress(content)).fingerprint == plain


def test_what_is_called_xls_is_read_by_its_content(tmp_path: Path) -> None:
    for name in ("p.csv", "p.tsv", "p.xlsx"):
        assert cells(written(tmp_path, "p.xls", CONTENT[name])) == TWO


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.xls", b"<html><table><tr><td>sku</td></tr></table>", "is a web page"),
        ("p.csv", b"<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        ("p.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
        ("p.zip", b"PK\x05\x06" + b"\0" * 18, "suffix '.zip'"),
        ("p.yaml", b"- sku: 1", "suffix '.yaml'"),
    ],
)
def test_what_is_no_table_is_told_as_what_it_is(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(InvalidTable, match=re.escape(said)):
        written(tmp_path, name, content)


def test_a_packed_file_that_is_cut_off_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="that the file is whole"):
        written(tmp_path, "p.csv.gz", gzip.compress(CONTENT["p.csv"] * 100)[:60])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", '{"products":[{"id":1,"tags":["a"]},{"id":2,"tags":[]}]}'),
        ("p.json", '{"count":2,"items":[{"id":1,"tags":["a"]},{"id":2,"tags":[]}]}'),
        ("p.json", '{"id":1,"tags":["a"]}\n{"id":2,"tags":[]}\n'),
        ("p.jsonl", '[\n{"id":1,"tags":["a"]},\n{"id":2,"tags":[]}\n]'),
        ("p.jsonl", '{"id":1,"tags":["a"]},\n{"id":2,"tags":[]},\n'),
        ("p.jsonl", '{\n "id": 1,\n "tags": ["a"]\n}\n{\n "id": 2,\n "tags": []\n}'),
    ],
)
def test_objects_are_found_however_they_are_listed(tmp_path: Path, name: str, content: str) -> None:
    expected = [{"id": "1", "tags": '["a"]'}, {"id": "2", "tags": "[]"}]
    assert cells(written(tmp_path, name, content)) == expected


def test_an_object_alone_is_a_row_and_its_lists_are_cells(tmp_path: Path) -> None:
    found = written(tmp_path, "p.json", '{"id":1,"name":"A","images":[{"src":"a.jpg"}]}')
    assert cells(found) == [{"id": "1", "name": "A", "images": '[{"src":"a.jpg"}]'}]


@pytest.mark.parametrize(
    ("content", "damaged"),
    [
        ('[{"id":1},{"id":x},{"id":3}]', [2]),
        ('[{"id":1},\n{"id":2,"n":"open\n{"id":3}]', [2]),
        ('[{"id":1},{"id":"}{]["},{"id":3}]', []),
        ('[{"id":1},{"id":"\\ud83d"},{"id":3}]', [2]),
        ('[{"id":1},{"id":2', [2]),
    ],
)
def test_a_damaged_object_costs_itself_only(
    tmp_path: Path, content: str, damaged: list[int]
) -> None:
    found = written(tmp_path, "p.json", content)
    assert list(errors(found)) == damaged
    assert cells(found)[0] == {"id": "1"}
    assert content.endswith("2") or cells(found)[2] == {"id": "3"}


@pytest.mark.parametrize("name", ["p.jsonl", "p.json", "p.xml"])
def test_objects_in_another_encoding_are_read_in_theirs(tmp_path: Path, name: str) -> None:
    form = ITEM if name == "p.xml" else '{{"id":{},"title":"{}"}}'
    lines = [form.format(1, "Äpfel"), form.format(2, "Käse aus Österreich")]
    content = lines[0].encode() + b"\n" + lines[1].encode("cp1252") + b"\n"
    found = written(tmp_path, name, b"<rss>" + content if name == "p.xml" else content)
    assert [row["title"] for row in cells(found)] == ["Äpfel", "Käse aus Österreich"]
    assert any("in another encoding" in line for line in found.told)


def test_nan_in_json_is_a_gap(tmp_path: Path) -> None:
    found = written(tmp_path, "p.jsonl", '{"id":1,"price":NaN}\n{"id":2,"price":1.50}\n')
    assert [row["price"] for row in cells(found)] == ["", "1.50"]
    assert not errors(found)


def test_a_feed_has_lists_objects_and_names_of_html(tmp_path: Path) -> None:
    item = (
        "<item><g:id>1</g:id><title><![CDATA[A & <b>B</b>]]></title>"
        "<g:description>Soft&nbsp;&amp; warm</g:description><g:image_link>a.jpg</g:image_link>"
        "<g:additional_image_link>b.jpg</g:additional_image_link>"
        "<g:additional_image_link>c.jpg</g:additional_image_link>"
        "<g:shipping><g:country>US</g:country></g:shipping></item>"
    )
    feed = f"<rss><channel><title>Shop</title>{item}</channel></rss>"
    found = written(tmp_path, "feed.xml", feed)
    assert found.format.name == "google"
    assert cells(found) == [
        {
            "id": "1",
            "title": "A & <b>B</b>",
            "description": "Soft\xa0& warm",
            "image_link": "a.jpg",
            "additional_image_link": '["b.jpg","c.jpg"]',
            "shipping": '{"country":"US"}',
        }
    ]


def test_a_damaged_item_of_a_feed_costs_itself_only(tmp_path: Path) -> None:
    items = [
        ITEM.format(1, "Tom & Jerry"),
        "<item><g:id>2</g:id><title>A</g:title></item>",
        "<item><g:id>3</g:id><title>never closed",
        ITEM.format(4, "B"),
    ]
    found = written(tmp_path, "feed.xml", f"<rss><channel>{''.join(items)}</channel></rss>")
    assert list(errors(found)) == [2, 3]
    assert [row["title"] for row in cells(found)] == ["Tom & Jerry", "", "", "B"]


def test_a_feed_is_read_in_the_encoding_that_it_declares_or_has(tmp_path: Path) -> None:
    for declared in ("ISO-8859-1", "UTF-8"):
        feed = f"<?xml version='1.0' encoding='{declared}'?><rss>{ITEM.format(1, 'Käse')}</rss>"
        found = written(tmp_path, f"{declared}.xml", feed.encode("latin-1"))
        assert cells(found)[0]["title"] == "Käse"


def test_entities_of_a_feed_that_grow_without_end_are_no_text(tmp_path: Path) -> None:
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"
    found = written(tmp_path, "feed.xml", f"{bomb}<rss>{ITEM.format(1, '&b;')}</rss>")
    assert cells(found)[0]["title"] == "&b;"


def test_cells_of_excel_are_text_as_they_are_shown(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["sku", "ean", "price", "day", "at", "ok", "clock"])
    sheet.append(
        [123, 7610320000123, 1.5, date(2026, 1, 2), datetime(2026, 1, 2, 3), True, time(4)]
    )
    sheet.append(['="007"', 7610320000124.0, 2.0, None, None, False, None])
    sheet["A2"].number_format = "00000"
    book.save(tmp_path / "p.xlsx")
    first, second = cells(open_table(tmp_path / "p.xlsx"))
    assert list(first.values()) == [
        "00123", "7610320000123", "1.5", "2026-01-02", "2026-01-02 03:00:00", "true", "04:00:00",
    ]  # fmt: skip
    assert (second["ean"], second["price"], second["ok"]) == ("7610320000124", "2", "false")


def test_a_sheet_is_found_below_its_banner_and_others_are_told(tmp_path: Path) -> None:
    rows = [["Export 2026"], [], ["sku", "name", "price"], ["1", "A", 2], [], ["2", "B", 3], [None]]
    found = written(tmp_path, "p.xlsx", workbook(rows, "Notes"))
    assert [row["name"] for row in cells(found)] == ["A", "B"]
    assert found.count() == 2
    assert found.told == (
        "Excel, sheet 'Products'",
        "left out above the header: 'Export 2026'",
        "not read: the sheet 'Notes'",
    )


def test_odd_rows_of_a_sheet_are_errors_of_their_own(tmp_path: Path) -> None:
    rows = [["sku", "name"], ["1", "#N/A"], ["2", "B", "extra"], ["3"], ["4", "D"]]
    found = errors(written(tmp_path, "p.xlsx", workbook(rows)))
    assert list(found) == [1, 2]
    assert "#N/A in column 'name'" in found[1] and "'extra'" in found[2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (workbook([["sku", "name"]]), "none of its sheets"),
        (workbook([["sku"], ["1"]])[:500], "damaged Excel workbook"),
    ],
)
def test_a_workbook_without_a_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InvalidTable, match=said):
        written(tmp_path, "p.xlsx", content)


def test_photos_of_parquet_are_data_also_inside_a_struct(tmp_path: Path) -> None:
    jpeg = b"\xff\xd8\xff\xe0photo"
    uri = "data:application/octet-stream;base64,/9j/4HBob3Rv"
    columns = {
        "image": [{"bytes": jpeg, "path": None}, {"bytes": None, "path": "b.jpg"}],
        "images": [[{"bytes": jpeg, "path": "a.jpg"}], []],
        "size": [{"w": 1}, None],
    }
    first, second = cells(written(tmp_path, "p.parquet", parquet(columns)))
    assert first == {"image": uri, "images": json.dumps([uri]), "size": '{"w":1}'}
    assert (second["image"], second["images"], second["size"]) == ("b.jpg", "[]", "")


def test_a_folder_of_photos_is_a_table(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/x.png", "a/x.jpg", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"photo")
    found = open_table(tmp_path)
    assert [row["photo"] for row in cells(found)] == ["a/x.jpg", "a/x.png", "b.JPG"]
    assert [row["id"] for row in cells(found)] == ["a/x", "a/x.png", "b"]
    assert Columns.resolve(found, None) == Columns((), ("photo",), "id")
    (tmp_path / "b.JPG").write_bytes(b"another photo")
    assert open_table(tmp_path).fingerprint != found.fingerprint


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="no photo in it"):
        FolderTable(tmp_path)


@contextmanager
def serving(content: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = self.path.startswith("/feed")
            self.send_response(200 if there else 404)
            self.end_headers()
            self.wfile.write(content if there else b"")

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_a_table_of_the_web_is_copied_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serving(CONTENT["p.tsv"]) as address:
        for name in ("feed.txt", "feed?format=tsv"):
            found = open_table(Path(f"{address}/{name}"))  # a Path has lost a slash
            assert cells(found) == TWO
            assert found.path.is_relative_to(tmp_path / "orchestra" / "tables")
        with pytest.raises(InvalidTable, match=r"404.*Check the address"):
            open_table(f"{address}/gone.csv")
    with pytest.raises(InvalidTable, match="cannot be read"):
        open_table(f"{address}/feed.txt")
    assert cells(open_table(found.path)) == TWO


def test_other_addresses_are_read_by_fsspec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with fsspec.open("memory://shop/p.csv.gz", "wb") as file:
        file.write(gzip.compress(CONTENT["p.csv"]))  # type: ignore[union-attr]
    assert cells(open_table("memory://shop/p.csv.gz")) == TWO
    for address in ("memory://shop/gone.csv", "nosuch://shop/p.csv"):
        with pytest.raises(InvalidTable, match="cannot be read"):
            open_table(address)


def test_a_name_of_a_table_is_told_from_a_text(tmp_path: Path) -> None:
    for name in ("p.csv", "P.XLSX", "feed.xml.gz", "https://x/p.json?v=1", f"{tmp_path}/"):
        assert is_table_name(name)
    for text in ("A red shirt", "Cut at p.csv\nor so", "shirts/red or blue", "x" * 10_000):
        assert not is_table_name(text)


@pytest.mark.parametrize("kind", ["json", "xml", "shopify"])
def test_long_files_are_read_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    text, path = "a description of a product " * 200, tmp_path / f"p.{kind}"
    if kind == "json":
        content = json.dumps([{"id": n, "text": text} for n in range(2_000)])
    elif kind == "xml":
        content = f"<rss>{''.join(ITEM.format(n, text) for n in range(2_000))}</rss>"
    else:
        path = tmp_path / "p.csv"
        rows = (f"h{n % 500},{'A' * (n < 500)},{text},{n}\n" for n in range(2_000))
        content = "Handle,Title,Body (HTML),Variant SKU\n" + "".join(rows)
    path.write_text(content)
    size = len(content)
    del content
    tracemalloc.start()
    try:
        found = open_table(path)
        assert sum(1 for _ in found.rows()) == (500 if kind == "shopify" else 2_000)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < size / 2
