"""A merchandiser's week with a shop's export: its steps, by the real commands and a real Chromium.

The test of it takes eight products, and `python -m benchmarks.catalogs.week` two thousand.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Locator, Page, expect

from graphs.listing import default_recipe
from orchestra.batch.tables.table import open_table
from orchestra.batch.tables.variants import original_rows
from tests.browser import chromium
from tests.channel_rules import google, openai, shopify, woocommerce
from tests.commands import command

HEADER = (
    "Handle", "Title", "Body (HTML)", "Vendor", "Option1 Name", "Option1 Value", "Variant SKU",
    "Variant Price", "Variant Barcode", "Variant Inventory Qty", "Image Src",
    "Custom (product.metafields.a.b)",
)  # fmt: skip
LONGEST_S = 1800
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
CHANNELS: dict[str, tuple[str, Callable[[Path], Collection[object]]]] = {
    "shopify": ("s.csv", shopify.problems),
    "woocommerce": ("w.csv", woocommerce.problems),
    "google": ("g.xml", google.problems),
    "openai": ("o.jsonl", openai.problems),
}
BATCH = ("batch", "shop.csv", "--recipe", "recipe.yaml", "--out", "out", "--yes", "--json")


@dataclass(frozen=True, slots=True)
class Product:
    """What the shop has of a product: `photos` by their paths, the first one its own.

    `number` is its alone, and makes its barcodes.
    """

    number: int
    handle: str
    title: str
    body: str
    photos: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()


def write_export(folder: Path, products: Iterable[Product]) -> int:
    """The shop's export, with a row for each size and each further photo; how many rows."""
    count = 0
    with (folder / "shop.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for one in products:
            for row in _rows(one):
                writer.writerow(row)
                count += 1
    return count


def _rows(one: Product) -> Iterator[Sequence[str]]:
    option = "Size" if one.sizes else "Title"
    for line, size in enumerate(one.sizes or ("Default Title",)):
        head = (
            (one.handle, one.title, one.body, "Nordic") if line == 0 else (one.handle, "", "", "")
        )
        own = ("".join(one.photos[:1]), "=kept") if line == 0 else ("", "")
        sku = f"{one.handle}-{size}".replace(" ", "")
        yield (*head, option, size, sku, "9.90", ean_of(10 * one.number + line), "3", *own)
    for photo in one.photos[1:]:
        yield (one.handle, "", "", "", "", "", "", "", "", "", photo, "")


def ean_of(number: int) -> str:
    """A barcode of 13 digits with its check digit; `number` is below 100,000."""
    digits = f"4006381{number:05d}"
    weighed = sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(digits))
    return f"{digits}{-weighed % 10}"


def write_recipe(folder: Path) -> None:
    """The usual recipe, for texts of any language, with what channels ask a shop."""
    raw = default_recipe().model_dump(mode="json", by_alias=True)
    recipe = yaml.safe_dump({**raw, "languages": ["auto"], "export": SETTINGS}, allow_unicode=True)
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")


def run_batch(folder: Path) -> dict[str, Any]:
    """Run the export through the batch; its summary."""
    return json.loads(command(folder, *BATCH, limit_s=LONGEST_S))


def products_of(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of products.csv by handle."""
    return {row["Handle"]: row for row in rows_of(folder / "out" / "products.csv")}


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def reviewing(folder: Path, by: str = "ana") -> Iterator[tuple[Page, str]]:
    """A page of a browser, and the address at which `orchestra review` serves the batch.

    The command is ended as by Ctrl-C, and has written the outputs when this is left.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", "orchestra", "review", "out", "--by", by],
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
            yield browser.new_page(), address
    finally:
        server.send_signal(2)
        server.communicate(timeout=300)
    assert server.returncode == 0, server.returncode


def card_of(page: Page, handle: str) -> Locator:
    """The card of a product."""
    return page.locator(f'.card[data-row="{handle}"]')


def edit(page: Page, handle: str, field: str, value: str) -> None:
    """Give a field of a product that is shown another value."""
    item = card_of(page, handle).locator(f".item[data-field={field}]")
    item.get_by_role("button", name="Edit").click()
    item.locator(".editor input, .editor textarea").first.fill(value)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#said")).to_have_text(f"{field} of {handle} edited")


def decide(page: Page, handle: str, action: str) -> None:
    """Approve or reject a product that is shown, whole."""
    card_of(page, handle).locator(f"button[data-do=row][data-action={action}]").click()
    expect(page.locator("#said")).to_contain_text(handle)


def export(folder: Path, to: str, *options: str) -> tuple[dict[str, Any], Collection[object]]:
    """Write a channel's file; what was written, and what its rules say is wrong with it."""
    name, problems = CHANNELS[to]
    arguments = ("--to", to, "--file", name, "--recipe", "recipe.yaml", "--json", *options)
    done = json.loads(command(folder, "export", "out", *arguments, limit_s=LONGEST_S))
    return done, problems(folder / name)


def came_back(folder: Path) -> tuple[set[str], int, list[dict[str, str]]]:
    """The Shopify file as our reader has it: its products, its rows, and rows that lost something.

    The options, price, barcode and own columns of a variant are the shop's, and come back as they
    were.
    """
    before = {row["Variant SKU"]: row for row in rows_of(folder / "shop.csv")}
    table = open_table(folder / "s.csv")
    after = [one for row in table.rows() for one in original_rows(row.values, table.header)]
    kept = ("Option1 Value", "Variant Price", "Variant Barcode", "Custom (product.metafields.a.b)")
    lost = [
        row
        for row in after
        if row["Variant SKU"]
        and any(row[name] != before[row["Variant SKU"]][name] for name in kept)
    ]
    return {row["Handle"] for row in after}, len(after), lost
