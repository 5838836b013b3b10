"""WooCommerce's product CSV: a variable product and its variations have rows of their own.

Rules: github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema (looked up November 2026):
UTF-8; `Name` is required; `Published` is 1, 0 or -1; prices are numbers; several values of a cell
have commas between them, and a comma inside one a backslash before it; categories are paths with
`>`; photos are addresses or names of files in the media library; a variation names its parent by
SKU or `id:100`. What begins with `=`, `+`, `-` or `@` gets an apostrophe, as WooCommerce's own
exporter writes it and its importer takes it off again (`WC_CSV_Exporter::escape_data`).

A table that came from WooCommerce goes back as it was, but for copy that was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO, Any, ClassVar

from orchestra.batch.channels.ai_labels import html_copy
from orchestra.batch.channels.channel import Channel, Line, Writer
from orchestra.batch.channels.delimited import CsvWriter, plain_cell
from orchestra.batch.channels.listing import AMOUNT, Listing, SoldItem
from orchestra.batch.channels.rules import Fault, Rule, faults_of

ATTRIBUTES = (("Brand", "brand"), ("Color", "colour"), ("Size", "size"), ("Material", "material"))
TYPES = ("simple", "variable", "grouped", "external", "variation", "virtual", "downloadable")
PARENT = re.compile(r"id:\d+|\S.*")
COLUMNS = (
    "Type",
    "SKU",
    "GTIN, UPC, EAN, or ISBN",
    "Name",
    "Published",
    "Visibility in catalog",
    "Short description",
    "Description",
    "In stock?",
    "Stock",
    "Sale price",
    "Regular price",
    "Categories",
    "Tags",
    "Images",
    "Parent",
    *(
        f"Attribute {n} {what}"
        for n in range(1, len(ATTRIBUTES) + 1)
        for what in ("name", "value(s)", "visible", "global")
    ),
)
RULES = (
    Rule("Name", required=True),
    Rule("Published", one_of=("1", "0", "-1")),
    Rule("Visibility in catalog", one_of=("visible", "catalog", "search", "hidden")),
    Rule("Regular price", kind="number"),
    Rule("Sale price", kind="number"),
    Rule("GTIN, UPC, EAN, or ISBN", kind="gtin"),
)


class WooCommerce(Channel):
    """WooCommerce's product CSV."""

    name: ClassVar[str] = "woocommerce"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    key: ClassVar[str | None] = "SKU"

    @property
    def _is_own(self) -> bool:
        return self.table.format.name == "woocommerce"

    def lines(self, listing: Listing) -> list[Line]:
        """Its rows: those it came in with, or the product and its variations."""
        return self._own(listing) if self._is_own else self._made(listing)

    def _own(self, listing: Listing) -> list[Line]:
        rows = [dict(row) for row in listing.rows]
        first, html = rows[listing.own], html_copy(listing)
        if "title" in listing.copy:
            first["Name"] = guarded(listing.copy["title"].text)
        if html and "Description" in first:
            first["Description"] = guarded(html)
        for column, name in (("Categories", "category"), ("Brands", "brand")):
            if column in first and (name in listing.by_person or not first[column].strip()):
                first[column] = guarded(listing.text(name))
        return [*rows]

    def _made(self, listing: Listing) -> list[Line]:
        several = len(listing.items) > 1
        whole = {
            "Type": "variable" if several else "simple",
            "SKU": listing.group or listing.id,
            "Name": listing.text("title"),
            "Published": listing.text("published") or "1",
            "Visibility in catalog": "visible",
            "Description": html_copy(listing) or listing.values.get("description", ""),
            "Categories": listing.text("category"),
            "Tags": listing.text("tags"),
            "Images": ", ".join(_escaped(photo) for photo in listing.addresses()),
            **_attributes(listing, listing.items[0]),
        }
        if not several:
            return [{**whole, **_selling(listing, listing.items[0]), "SKU": listing.id}]
        variations = [self._variation(listing, item) for item in listing.items]
        return [whole, *variations]

    def _variation(self, listing: Listing, item: SoldItem) -> Line:
        line = {
            "Type": "variation",
            "SKU": listing.item_id(item),
            "Name": listing.text("title"),
            "Published": "1",
            "Parent": listing.group or listing.id,
            "Images": item.values.get("photo", ""),
            **_selling(listing, item),
        }
        for n, (name, value) in enumerate(list(item.options.items())[: len(ATTRIBUTES)], 1):
            line |= {f"Attribute {n} name": name, f"Attribute {n} value(s)": _escaped(value)}
        return line

    def faults(self, listing: Listing, lines: Sequence[Line]) -> list[Fault]:
        """What breaks a rule."""
        found: list[Fault] = []
        for line in lines:
            sku = str(line.get("SKU", "")) or listing.id
            found += faults_of(sku, line, RULES)
            wrong = [one for one in str(line.get("Type", "")).split(",") if one.strip()]
            wrong = [one for one in wrong if one.strip() not in TYPES]
            if wrong:
                limit = f"taken are {', '.join(TYPES)}"
                found.append(Fault("Type", wrong[0], limit, "Mend the column Type.", sku))
            if line.get("Type") == "variation" and not PARENT.fullmatch(str(line.get("Parent"))):
                cure = "Name its parent's SKU, or id:NUMBER."
                found.append(Fault("Parent", "", "a variation names its parent", cure, sku))
        return found

    def keys(self, lines: Sequence[Line]) -> tuple[str, ...]:
        """The SKUs, where there are any: WooCommerce makes those that are missing."""
        return tuple(key for key in super().keys(lines) if key)

    def writer(self, file: IO[bytes], suffix: str) -> Writer:
        """The table's own columns, as they are, or the documented ones, guarded."""
        if self._is_own:
            return CsvWriter(file, self.table.header, self.table.written)
        return CsvWriter(file, COLUMNS, cell=_cell)


def guarded(text: str) -> str:
    """A cell as WooCommerce writes it: a formula has an apostrophe before it."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _cell(value: Any) -> str:
    text = plain_cell(value)
    return text if text == "-1" else guarded(text)  # -1 is a draft, and no formula


def _escaped(value: str) -> str:
    return value.replace(",", "\\,")


def _selling(listing: Listing, item: SoldItem) -> dict[str, str]:
    availability = listing.availability(item)
    return {
        "GTIN, UPC, EAN, or ISBN": listing.text("gtin", item),
        "In stock?": {"in_stock": "1", "": ""}.get(availability, "0"),
        "Stock": listing.text("quantity", item),
        "Sale price": _amount(listing.text("sale_price", item)),
        "Regular price": _amount(listing.text("price", item)),
    }


def _attributes(listing: Listing, item: SoldItem) -> dict[str, str]:
    """Attributes of the product; of one with variations, all the values of each option."""
    found: list[tuple[str, str]] = []
    if len(listing.items) > 1:
        names = dict.fromkeys(name for one in listing.items for name in one.options)
        for name in names:
            values = dict.fromkeys(one.options.get(name, "") for one in listing.items)
            found.append((name, ", ".join(_escaped(value) for value in values if value)))
    else:
        told = ((label, listing.text(name, item)) for label, name in ATTRIBUTES)
        found = [(label, _escaped(value)) for label, value in told if value]
    line: dict[str, str] = {}
    for n, (label, value) in enumerate(found[: len(ATTRIBUTES)], 1):
        line |= {f"Attribute {n} name": label, f"Attribute {n} value(s)": value}
        line |= {f"Attribute {n} visible": "1", f"Attribute {n} global": "0"}
    return line


def _amount(price: str) -> str:
    found = AMOUNT.search(price)
    return found[0].replace(",", ".") if found else price
