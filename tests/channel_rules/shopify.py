"""Shopify's product CSV, after help.shopify.com/en/manual/products/import-export/using-csv.

Its rules as read: the first line holds headers that the description table names; columns are parted
by commas; Title is needed to make a product, and the handle for variants and updates; a handle is
letters, dashes and numbers without spaces or other signs; rows of one handle are one product; an
option column needs its name and value; a product of one option has Title / Default Title; images
are addresses; a vendor has at least two characters.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

SPELLINGS = {
    "handle": ("Handle", "URL handle"),
    "body": ("Body (HTML)", "Description"),
    "image": ("Image Src", "Product image URL"),
    "position": ("Image Position", "Image position"),
    "sku": ("Variant SKU", "SKU"),
    "price": ("Variant Price", "Price"),
    "name1": ("Option1 Name", "Option1 name"),
    "value1": ("Option1 Value", "Option1 value"),
    "value2": ("Option2 Value", "Option2 value"),
    "value3": ("Option3 Value", "Option3 value"),
}


def problems(path: Path) -> list[str]:
    """What Shopify's importer would refuse."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    head, body = rows[0], rows[1:]
    wrong = [f"line {n}: {len(r)} cells" for n, r in enumerate(body, 2) if len(r) != len(head)]
    if "Title" not in head:
        wrong.append("no column Title")
    at = {
        what: next((head.index(name) for name in names if name in head), None)
        for what, names in SPELLINGS.items()
    }
    if at["handle"] is None:
        return [*wrong, "no handle column"]

    def cell(row: list[str], what: str) -> str:
        place = at[what]
        return "" if place is None else row[place].strip()

    products: dict[str, list[list[str]]] = {}
    for row in body:
        products.setdefault(cell(row, "handle"), []).append(row)
    for handle, own in products.items():
        wrong += [f"{handle}: {told}" for told in _product(handle, own, head, cell)]
    return wrong


def _product(handle: str, rows: list[list[str]], head: list[str], cell) -> list[str]:
    wrong: list[str] = []
    if not re.fullmatch(r"[^\W_]+(-+[^\W_]+)*", handle):
        wrong.append("the handle has other signs than letters, numbers and dashes")
    titles = {row[head.index("Title")].strip() for row in rows} - {""}
    if not titles:
        wrong.append("no title")
    if any(len(title) > 255 for title in titles):
        wrong.append("a title of over 255 characters")
    if "Vendor" in head and any(len(row[head.index("Vendor")].strip()) == 1 for row in rows):
        wrong.append("a vendor of one character")
    chosen = [tuple(cell(row, f"value{n}") for n in (1, 2, 3)) for row in rows]
    sold = [options for options in chosen if any(options)]
    if len(set(sold)) < len(sold):
        wrong.append("two variants of the same options")
    if sold and not any(cell(row, "name1") for row in rows):
        wrong.append("options without a name")
    for row in rows:
        image, price = cell(row, "image"), cell(row, "price")
        if image and not re.match(r"https?://\S+$", image):
            wrong.append(f"the image {image!r} is no address")
        if price and not re.fullmatch(r"\d+(\.\d+)?", price):
            wrong.append(f"the price {price!r} is no number")
    return wrong
