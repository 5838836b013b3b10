"""A shop's export enriched, approved in part, and written for channels by the real commands."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from graphs.listing import default_recipe
from orchestra.batch.folder import Folder
from orchestra.batch.tables.table import open_table
from orchestra.batch.tables.variants import original_rows
from orchestra.book.decisions import NewDecision
from tests.channel_rules import amazon, google, openai, shopify, woocommerce
from tests.commands import command

SHOP = """Handle,Title,Body (HTML),Vendor,Type,Option1 Name,Option1 Value,Variant SKU,\
Variant Price,Variant Barcode,Variant Inventory Qty,Image Src,Custom (product.metafields.a.b)
red-shirt,Red cotton shirt,"<p>Soft <b>cotton</b> shirt, made in Italy.</p>",Acme,Shirts,Size,S,\
RS-S,19.00,4006381333931,3,,=x
red-shirt,,,,,,M,RS-M,19.00,036000291452,0,,
bananas,Bananas,Fresh bananas from Ecuador. 1 kg.,Farm,,Title,Default Title,BAN-1,2.50,90311017,9,,y
milk,Oat drink,"<p>Oat drink, 1 l, from Sweden</p>",Oatly,,Title,Default Title,OAT,1.90,12345,5,,
"""
SETTINGS = {
    "currency": "EUR",
    "link": "https://shop.example/products/{handle}",
    "constants": {"feed_product_type": "grocery"},
    "seller": {
        "name": "Shop",
        "url": "https://shop.example",
        "return_policy": "https://shop.example/returns",
    },
    "countries": ["DE"],
    "store_country": "DE",
    "ai_labels": {"china": True, "eu": True, "provider": "Shop"},
}
PROBLEMS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "shopify": ("s.csv", shopify.problems),
    "woocommerce": ("w.csv", woocommerce.problems),
    "google": ("g.xml", google.problems),
    "openai": ("o.jsonl", openai.problems),
    "amazon": ("a.txt", amazon.problems),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The enriched shop, of which two products are approved."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.csv").write_text(SHOP, encoding="utf-8", newline="")
    raw = default_recipe().model_dump(mode="json", by_alias=True)
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump({**raw, "export": SETTINGS}, allow_unicode=True), encoding="utf-8"
    )
    command(folder, "batch", "shop.csv", "--recipe", "recipe.yaml", "--out", "out")
    opened = Folder.read(folder / "out")
    with closing(opened.book):
        opened.book.decide(
            [
                NewDecision("red-shirt", "edit", field="title", value="Ana's red shirt"),
                NewDecision("red-shirt", "approve"),
                NewDecision("bananas", "approve"),
            ],
            by="ana",
        )
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_shopify_export_comes_back_with_all_that_it_had(shop: Path) -> None:
    told = json.loads(
        command(shop, "export", "out", "--to", "shopify", "--file", "all.csv", "--json")
    )
    assert (told["products"], told["lines"], told["refused"]) == (3, 4, 0)
    before, after = rows_of(shop / "shop.csv"), rows_of(shop / "all.csv")
    kept = [name for name in before[0] if name not in ("Title", "Body (HTML)", "Type")]
    assert [[row[name] for name in kept] for row in after] == [
        [row[name] for name in kept] for row in before
    ]
    assert after[0]["Title"] == "Ana's red shirt" and after[1]["Title"] == ""
    # The shop's own words are better than what was written of them, and keep their markup.
    assert after[0]["Body (HTML)"] == before[0]["Body (HTML)"]
    assert shopify.problems(shop / "all.csv") == []
    table = open_table(shop / "all.csv")
    again = [one for row in table.rows() for one in original_rows(row.values, table.header)]
    assert again == after


@pytest.mark.parametrize("to", PROBLEMS)
def test_approved_products_go_to_each_channel_and_pass_its_rules(shop: Path, to: str) -> None:
    name, problems = PROBLEMS[to]
    photos = yaml.safe_load((shop / "recipe.yaml").read_text(encoding="utf-8"))
    photos["export"]["constants"]["photo"] = "https://shop.example/p.jpg"
    (shop / "photos.yaml").write_text(yaml.safe_dump(photos, allow_unicode=True), encoding="utf-8")
    arguments = ("--to", to, "--file", name, "--approved", "--recipe", "photos.yaml", "--json")
    told = json.loads(command(shop, "export", "out", *arguments))
    errors = (shop / told["errors"]).read_text(encoding="utf-8")
    assert (told["products"], told["not_approved"], told["refused"]) == (2, 1, 0), errors
    assert problems(shop / name) == []
    open_table(shop / name)  # our own reader takes it
    labels = [json.loads(line) for line in (shop / told["labels"]).read_text("utf-8").splitlines()]
    title = next(one for one in labels if (one["id"], one["field"]) == ("red-shirt", "title"))
    assert (title["written_by_model"], title["reviewer"]) == (False, "ana")
    bullets = next(one for one in labels if (one["id"], one["field"]) == ("bananas", "bullets"))
    assert bullets["written_by_model"] and bullets["model"] == "r1"
    assert bullets["AIGC"]["Label"] == "1" and bullets["reviewer"] == "ana"


def test_a_template_of_amazon_is_filled_and_comes_back(shop: Path) -> None:
    names = ("feed_product_type", "item_sku", "update_delete", "brand_name", "item_name",
             "product_description", "main_image_url", "parent_child", "parent_sku",
             "relationship_type", "variation_theme", "size_name", "standard_price",
             "external_product_id", "external_product_id_type",
             *(f"bullet_point{n}" for n in range(1, 6)))  # fmt: skip
    labels = [name.replace("_", " ").title() for name in names]
    head = ["\t".join(("TemplateType=fptcustom", "Version=2026.0101", *[""] * (len(names) - 2))),
            "\t".join(labels), "\t".join(names)]  # fmt: skip
    (shop / "blank.txt").write_text("\r\n".join(head) + "\r\n", encoding="utf-8", newline="")
    raw = yaml.safe_load((shop / "recipe.yaml").read_text(encoding="utf-8"))
    raw["export"]["constants"] |= {"photo": "https://shop.example/p.jpg", "update_delete": "Update"}
    (shop / "template.yaml").write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    arguments = ("--to", "amazon", "--file", "filled.txt", "--recipe", "template.yaml", "--json")
    told = json.loads(command(shop, "export", "out", *arguments, "--template", "blank.txt"))
    assert told["products"] == 2 and "quantity" in told["unplaced"]
    written = (shop / "filled.txt").read_bytes().decode().split("\r\n")
    assert written[:3] == head
    assert amazon.problems(shop / "filled.txt") == []
    table = open_table(shop / "filled.txt")
    assert (table.columns, table.format.name) == (names, "amazon")
    rows = [row.values for row in table.rows()]
    assert [row["item_sku"] for row in rows] == ["red-shirt", "RS-S", "RS-M", "BAN-1"]
    assert {row["update_delete"] for row in rows} == {"Update"}


def test_what_a_channel_refuses_ends_with_a_word_of_why(shop: Path) -> None:
    shown = command(shop, "export", "out", "--to", "google", "--file", "g.tsv", code=1)
    assert "0 products for google" in shown and "3 products that google would not take" in shown
    assert "image_link" in shown and "g.tsv.errors.jsonl" in shown


def test_a_table_that_changed_since_is_told(shop: Path) -> None:
    table = shop / "shop.csv"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("Bananas", "Banana"), encoding="utf-8", newline="")
    try:
        command(shop, "export", "out", "--to", "xlsx", "--file", "x.xlsx", code=2)
    finally:
        table.write_text(text, encoding="utf-8", newline="")
