"""Feeds for Google, OpenAI and Amazon: required attributes, limits, and who wrote the copy."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from orchestra.batch.columns import Columns
from orchestra.batch.tables.structured import structured
from orchestra.batch.tables.table import open_table
from tests.channel_batch import SHOP, Batch, decided, read, saved, told, written
from tests.channel_rules import amazon, google, openai

TABLE = '''\
sku,name,description,price,barcode,stock,brand,handle,photo,colour
M1,Old mug,<p>Holds 300&nbsp;ml</p>,9.5,4006381333931,3,Acme,mug,\
"https://c.example/1.jpg, https://c.example/2.jpg",Blue
P2,"Pan, ""heavy""",Iron pan,20 EUR,90311017,0,Lodge,pan,https://c.example/p.jpg,
'''
SHOPIFY = """Handle,Title,Body (HTML),Vendor,Option1 Name,Option1 Value,Option2 Name,Option2 Value,\
Variant SKU,Variant Price,Variant Barcode,Variant Inventory Qty,Image Src,Variant Image
tee,Tee,<p>Cotton tee</p>,Acme,Color,Red,Size,M,T-R,12.00,4006381333931,4,https://c.example/t.jpg,\
https://c.example/r.jpg
tee,,,,,Blue,,M,T-B,13.00,036000291452,0,,https://c.example/b.jpg
"""
COPY = written(
    'Blue "Acme" mug: 300 ml',
    "A blue mug.\nFor hot drinks, & more.",
    ("Holds 300 ml, no more", "Safe in the dishwasher"),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved(tmp_path, "in.csv", TABLE)


def cells(path: Path) -> list[dict[str, str]]:
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_google_gets_structured_copy_where_a_model_wrote_it(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "feed.tsv"
    done = Batch(source, {"M1": COPY}).export("google", out)
    assert (done.products, done.refused) == (2, 0), told(done)
    first, second = cells(out)
    ai = "trained_algorithmic_media:"
    assert first["structured_title"] == ai + '"Blue ""Acme"" mug: 300 ml"'
    assert first["structured_description"] == ai + '"A blue mug. For hot drinks, & more."'
    assert first["title"] == first["description"] == ""
    assert (second["title"], second["structured_title"]) == ('Pan, "heavy"', "")
    assert first["price"] == "9.5 EUR" and second["price"] == "20 EUR"
    assert (first["availability"], second["availability"]) == ("in_stock", "in_stock")
    assert first["link"] == "https://shop.example/products/mug"
    assert first["product_highlight"] == '"Holds 300 ml, no more",Safe in the dishwasher'
    assert google.problems(out) == []


def test_google_gets_plain_copy_where_a_person_wrote_it(source: Path, tmp_path: Path) -> None:
    edited = decided(COPY["title"], "ana", "edit", value="Ana's mug", source="person", model=None)
    approved = decided(COPY["description"], "ana")
    out = tmp_path / "feed.tsv"
    Batch(source, {"M1": {"title": edited, "description": approved}}).export("google", out)
    first = cells(out)[0]
    assert (first["title"], first["structured_title"]) == ("Ana's mug", "")
    # Who approves what a model wrote has not written it.
    assert first["structured_description"].startswith("trained_algorithmic_media:")


def test_googles_xml_holds_what_the_tabs_hold(source: Path, tmp_path: Path) -> None:
    fields = {"M1": {**COPY, **read(material="a < b & \x07c")}}
    out = tmp_path / "feed.xml"
    Batch(source, fields).export("google", out)
    assert google.problems(out) == []
    g = "{http://base.google.com/ns/1.0}"
    root = ElementTree.parse(out).getroot()
    item = root.find("channel/item")
    assert item is not None
    assert item.findtext(f"{g}structured_title/{g}content") == 'Blue "Acme" mug: 300 ml'
    assert item.findtext(f"{g}structured_description/{g}content") == COPY["description"].value
    assert item.findtext(f"{g}material") == "a < b & c"
    assert root.findtext("channel/link") == "https://shop.example/"


def test_variants_are_items_of_one_group(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", SHOPIFY), tmp_path / "feed.tsv"
    Batch(source, {}).export("google", out, constants={})
    red, blue = cells(out)
    assert (red["id"], red["item_group_id"]) == ("T-R", "tee")
    assert (red["color"], red["size"]) == ("Red", "M")
    assert (blue["id"], blue["item_group_id"], blue["color"]) == ("T-B", "tee", "Blue")
    assert (red["availability"], blue["availability"]) == ("in_stock", "out_of_stock")
    assert red["image_link"] == "https://c.example/r.jpg"
    assert red["description"] == "Cotton tee"  # HTML became text
    assert google.problems(out) == []


@pytest.mark.parametrize(
    ("change", "attribute", "limit"),
    [
        (("4006381333931", "4006381333932"), "gtin", "last digit must be 1 .*and is 2"),
        (("4006381333931", "2001234567893"), "gtin", "a shop's own or coupons"),
        (("4006381333931", "12345"), "gtin", "8, 12, 13, 14 digits"),
        (("4006381333931", ""), "gtin", "a GTIN is required, or an mpn"),
        (("9.5", "on request"), "price", "a number and an ISO 4217 code"),
        (("Acme", ""), "brand", "the channel requires it"),
        (("mug,", "'my mug',"), "link", "an address with http"),
        (("Old mug", "x" * 151), "title", "at most 150 characters are taken, and it has 151"),
        (('"https://c.example/1.jpg, https://c.example/2.jpg"', ""), "image_link", "requires"),
        (("M1,Old", f"{'M' * 51},Old"), "id", "at most 50 characters"),
    ],
)
def test_what_google_refuses_is_an_error_of_its_row(
    tmp_path: Path, change: tuple[str, str], attribute: str, limit: str
) -> None:

    source, out = saved(tmp_path, "in.csv", TABLE.replace(*change)), tmp_path / "feed.tsv"
    done = Batch(source, {}).export("google", out)
    assert (done.products, done.refused) == (1, 1)
    error = next(one for one in told(done) if one["attribute"] == attribute)
    assert re.search(limit, error["limit"]) and error["cure"] and error["row"] == 1
    assert [one["id"] for one in cells(out)] == ["P2"]
    assert google.problems(out) == []


def test_two_products_of_one_id_are_told(tmp_path: Path) -> None:
    twice = TABLE.replace("P2,", "M1,")
    source, out = saved(tmp_path, "in.csv", twice), tmp_path / "feed.tsv"
    done = Batch(source, {}).export("google", out)
    assert done.products == 1
    assert told(done)[0]["limit"] == "the product 'M1' has it already"


@pytest.mark.parametrize("name", ["f.jsonl", "f.csv", "f.tsv", "f.jsonl.gz", "f.csv.gz"])
def test_openais_feed_in_each_form(source: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    done = Batch(source, {"M1": COPY}).export("openai", out)
    assert (done.products, done.refused) == (2, 0), told(done)
    assert openai.problems(out) == []
    if name.endswith(".gz"):
        (tmp_path / "plain").mkdir()
        out = tmp_path / "plain" / name.removesuffix(".gz")
        out.write_bytes(gzip.decompress((tmp_path / name).read_bytes()))
    table = open_table(out)
    first = next(iter(table.rows())).values
    assert table.format.name == "openai"
    assert first["title"] == COPY["title"].value
    assert first["description"].splitlines() == ["A blue mug.", "For hot drinks, & more."]


def test_openai_wants_the_seller_and_says_where(source: Path, tmp_path: Path) -> None:
    done = Batch(source, {}).export("openai", tmp_path / "f.jsonl", seller={}, countries=[])
    assert done.products == 0
    cures = {error["attribute"]: error["cure"] for error in told(done)}
    assert cures["seller_name"] == "Set export: {seller: {name: …}}."
    assert cures["target_countries"] == "Set export: {countries: [US]}."


def test_checkout_wants_policy_and_terms(source: Path, tmp_path: Path) -> None:
    constants = {**SHOP["constants"], "is_eligible_checkout": "true"}
    done = Batch(source, {}).export("openai", tmp_path / "f.jsonl", constants=constants)
    assert {one["attribute"] for one in told(done)} == {"seller_privacy_policy", "seller_tos"}


def test_openais_variants_tell_what_they_differ_in(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", SHOPIFY), tmp_path / "f.jsonl"
    Batch(source, {}).export("openai", out, constants={})
    red, blue = map(json.loads, out.read_text(encoding="utf-8").splitlines())
    assert red["group_id"] == blue["group_id"] == "tee"
    assert blue["variant_dict"] == {"Color": "Blue", "Size": "M"}
    assert openai.problems(out) == []


def test_amazons_flat_file(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "amazon.txt"
    done = Batch(source, {"M1": COPY}).export("amazon", out)
    assert (done.products, done.refused) == (2, 0), told(done)
    first, second = cells(out)
    assert first["item_name"] == 'Blue "Acme" mug: 300 ml'
    assert (first["external_product_id_type"], second["external_product_id_type"]) == ("EAN", "EAN")
    assert first["bullet_point2"] == "Safe in the dishwasher"
    assert first["standard_price"] == "9.5"
    assert amazon.problems(out) == []


def test_amazons_variants_have_a_parent(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "in.csv", SHOPIFY), tmp_path / "amazon.txt"
    Batch(source, {}).export("amazon", out)
    rows = cells(out)
    assert [(r["item_sku"], r["parent_child"], r["parent_sku"]) for r in rows] == [
        ("tee", "parent", ""),
        ("T-R", "child", "tee"),
        ("T-B", "child", "tee"),
    ]
    assert {row["variation_theme"] for row in rows} == {"Color"}
    assert amazon.problems(out) == []


@pytest.mark.parametrize(
    ("copy", "attribute", "limit"),
    [
        (written("Mug!"), "item_name", "the character '!' is not taken"),
        (written("Mug " * 3), "item_name", "'mug' stands 3 times"),
        (written("Mug, free shipping"), "item_name", "the promotional phrase 'free shipping'"),
        (written("M" * 201), "item_name", "at most 200 characters"),
        (written(bullets=("short",)), "bullet_point1", "at least 10 characters"),
        (written(bullets=("begins with a small letter",)), "bullet_point1", "a capital first"),
        (written(bullets=("Acme® mug of clay",)), "bullet_point1", "the character '®'"),
        (written(bullets=("A mug with a smile 😀",)), "bullet_point1", "the character '😀'"),
        (written(bullets=("An eco-friendly mug",)), "bullet_point1", "the phrase 'eco-friendly'"),
        (written(bullets=("Goes with B0ABCDEF12 too",)), "bullet_point1", "no ASIN"),
        (written(description="See www.acme.example"), "product_description", "no address"),
        (written(description="x" * 2001), "product_description", "at most 2,000 characters"),
    ],
)
def test_what_amazon_refuses_is_an_error_of_its_row(
    source: Path, tmp_path: Path, copy: dict[str, Any], attribute: str, limit: str
) -> None:
    out = tmp_path / "amazon.txt"
    done = Batch(source, {"M1": copy}).export("amazon", out)
    (error, *_) = told(done)
    assert (error["attribute"], error["item"]) == (attribute, "M1") and limit in error["limit"]
    assert [row["item_sku"] for row in cells(out)] == ["P2"]
    assert amazon.problems(out) == []


def test_a_brands_own_sign_is_taken_in_a_title(tmp_path: Path) -> None:
    source = saved(tmp_path, "in.csv", TABLE.replace("Acme", "Yahoo!"))
    done = Batch(source, {"M1": written("Yahoo! mug")}).export("amazon", tmp_path / "a.txt")
    assert done.refused == 0


@pytest.mark.parametrize("name", ["feed.tsv", "feed.xml"])
def test_our_reader_takes_googles_feed_back(source: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    Batch(source, {"M1": COPY}).export("google", out)
    table = open_table(out)
    rows = [row.values for row in table.rows()]
    assert table.format.name == "google"
    assert rows[1]["title"] == 'Pan, "heavy"'
    assert structured(rows[0]["structured_title"]) == (COPY["title"].value, True)
    assert "https://c.example/2.jpg" in rows[0]["additional_image_link"]
    (tmp_path / "again").mkdir()
    again = tmp_path / "again" / name
    done = Batch(out, {}).export("google", again)
    assert done.refused == 0, told(done)
    assert [row.values for row in open_table(again).rows()] == rows
    assert google.problems(again) == []


def test_a_feed_goes_back_with_attributes_that_we_do_not_use(tmp_path: Path) -> None:
    source = saved(
        tmp_path,
        "in.xml",
        """<?xml version="1.0"?><rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>
<title>t</title><item><g:id>1</g:id><title>Mug</title><description>Blue</description>
<link>https://a.example/1</link><g:image_link>https://a.example/1.jpg</g:image_link>
<g:availability>in stock</g:availability><g:price>9 EUR</g:price><g:brand>Acme</g:brand>
<g:gtin>90311017</g:gtin><g:custom_label_0>winter</g:custom_label_0>
<g:shipping><g:country>DE</g:country><g:price>3 EUR</g:price></g:shipping>
<g:shipping><g:country>US</g:country><g:price>9 EUR</g:price></g:shipping>
</item></channel></rss>""",
    )
    copy = {"1": written("Blue mug")}
    xml, tabs = tmp_path / "out.xml", tmp_path / "out.tsv"
    Batch(source, copy).export("google", xml, constants={})
    Batch(source, copy).export("google", tabs, constants={})
    before = next(iter(open_table(source).rows())).values
    after = next(iter(open_table(xml).rows())).values
    assert after["shipping"] == before["shipping"] and after["custom_label_0"] == "winter"
    assert structured(after["structured_title"]) == ("Blue mug", True) and "title" not in after
    assert (after["availability"], after["description"]) == ("in_stock", "Blue")
    (line,) = cells(tabs)
    assert line["shipping"] == "DE:3 EUR,US:9 EUR"
    assert google.problems(xml) == google.problems(tabs) == []


def test_an_openai_feed_goes_back_with_fields_that_we_do_not_use(tmp_path: Path) -> None:
    row = {
        "is_eligible_search": True,
        "is_eligible_checkout": False,
        "item_id": "1",
        "title": "Mug",
        "description": "Blue",
        "url": "https://a.example/1",
        "brand": "Acme",
        "image_url": "https://a.example/1.jpg",
        "price": "9 EUR",
        "availability": "pre_order",
        "availability_date": "2027-01-01",
        "review_count": 7,
        "is_digital": False,
        "shipping": [{"country": "DE", "price": "3 EUR"}],
    }
    source, out = saved(tmp_path, "in.jsonl", json.dumps(row) + "\n"), tmp_path / "out.jsonl"
    done = Batch(source, {"1": written("Blue mug")}).export("openai", out, constants={})
    assert done.refused == 0, told(done)
    after = json.loads(out.read_text(encoding="utf-8"))
    assert (after["title"], after["shipping"]) == ("Blue mug", row["shipping"])
    assert after["is_digital"] is False and after["review_count"] in (7, "7")
    assert after["availability"] == "pre_order"
    assert openai.problems(out) == []


@pytest.mark.parametrize("name", ["feed.tsv", "feed.xml"])
def test_a_job_reads_what_stands_in_structured_copy(
    source: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    Batch(source, {"M1": COPY}).export("google", out)
    table = open_table(out)
    columns = Columns.resolve(table, None)
    first, second = (columns.job(row, "auto").text or "" for row in table.rows())
    assert first.splitlines()[:2] == [
        'title: Blue "Acme" mug: 300 ml',
        "description: A blue mug. For hot drinks, & more.",
    ]
    assert second.splitlines()[0] == 'title: Pan, "heavy"'
