"""A merchandiser's week, by the real commands and a real Chromium.

A shop's export is enriched, verified, reviewed and approved, run again with next week's table,
rolled back, and written for channels.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from graphs.listing import default_recipe
from orchestra.batch.tables.table import open_table
from orchestra.batch.tables.variants import original_rows
from tests.browser import MISSING, chromium, chromium_path
from tests.channel_rules import google, openai, shopify, woocommerce
from tests.commands import command
from workers.synthetic.drawn import RESERVED_SEED, draw_product

HEADER = (
    "Handle", "Title", "Body (HTML)", "Vendor", "Option1 Name", "Option1 Value", "Variant SKU",
    "Variant Price", "Variant Barcode", "Variant Inventory Qty", "Image Src",
    "Custom (product.metafields.a.b)",
)  # fmt: skip
# handle, title, body, kind and colour of the photo, sizes
Product = tuple[str, str, str, str | None, str | None, tuple[str, ...]]
PRODUCTS: tuple[Product, ...] = (
    ("apples", "Granny Smith apples", "<p>Crisp <b>green</b> apple from Italy. 1 kg.</p>",
     "Apple", "green", ()),
    ("bananas", "Bananas", "<p>Fresh yellow bananas from Ecuador. 1 kg.</p>",
     "Banana", "yellow", ()),
    ("shirt", "Red cotton shirt", "<p>Soft red cotton shirt, made in Italy.</p>",
     "shirt", "red", ("S", "M", "L")),
    ("dress", "红色亚麻连衣裙", "<p>红色亚麻连衣裙，产自意大利。</p>", "dress", "red", ("S", "M")),
    ("shoes", "Leather shoes", "<p>Black leather shoes. Ships from Sweden, made in Vietnam.</p>",
     "shoes", "black", ("42", "43")),
    ("tomatoes", "Tomatoes", "<p>Red tomatoes from Spain. 500 g.</p>", "Tomato", "red", ()),
    ("cream", "Soft yoghurt", "<p>Yoghurt from Sweden, 500 g. It cures acne.</p>", None, None, ()),
    ("bananas-again", "Bananas", "<p>Fresh yellow bananas from Ecuador. 1 kg.</p>",
     "Banana", "yellow", ()),
)  # fmt: skip
SWAPPED = {"tomatoes": ("pants", "blue")}  # the photo shows another product
SETTINGS = {
    "currency": "EUR",
    "link": "https://shop.example/products/{handle}",
    "photos": "https://cdn.example/{photo}",
    "constants": {"availability": "in_stock"},
    "seller": {"name": "Shop", "url": "https://shop.example",
               "return_policy": "https://shop.example/returns"},
    "countries": ["DE"],
    "store_country": "DE",
}  # fmt: skip
REVIEWED = {"shirt": "approve", "shoes": "approve", "tomatoes": "reject"}
CHANNELS = {
    "shopify": ("s.csv", shopify.problems),
    "woocommerce": ("w.csv", woocommerce.problems),
    "google": ("g.xml", google.problems),
    "openai": ("o.jsonl", openai.problems),
}


def export_of(folder: Path, products: tuple[Product, ...] = PRODUCTS) -> Path:
    """The shop's export, with its photos beside it."""
    path = folder / "shop.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for handle, title, body, kind, colour, sizes in products:
            photo = ""
            if kind is not None and colour is not None:
                photo = f"{handle}.jpg"
                shown = SWAPPED.get(handle, (kind, colour))
                drawn = draw_product(*shown, seed=RESERVED_SEED + sum(map(ord, handle)))
                drawn.save(folder / photo, quality=95)
            option = "Size" if sizes else "Title"
            for line, size in enumerate(sizes or ("Default Title",)):
                head = (handle, title, body, "Nordic") if line == 0 else (handle, "", "", "")
                own = (photo, "=kept") if line == 0 else ("", "")
                sku = f"{handle}-{size}".replace(" ", "")
                writer.writerow((*head, option, size, sku, "9.90", ean_of(sku), "3", *own))
    return path


def ean_of(sku: str) -> str:
    """A barcode of 13 digits with its check digit."""
    digits = f"4006381{sum(map(ord, sku)) % 100_000:05d}"
    weighed = sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(digits))
    return f"{digits}{-weighed % 10}"


def heavier(product: Product) -> Product:
    """The product with another text."""
    handle, title, body, kind, colour, sizes = product
    return (handle, title, body.replace("1 kg", "2 kg"), kind, colour, sizes)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def products(folder: Path) -> dict[str, dict[str, str]]:
    return {row["Handle"]: row for row in rows_of(folder / "out" / "products.csv")}


@pytest.mark.skipif(chromium_path() is None, reason=MISSING)
def test_a_week_of_a_catalog(tmp_path: Path) -> None:
    export_of(tmp_path)
    raw = default_recipe().model_dump(mode="json", by_alias=True)
    recipe = yaml.safe_dump({**raw, "languages": ["auto"], "export": SETTINGS}, allow_unicode=True)
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    batch = ("batch", "shop.csv", "--recipe", "recipe.yaml", "--out", "out", "--yes", "--json")

    # Monday: enriched and verified.
    command(tmp_path, *batch)
    found = products(tmp_path)
    assert len(found) == len(PRODUCTS)
    assert found["tomatoes"]["photo_match"] in ("doubtful", "no")
    assert "another product" in found["tomatoes"]["reasons"]
    assert found["shoes"]["origin"] == "Vietnam"
    assert found["cream"]["status"] == "review" and "cures" in found["cream"]["reasons"]
    assert "cures" not in found["cream"]["description"]

    # Tuesday: reviewed in the browser.
    review_in_chromium(tmp_path)
    decided = products(tmp_path)
    assert decided["tomatoes"]["status"] == "rejected"
    assert decided["shirt"]["colour"] == "pink"
    assert decided["shirt"]["colour_source"] == "person"
    state = json.loads(command(tmp_path, "decisions", "out", "--json"))[-1]["state"]

    # Next week: a price row changed, a text changed, one product gone, one new; only those run.
    new: Product = (
        "pears", "Conference pears", "<p>Green pears from Belgium. 1 kg.</p>", "Pear", "green", ()
    )  # fmt: skip
    kept = [one for one in reversed(PRODUCTS) if one[0] != "bananas-again"]
    changed = (new, *(heavier(one) if one[0] == "apples" else one for one in kept))
    export_of(tmp_path, changed)
    command(tmp_path, *batch)
    renewed = products(tmp_path)
    assert set(renewed) == {*found, "pears"} - {"bananas-again"}
    assert renewed["apples"]["quantity"].startswith("2 kg")
    assert renewed["shirt"]["colour"] == "pink"
    assert renewed["tomatoes"]["status"] == "rejected"
    told = command(tmp_path, "diff", "out")
    assert "apples" in told and "2 kg" in told

    # A correction was wrong: all decisions are rolled back, and taken up again.
    command(tmp_path, "rollback", "out", "--to", "0", "--why", "by mistake")
    assert products(tmp_path)["shirt"]["colour"] == "red"
    command(tmp_path, "rollback", "out", "--to", str(state))
    assert products(tmp_path)["shirt"]["colour"] == "pink"

    # Friday: what is approved goes to four channels, passes their rules and comes back.
    for to, (name, problems) in CHANNELS.items():
        arguments = ("--to", to, "--file", name, "--recipe", "recipe.yaml", "--json")
        done = json.loads(command(tmp_path, "export", "out", *arguments, "--approved"))
        assert done["products"] >= 1, done
        assert problems(tmp_path / name) == []
    before = {row["Variant SKU"]: row for row in rows_of(tmp_path / "shop.csv")}
    table = open_table(tmp_path / "s.csv")
    after = [one for row in table.rows() for one in original_rows(row.values, table.header)]
    assert {row["Handle"] for row in after} == {"shirt", "shoes"}
    for row in after:
        kept = before[row["Variant SKU"]]
        for name in ("Option1 Value", "Variant Price", "Custom (product.metafields.a.b)"):
            assert row[name] == kept[name]


def review_in_chromium(folder: Path) -> None:
    """Edit a colour, approve two products and reject one on the page that `review` serves."""
    server = subprocess.Popen(
        [sys.executable, "-m", "orchestra", "review", "out", "--by", "ana"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )
    try:
        assert server.stdout is not None
        lines = iter(server.stdout.readline, "")
        address = next(m[0] for line in lines if (m := re.search(r"http://127\S+", line)))
        with chromium() as browser:
            page = browser.new_page()
            for handle, action in REVIEWED.items():
                page.goto(f"{address}?kind=all&text={handle}")
                card = page.locator(f'.card[data-row="{handle}"]')
                if handle == "shirt":
                    colour = card.locator(".item[data-field=colour]")
                    colour.get_by_role("button", name="Edit").click()
                    colour.locator(".editor input, .editor textarea").first.fill("pink")
                    page.keyboard.press("Control+Enter")
                    expect(page.locator("#said")).to_have_text("colour of shirt edited")
                card.locator(f"button[data-do=row][data-action={action}]").click()
                expect(page.locator("#said")).to_contain_text(handle)
    finally:
        server.send_signal(2)
        server.communicate(timeout=60)
