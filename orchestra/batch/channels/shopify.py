"""Shopify's product CSV: rows of a product share a handle; variants and photos have rows.

Rules: help.shopify.com/en/manual/products/import-export/using-csv (looked up November 2026):
`Title` is required, and `URL handle` to update; a handle holds letters, digits and dashes; a
product without options has `Title` / `Default Title`; at most three options; a vendor has two
characters or more. 2,048 variants: shopify.dev/changelog/the-product-variant-limit-is-now-2048-
for-all-merchants; 250 tags: shopify.dev/changelog/product-tags-now-have-a-limit-of-250-per-product.
Titles of 255 characters and 250 photos are what the admin takes; no page was found that says so.
The categories are those of github.com/Shopify/product-taxonomy.

A table that came from Shopify goes back as it was, but for the cells that are listed in `COPY` and
`CHANGED`.
A cell that begins with `=` stays as it is: Shopify would take a guard into the shop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import IO, ClassVar

from orchestra.batch.channels.ai_labels import html_copy
from orchestra.batch.channels.channel import Channel, Line, Writer
from orchestra.batch.channels.delimited import CsvWriter
from orchestra.batch.channels.listing import AMOUNT, OPTIONS, Listing, SoldItem
from orchestra.batch.channels.rules import Fault, Rule, faults_of

HANDLE = re.compile(r"[^\W_]+(?:-+[^\W_]+)*")
GAP = re.compile(r"[\W_]+")
MOST_VARIANTS, MOST_PHOTOS, MOST_TAGS = 2048, 250, 250
COLUMNS = (
    "Title",
    "URL handle",
    "Description",
    "Vendor",
    "Product category",
    "Type",
    "Tags",
    "Published on online store",
    "Status",
    "SKU",
    "Barcode",
    "Option1 name",
    "Option1 value",
    "Option2 name",
    "Option2 value",
    "Option3 name",
    "Option3 value",
    "Price",
    "Compare-at price",
    "Inventory quantity",
    "Product image URL",
    "Image position",
    "Image alt text",
    "Variant image URL",
)
# What a column is called in older files, which still come and are written back.
OLDER = {
    "url handle": "handle",
    "description": "body (html)",
    "sku": "variant sku",
    "barcode": "variant barcode",
    "price": "variant price",
    "product image url": "image src",
    "variant image url": "variant image",
}
# What changes in a table of Shopify's: copy that was written, and of attributes cells that are
# empty, or that a person decided.
COPY = ("Title", "Description")
PHOTOS = ("Product image URL", "Variant image URL")
CHANGED = {"Vendor": "brand", "Product category": "category", "Type": "product_type"}
RULES = (
    Rule("Title", required=True, most=255),
    Rule("URL handle", required=True, most=255, cure="Give each product an id or a title."),
    Rule("Image alt text", most=512),
    Rule("Product image URL", kind="url"),
    Rule("Variant image URL", kind="url"),
    Rule("Price", kind="number"),
)
UNTITLED = tuple(rule for rule in RULES if rule.name != "Title")  # of variants and photos


class Shopify(Channel):
    """Shopify's product CSV."""

    name: ClassVar[str] = "shopify"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    key: ClassVar[str | None] = "URL handle"

    @property
    def _is_own(self) -> bool:
        return self.table.format.name == "shopify"

    def lines(self, listing: Listing) -> list[Line]:
        """Its rows: those it came in with, or one for each item and each further photo."""
        return self._own(listing) if self._is_own else self._made(listing)

    def _own(self, listing: Listing) -> list[Line]:
        rows: list[dict[str, str]] = [dict(row) for row in listing.rows]
        first = rows[listing.own]
        changes = {**_product(listing), "Description": html_copy(listing)}
        for name in (*COPY, *CHANGED):
            column, value = self._column(name), changes.get(name)
            is_free = name in COPY or CHANGED[name] in listing.by_person
            if not column or not value or not (is_free or not first.get(column, "").strip()):
                continue
            before = first[column]
            for row in rows:  # some files repeat the product's cells on its variants
                if row is first or (before and row[column] == before):
                    row[column] = value
        for column in filter(None, map(self._column, PHOTOS)):
            for row in rows:
                row[column] = listing.public(row.get(column, "").strip())
        return [*rows]

    def _column(self, name: str) -> str | None:
        """The column of the table, in the spelling that it has."""
        folded = {column.casefold(): column for column in self.table.header}
        wanted = name.casefold()
        return folded.get(wanted) or folded.get(OLDER.get(wanted, ""))

    def _made(self, listing: Listing) -> list[Line]:
        handle = handle_of(listing)
        photos = listing.addresses()
        lines: list[dict[str, str]] = []
        for item in listing.items:
            line = {"URL handle": handle, **_variant(listing, item)}
            lines.append(line)
        lines[0] |= {**_product(listing), "Description": html_copy(listing) or _text(listing)}
        for place, photo in enumerate(photos, 1):
            if place > len(lines):
                lines.append({"URL handle": handle})
            lines[place - 1] |= {"Product image URL": photo, "Image position": str(place)}
        return [*lines]

    def faults(self, listing: Listing, lines: Sequence[Line]) -> list[Fault]:
        """What breaks a rule, in the names that the documentation has today."""
        found: list[Fault] = []
        own = listing.own if self._is_own else 0
        for at, line in enumerate(lines):
            named = {rule.name: self._cell(line, rule.name) for rule in RULES}
            rules = RULES if at == own else UNTITLED
            found += faults_of(named["URL handle"], named, rules)
        handle = self._cell(lines[own], "URL handle")
        if handle and not HANDLE.fullmatch(handle):
            limit = "letters, digits and dashes between them are taken"
            found.append(Fault("URL handle", handle, limit, "Write it as in 'blue-shirt'."))
        vendor = self._cell(lines[own], "Vendor")
        if len(vendor) == 1:
            limit = "two characters or more are taken"
            found.append(Fault("Vendor", vendor, limit, "Write the brand's name.", handle))
        return found + self._counts(lines, lines[own], handle)

    def _counts(self, lines: Sequence[Line], own: Line, handle: str) -> list[Fault]:
        options = sum(any(self._cell(one, f"Option{n} value") for n in (1, 2, 3)) for one in lines)
        photos = {self._cell(line, "Product image URL") for line in lines} - {""}
        tags = [tag for tag in self._cell(own, "Tags").split(",") if tag.strip()]
        counted = (
            ("variants", options, MOST_VARIANTS),
            ("photos", len(photos), MOST_PHOTOS),
            ("tags", len(tags), MOST_TAGS),
        )
        return [
            Fault(name, str(count), f"at most {most:,} are taken", "Leave some out.", handle)
            for name, count, most in counted
            if count > most
        ]

    def _cell(self, line: Line, name: str) -> str:
        column = self._column(name) if self._is_own else name
        return str(line.get(column or "", "")).strip()

    def keys(self, lines: Sequence[Line]) -> tuple[str, ...]:
        """The handle."""
        return (self._cell(lines[0], "URL handle"),)

    def writer(self, file: IO[bytes], suffix: str) -> Writer:
        """The table's own columns in their order and spelling, or the documented ones."""
        if self._is_own:
            return CsvWriter(file, self.table.header, self.table.written)
        return CsvWriter(file, COLUMNS)


def handle_of(listing: Listing) -> str:
    """The product's handle: its own, or made of its group or id, else of its title."""
    own = listing.values.get("handle", "")
    return own or GAP.sub("-", listing.group or listing.id).strip("-").lower()


def _product(listing: Listing) -> Mapping[str, str]:
    category = listing.values.get("category_id", "")
    is_shopifys = category.startswith("gid://shopify/TaxonomyCategory/")
    made = {
        "Title": listing.text("title"),
        "Vendor": listing.text("brand"),
        "Product category": listing.text("category") if is_shopifys else "",
        "Type": listing.text("product_type"),
        "Tags": listing.text("tags"),
        "Published on online store": listing.text("published"),
        "Status": listing.text("status"),
    }
    return {name: value for name, value in made.items() if value}


def _variant(listing: Listing, item: SoldItem) -> dict[str, str]:
    several = len(listing.items) > 1
    options = list(item.options.items())[:OPTIONS] if several else []
    if not options:
        options = [("Variant", listing.item_id(item)) if several else ("Title", "Default Title")]
    line = {
        "SKU": listing.item_id(item),
        "Barcode": listing.text("gtin", item),
        "Price": _amount(listing.text("sale_price", item) or listing.text("price", item)),
        "Compare-at price": _amount(listing.text("price", item))
        if listing.text("sale_price", item)
        else "",
        "Inventory quantity": listing.text("quantity", item),
        "Variant image URL": next(iter(listing.addresses(item)), "")
        if several and item.values.get("photo")
        else "",
    }
    for n, (name, value) in enumerate(options, 1):
        line |= {f"Option{n} name": name, f"Option{n} value": value}
    return {name: value for name, value in line.items() if value}


def _amount(price: str) -> str:
    """A price without its currency, which is the shop's; what is no price stays to be told."""
    found = AMOUNT.search(price)
    return found[0].replace(",", ".") if found else price


def _text(listing: Listing) -> str:
    return listing.values.get("description", "")
