"""Exports to Shopify and WooCommerce: what shops gave goes back, and copy takes its place."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from orchestra.batch.recipe import FieldRule, Recipe
from orchestra.batch.tables.table import open_table
from orchestra.batch.tables.variants import original_rows
from tests.channel_batch import Batch, decided, labels, read, saved, told, written
from tests.channel_rules import shopify, woocommerce

SHOPIFY = """Handle,Title,Body (HTML),Vendor,Type,Tags,Option1 Name,Option1 Value,Variant SKU,\
Variant Price,Variant Barcode,Image Src,Image Position,Metafield: custom.note [x]
blue-mug,Old mug,<p>Old</p>,Acme,,a;b,Size,S,M-S,9.50,4006381333931,https://c.example/1.jpg,1,=1+1
blue-mug,,,,,,,L,M-L,11.00,,https://c.example/2.jpg,2,
blue-mug,,,,,,,,,,,https://c.example/3.jpg,3,
pan,Pan,"<p>Iron, ""heavy""</p>",,Kitchen,,Title,Default Title,P-1,20.00,,,,
"""
WOO = """ID,Type,SKU,Name,Published,Description,Regular price,Categories,Images,Parent,\
Attribute 1 name,Attribute 1 value(s),Meta: _x
1,variable,tee,Tee,1,Old,,Clothing > Tees,"https://c.example/1.jpg, https://c.example/2.jpg",,Size,\
"S, M",7
2,variation,tee-s,Tee - S,1,,12.00,,,tee,Size,S,
3,variation,tee-m,Tee - M,1,,13.00,,,tee,Size,M,
4,simple,cap,Cap,1,Plain,5.00,,https://c.example/c.jpg,,,,
"""
LABELS = {"ai_labels": {"china": True, "provider": "Shop"}}
PLAIN = """sku,name,description,price,barcode,stock,brand,photo
A 1,Mug,Blue <b>mug</b>,9.5,4006381333931,3,Acme,mugs/a.jpg
B2,Pan,Iron pan,20,,0,Acme,https://c.example/p.jpg
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def originals(path: Path) -> list[dict[str, str]]:
    table = open_table(path)
    return [one for row in table.rows() for one in original_rows(row.values, table.header)]


def test_a_shopify_export_goes_back_with_all_its_rows_and_columns(tmp_path: Path) -> None:
    source = saved(tmp_path, "in.csv", SHOPIFY)
    copy = written("New mug", "A blue mug.\nIt holds 300 ml.", ("Blue & round",))
    done = Batch(source, {"blue-mug": {**copy, **read(brand="Other")}, "pan": read(brand="Lodge")})
    out = tmp_path / "out.csv"
    report = done.export("shopify", out)
    assert (report.products, report.lines, report.refused) == (2, 4, 0)
    before, after = rows_of(source), rows_of(out)
    changed = {
        (row["Handle"], name): (row[name], new[name])
        for row, new in zip(before, after, strict=True)
        for name in row
        if row[name] != new[name]
    }
    body = "<p>A blue mug.</p><p>It holds 300 ml.</p><ul><li>Blue &amp; round</li></ul>"
    assert changed == {
        ("blue-mug", "Title"): ("Old mug", "New mug"),
        ("blue-mug", "Body (HTML)"): ("<p>Old</p>", body),
        ("pan", "Vendor"): ("", "Lodge"),  # what the shop said itself is not replaced
    }
    assert shopify.problems(out) == []
    # Our own reader finds what it found before, but for those cells.
    assert originals(out) == after


def test_a_shopify_export_without_new_copy_goes_back_byte_for_byte(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", SHOPIFY), tmp_path / "out.csv"
    Batch(source, {}).export("shopify", out)
    assert rows_of(out) == rows_of(source)
    assert out.read_text().splitlines()[0] == SHOPIFY.splitlines()[0]


def test_a_plain_table_becomes_a_shopify_import(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", PLAIN), tmp_path / "out.csv"
    Batch(source, {"A 1": written("Blue mug")}).export("shopify", out)
    first = rows_of(out)[0]
    assert first["URL handle"] == "a-1" and first["Title"] == "Blue mug"
    assert (first["SKU"], first["Price"], first["Barcode"]) == ("A 1", "9.5", "4006381333931")
    assert (first["Option1 name"], first["Option1 value"]) == ("Title", "Default Title")
    assert first["Product image URL"] == "https://cdn.example/mugs/a.jpg"
    assert first["Description"] == "Blue <b>mug</b>"
    assert shopify.problems(out) == []
    assert open_table(out).format.name == "shopify"


def test_a_product_that_shopify_refuses_is_left_out_whole_and_told(tmp_path: Path) -> None:
    bad = SHOPIFY.replace("11.00", "eleven").replace("Old mug", "x" * 300)
    source, out = saved(tmp_path, "in.csv", bad), tmp_path / "out.csv"
    done = Batch(source, {}).export("shopify", out)
    assert (done.products, done.refused) == (1, 1)
    assert [row["Handle"] for row in rows_of(out)] == ["pan"]
    errors = {error["attribute"]: error for error in told(done)}
    assert set(errors) == {"Title", "Price"}
    assert errors["Price"]["value"] == "eleven" and errors["Price"]["id"] == "blue-mug"
    assert "at most 255 characters are taken, and it has 300" in errors["Title"]["limit"]
    assert all(error["cure"] for error in errors.values())
    assert shopify.problems(out) == []


def test_a_woocommerce_export_goes_back_with_its_variations(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", WOO), tmp_path / "out.csv"
    copy = written("=New tee", "Soft.")
    done = Batch(source, {"1": copy, "4": read(category="Caps")})
    done.export("woocommerce", out)
    before, after = rows_of(source), rows_of(out)
    assert [row["SKU"] for row in after] == ["tee", "tee-s", "tee-m", "cap"]
    changed = {
        (row["SKU"], name)
        for row, new in zip(before, after, strict=True)
        for name in row
        if row[name] != new[name]
    }
    assert changed == {("tee", "Name"), ("tee", "Description"), ("cap", "Categories")}
    assert after[0]["Name"] == "'=New tee"  # WooCommerce's importer takes the apostrophe off
    assert woocommerce.problems(out) == []
    assert originals(out) == after


def test_variants_of_one_shop_become_variations_of_another(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", SHOPIFY), tmp_path / "out.csv"
    done = Batch(source, {}).export("woocommerce", out)
    assert (done.products, done.lines) == (2, 4)
    rows = rows_of(out)
    assert [(row["Type"], row["SKU"], row["Parent"]) for row in rows] == [
        ("variable", "blue-mug", ""),
        ("variation", "M-S", "blue-mug"),
        ("variation", "M-L", "blue-mug"),
        ("simple", "pan", ""),
    ]
    assert rows[0]["Attribute 1 value(s)"] == "S, L"
    assert [row["Regular price"] for row in rows] == ["", "9.50", "11.00", "20.00"]
    assert len(rows[0]["Images"].split(", ")) == 3
    assert woocommerce.problems(out) == []


def test_what_a_person_wrote_goes_before_all_and_is_labelled_so(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", SHOPIFY), tmp_path / "out.csv"
    copy = written("Robot's title", "Robot's words.")
    fields = {
        "title": decided(copy["title"], "ana", "edit", value="Ana's", source="person", model=None),
        "description": decided(copy["description"], "bo"),
        "brand": decided(read(brand="x")["brand"], "ana", "edit", value="Ana", source="person"),
    }
    done = Batch(source, {"blue-mug": fields}).export("shopify", out)
    first = rows_of(out)[0]
    assert (first["Title"], first["Vendor"]) == ("Ana's", "Ana")
    marks = {one["field"]: one for one in labels(done)}
    assert marks["title"]["written_by_model"] is False and marks["title"]["reviewer"] == "ana"
    assert marks["description"]["written_by_model"] is True
    assert (marks["description"]["model"], marks["description"]["reviewer"]) == ("r1", "bo")
    assert marks["description"]["at"] == "2026-11-29T06:00:00Z"


@pytest.mark.parametrize("to", ["shopify", "woocommerce"])
def test_rows_that_are_not_finished_are_told_and_rejected_ones_counted(
    tmp_path: Path, to: str
) -> None:
    source, out = saved(tmp_path, "in.csv", PLAIN), tmp_path / "out.csv"
    done = Batch(source, {}, statuses={"A 1": "failed"}).export(to, out)
    assert (done.products, done.unfinished) == (1, 1)
    (error,) = told(done)
    assert (error["id"], error["attribute"], error["value"]) == ("A 1", "status", "failed")


def test_cells_that_a_file_repeats_on_variants_change_with_the_first(tmp_path: Path) -> None:
    repeated = SHOPIFY.replace("blue-mug,,,,,,,L", "blue-mug,Old mug,<p>Old</p>,,,,,L")
    source, out = saved(tmp_path, "in.csv", repeated), tmp_path / "out.csv"
    Batch(source, {"blue-mug": written("New mug", "New.")}).export("shopify", out)
    assert [row["Title"] for row in rows_of(out)] == ["New mug", "New mug", "", "Pan"]


def test_a_reduced_price_is_told_as_each_shop_tells_it(tmp_path: Path) -> None:
    reduced = SHOPIFY.replace("Variant Price,", "Variant Price,Variant Compare At Price,").replace(
        "9.50,", "9.50,12.00,"
    )
    reduced = reduced.replace("11.00,", "11.00,,").replace("20.00,", "20.00,20.00,")
    reduced = reduced.replace(",,https://c.example/3", ",,,https://c.example/3")
    source = saved(tmp_path, "in.csv", reduced)
    woo, shop = tmp_path / "w.csv", tmp_path / "s.csv"
    Batch(source, {}).export("woocommerce", woo)
    prices = [(row["Regular price"], row["Sale price"]) for row in rows_of(woo)]
    assert prices == [("", ""), ("12.00", "9.50"), ("11.00", ""), ("20.00", "")]
    Batch(woo, {}).export("shopify", shop)
    assert [(row["Price"], row["Compare-at price"]) for row in rows_of(shop)][:2] == [
        ("9.50", "12.00"),
        ("11.00", ""),
    ]


def test_a_damaged_row_is_told_and_costs_itself_alone(tmp_path: Path) -> None:
    source = saved(tmp_path, "in.csv", PLAIN + "C3,Cup,x,1,,1,Acme,p.jpg,too,many\n")
    done = Batch(source, {}).export("woocommerce", tmp_path / "out.csv")
    assert (done.products, done.unfinished) == (2, 1)
    (error,) = told(done)
    assert (error["attribute"], error["row"]) == ("row", 3) and "cells" in error["limit"]


def test_of_several_languages_one_goes_out(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", PLAIN), tmp_path / "out.csv"
    both = {f"title_{code}": written(text)["title"] for code, text in (("en", "Mug"), ("zh", "杯"))}
    fields = {"colour": FieldRule.model_validate({"type": "span", "from": ["text"]})}
    recipe = Recipe(name="r", version=1, languages=("en", "zh"), fields=fields)
    for language, title in ((None, "Mug"), ("zh", "杯")):
        Batch(source, {"A 1": both}, recipe).export("shopify", out, language=language)
        assert rows_of(out)[0]["Title"] == title


def test_a_category_of_a_taxonomy_goes_out_by_its_id(tmp_path: Path) -> None:
    saved(tmp_path, "google.txt", "5 - Home\n7 - Home > Mugs\n")
    saved(tmp_path, "shop.txt", "gid://shopify/TaxonomyCategory/hg-1 : Mugs\n")
    source = saved(tmp_path, "in.csv", PLAIN)
    for tree, value, to, name, column, told_as in (
        ("google.txt", "Home > Mugs", "google", "f.tsv", "google_product_category", "7"),
        ("shop.txt", "Mugs", "shopify", "s.csv", "Product category", "Mugs"),
        ("google.txt", "Home > Mugs", "shopify", "s.csv", "Product category", ""),
    ):
        rule = f"{{type: choice, from: [text], taxonomy: {tree}}}"
        path = saved(tmp_path, "r.yaml", f"name: r\nversion: 1\nfields:\n  category: {rule}\n")
        batch = Batch(source, {"A 1": read(category=value)}, Recipe.load(path))
        batch.export(to, tmp_path / name, columns={"handle": "stock"})
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            first = next(csv.DictReader(file, delimiter="\t" if to == "google" else ","))
        assert first[column] == told_as


def test_the_tables_own_words_keep_their_markup_and_their_length(tmp_path: Path) -> None:
    long = "Blue mug. " * 80
    table = SHOPIFY.replace("<p>Old</p>", f"<p><b>{long}</b></p>")
    table = table.replace("Old mug,", "Old mug (best),")
    source, out = saved(tmp_path, "in.csv", table), tmp_path / "out.csv"
    fields = {"brand": FieldRule.model_validate({"type": "span", "from": ["text"]})}
    recipe = Recipe(name="r", version=1, fields=fields, banned_words=("best", "cure"))
    own = read(title="Old mug", description=long[:480].rstrip(" ."))
    Batch(source, {"blue-mug": own}, recipe).export("shopify", out)
    first = rows_of(out)[0]
    assert first["Body (HTML)"] == f"<p><b>{long}</b></p>"  # it was cut, and nothing else
    assert first["Title"] == "Old mug"  # a word that may not be said was left out

    source = saved(tmp_path, "in.csv", table.replace("</b>", "They cure.</b>"))
    done = Batch(source, {"blue-mug": own}, recipe).export("shopify", out, **LABELS)
    assert rows_of(out)[0]["Body (HTML)"] == f"<p>{long[:480].rstrip(' .')}</p>"
    assert not any(one["written_by_model"] for one in labels(done))
