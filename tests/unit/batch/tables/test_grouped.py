"""Exports of shops: recognised by their columns, the rows of a product joined, none is lost."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from graphs.listing import default_recipe
from orchestra.batch.columns import Columns
from orchestra.batch.tables.reading import ReadAs
from orchestra.batch.tables.row import Row, Table
from orchestra.batch.tables.said import found_as, said_of
from orchestra.batch.tables.table import open_table
from orchestra.batch.tables.variants import original_rows
from orchestra.core.errors import InvalidTable

SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
    "Variant SKU,Image Src,Variant Image\n"
)
WOO = (
    "ID,Type,SKU,Name,Short description,Description,Parent,Images,"
    "Attribute 1 name,Attribute 1 value(s)\n"
)


def written(folder: Path, text: str, read_as: ReadAs | None = None) -> Table:
    path = folder / "products.csv"
    path.write_text(text, "utf-8", newline="")
    return open_table(path, read_as or ReadAs())


def columns_of(table: Table) -> Columns:
    return Columns.resolve(table, default_recipe())


def texts(table: Table) -> list[str | None]:
    return [columns_of(table).job(row, "auto").text for row in table.rows()]


def originals(table: Table) -> list[dict[str, str]]:
    return [one for row in table.rows() for one in original_rows(row.values, table.header)]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Handle,Title,Body (HTML),Image Src", "shopify"),
        ("Title,URL handle,Description,Product image URL,SKU,Variant price", "shopify"),
        ("ID,Type,SKU,Name,Short description,Images", "woocommerce"),
        ("id,type,sku,name,regular price,parent", "woocommerce"),
        ("id,title,description,image_link,price,availability", "google"),
        ("id,title,description,image link,price", "google"),
        ("id,title,description,image_link,enable_search,enable_checkout", "openai"),
        ("id,title,description", "plain"),
        ("sku,name,description,image", "plain"),
    ],
)
def test_an_export_is_recognised_by_its_columns(tmp_path: Path, header: str, name: str) -> None:
    found = written(tmp_path, f"{header}\n{','.join('x' for _ in header.split(','))}\n")
    assert found.format.name == name


def test_variants_of_shopify_are_one_product_with_their_options_and_photos(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        SHOPIFY
        + 'shirt,Shirt,"<p>Soft, 100% cotton</p>",Acme,Size,S,Colour,Red,A,https://x/1.jpg,v.jpg\n'
        + "shirt,,,,,M,,Blue,B,https://x/2.jpg,\n"
        + "shirt,,,,,,,,,https://x/3.jpg,\n"
        + "hat,Hat,Warm,Acme,Title,Default Title,,,H,https://x/h.jpg,\n",
    )
    columns = columns_of(found)
    assert columns == Columns(
        ("Title", "Body (HTML)", "Vendor", "options"), ("Image Src", "Variant Image"), "Handle"
    )
    assert texts(found) == [
        "Title: Shirt\ndescription: Soft, 100% cotton\nVendor: Acme\n"
        "options: Size: S, M; Colour: Red, Blue",
        "Title: Hat\ndescription: Warm\nVendor: Acme",
    ]
    first = next(found.rows())
    assert columns.row_id(first) == "shirt"
    assert list(columns.photo_cells(first)) == [
        ("Image Src", "https://x/1.jpg"),
        ("Image Src", "https://x/2.jpg"),
        ("Image Src", "https://x/3.jpg"),
        ("Variant Image", "v.jpg"),
    ]
    assert found.count() == 2
    assert "products: 2, rows: 4" in found.told


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 3, 1, 4, 2), (4, 3, 2, 1, 0)])
def test_rows_of_a_product_that_stand_apart_are_joined_and_none_is_lost(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    rows = [
        "shirt,Shirt,Soft,Acme,Size,S,,,A,1.jpg,",
        "shirt,,,,,M,,,B,2.jpg,",
        "shirt,,,,,L,,,C,,",
        "hat,Hat,Warm,Acme,,,,,H,h.jpg,",
        "hat,,,,,,,,H2,,",
    ]
    text = SHOPIFY + "".join(rows[at] + "\n" for at in order)
    found = written(tmp_path, text)
    products = {row.values["Handle"]: row for row in found.rows()}
    assert products["shirt"].values["Title"] == "Shirt"
    assert products["hat"].values["Title"] == "Hat"
    assert [row.ordinal for row in found.rows()] == [1, 2]
    assert list(products) == list(dict.fromkeys(rows[at].split(",")[0] for at in order))
    plain = list(csv.DictReader(io.StringIO(text)))
    kept = originals(found)
    assert sorted(map(str, kept)) == sorted(map(str, plain))
    for handle in products:  # in the table's order
        own = [one for one in plain if one["Handle"] == handle]
        assert [one for one in kept if one["Handle"] == handle] == own


def test_a_damaged_row_costs_its_product_and_no_other(tmp_path: Path) -> None:
    rows = "shirt,Shirt,Soft,Acme,,,,,A,,\nshirt,,,,,,,,B\nhat,Hat,Warm,,,,,,,,\n,,,,,,,,x,,\n"
    found = written(tmp_path, SHOPIFY + rows)
    messages = [row.error.message if row.error else "" for row in found.rows()]
    assert "Row 2 (line 3) has 9 cells" in messages[0]
    assert messages[1] == ""
    assert "no 'Handle'" in messages[2]


def test_variations_of_woocommerce_follow_their_parent_by_id_or_sku(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        WOO
        + '10,variable,SH,Shirt,Soft,<p>Cotton</p>,,"a.jpg, b.jpg",Size,"S, M"\n'
        + "20,simple,H,Hat,Warm,,,h.jpg,,\n"
        + "11,variation,SH-S,Shirt - S,,,SH,s.jpg,Size,S\n"
        + "12,variation,SH-M,Shirt - M,,,id:10,,Size,M\n"
        + "13,variation,O,Orphan,,,id:99,,Size,M\n",
    )
    rows = list(found.rows())
    assert [row.values["Name"] for row in rows] == ["Shirt", "Hat", "Orphan"]
    assert texts(found)[0] == (
        "Name: Shirt\nShort description: Soft\nDescription: Cotton\noptions: Size: S, M"
    )
    columns = columns_of(found)
    assert (columns.images, columns.id) == (("Images",), "ID")
    assert list(columns.photo_cells(rows[0])) == [
        ("Images", "a.jpg, b.jpg"),
        ("variation Images", "s.jpg"),
    ]
    assert [one["SKU"] for one in originals(found)] == ["SH", "SH-S", "SH-M", "H", "O"]


def test_variations_before_their_parent_are_joined(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        WOO
        + "11,variation,SH-S,Shirt - S,,,id:10,,Size,S\n"
        + "20,simple,H,Hat,Warm,,,,,\n"
        + "10,variable,SH,Shirt,Soft,,,,Size,S\n"
        + "12,variation,SH-M,Shirt - M,,,SH,,Size,M\n",
    )
    assert [row.values["Name"] for row in found.rows()] == ["Shirt", "Hat"]
    assert len(originals(found)) == 4


def test_what_was_joined_before_is_read_as_it_is(tmp_path: Path) -> None:
    first = written(tmp_path, SHOPIFY + "a,A,x,,,,,,1,,\na,,,,,,,,2,,\nb,B,y,,,,,,3,,\n")
    rows = list(first.rows())
    text = io.StringIO(newline="")
    lines = csv.DictWriter(text, first.columns)
    lines.writeheader()
    lines.writerows(dict(row.values) for row in rows)
    again = written(tmp_path, text.getvalue())
    assert [dict(row.values) for row in again.rows()] == [dict(row.values) for row in rows]
    assert len(original_rows(next(again.rows()).values, first.header)) == 2


def test_a_column_of_variants_that_is_the_users_own_is_no_list_of_rows() -> None:
    for own in ('[{"sku":"s"}]', "[1, 2]", "[not json", "S, M"):
        assert original_rows({"variants": own, "id": "1"}, ["id"]) == [{"id": "1"}]


def test_a_format_may_be_set(tmp_path: Path) -> None:
    text = SHOPIFY + "a,A,x,,,,,,1,,\na,,,,,,,,2,,\n"
    assert written(tmp_path, text, ReadAs(format="plain")).count() == 2
    own = "URL handle,Name\na,A\na,\n"
    assert written(tmp_path, own).count() == 2
    assert written(tmp_path, own, ReadAs(format="shopify")).count() == 1
    with pytest.raises(InvalidTable, match=r"read as a Shopify export.*'handle' or 'url handle'"):
        written(tmp_path, "id,name\n1,A\n", ReadAs(format="shopify"))
    with pytest.raises(ValueError, match="there is no format 'shopfy'"):
        ReadAs(format="shopfy")


def test_a_table_is_read_again_as_it_was_found(tmp_path: Path) -> None:
    text = SHOPIFY.replace(",", ";") + "a;A;Käse aus Österreich;;;;;;1;;\n"
    path = tmp_path / "products.csv"
    path.write_bytes(text.encode("cp1252"))
    found = open_table(path)
    assert found_as(found) == ReadAs(format="shopify", delimiter=";", encoding="cp1252")
    again = open_table(path, found_as(found))
    assert found_as(again) == found_as(found)
    assert list(again.rows()) == list(found.rows())


def said(table: Table) -> list[str]:
    columns = columns_of(table)
    return list(said_of(table, columns.text, columns.images, columns.id))


def test_what_is_read_is_told(tmp_path: Path) -> None:
    found = written(tmp_path, "id\ttitle\timage_link\n1\tA\thttp://x/a.jpg\n")
    assert said(found) == [
        "products.csv: UTF-8, tabs between cells, a Google Merchant feed (--format)",
        "  text    title",
        "  photos  image_link",
        "  id      id",
    ]
    plain = written(tmp_path, "name\nApple\n")
    assert said(plain)[1:] == [
        "  text    name",
        "  photos  (none)",
        "  id      (none: the number of the row)",
    ]


@pytest.mark.parametrize(
    ("header", "row", "warned"),
    [
        ("sku,name,pictures of it", "1,A,a/b.jpg", r"'pictures of it' looks like photos.*--image-"),
        ("sku,name,link1", "1,A,https://x/a.JPG?w=1", r"'link1' looks like photos"),
        ("sku,name,notes", f"1,A,{'a long text of a product ' * 3}", r"'notes' looks like text"),
        ("sku,name,Langbeschreibung", "1,A,rot", r"'Langbeschreibung' looks like text.*--text-co"),
        ("name,Article No.", "A,17", r"'Article No\.' looks like an id.*--id-column"),
        ("sku,name", "7.61032E+12,A", r"'sku' stand in scientific notation.*as text"),
    ],
)
def test_an_unread_column_that_looks_like_more_is_a_warning(
    tmp_path: Path, header: str, row: str, warned: str
) -> None:
    lines = said(written(tmp_path, f"{header}\n{row}\n"))
    assert len(lines) == 5 and lines[4].startswith("WARNING: ")
    assert re.search(warned, lines[4])


@pytest.mark.parametrize(
    "column", ["price", "stock", "image_alt", "Image Position", "seo_title", "category", "url"]
)
def test_other_columns_are_passed_over_without_a_word(tmp_path: Path, column: str) -> None:
    assert len(said(written(tmp_path, f"sku,name,{column}\n1,A,12\n"))) == 4


def test_a_used_column_that_stands_twice_is_refused_unless_it_is_named(tmp_path: Path) -> None:
    found = written(tmp_path, "sku,name,name\n1,A,B\n")
    with pytest.raises(InvalidTable, match=r"'name' more than once.*--text-columns 'name'"):
        columns_of(found)
    second = Columns.resolve(found, None, text=["name (2)"])
    assert second.job(Row(1, {"sku": "1", "name": "A", "name (2)": "B"}), "en").text == (
        "name (2): B"
    )


def test_a_table_of_unknown_columns_is_refused_with_what_they_look_like(tmp_path: Path) -> None:
    found = written(tmp_path, "nr,Warentext,Ablage\n1,roter Apfel aus Italien,p/a.jpg\n")
    with pytest.raises(InvalidTable, match=r"'Ablage' looks like photos.*--text-columns"):
        columns_of(found)
