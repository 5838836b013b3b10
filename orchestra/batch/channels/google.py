"""Google Merchant Center's feed, TSV or XML: one item for each variant.

Rules: support.google.com/merchants/answer/7052112 (product data specification; id 50 characters,
title 150, description 5,000, the required attributes), 6324415 and 6324468 (title, description and
their structured forms, with `trained_algorithmic_media` where generative AI wrote them), 6324461
(GTIN), 9216100 (product_highlight: 2 to 100, 150 characters each); the kinds of values also by
googleapis/google/shopping/merchant/products/v1. Looked up November 2026; of these pages the parts
on brand (70), mpn (70), item_group_id (50), colour (100), size (100), material (200), pattern
(100), product_type (750) and links (2,000), and the ten further photos, were not shown, and are
given as they are known.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, ClassVar

from orchestra.batch.channels.ai_labels import with_label
from orchestra.batch.channels.channel import Channel, Line, Writer
from orchestra.batch.channels.delimited import TsvWriter, plain_cell
from orchestra.batch.channels.google_xml import XmlWriter, from_json
from orchestra.batch.channels.listing import Listing, SoldItem
from orchestra.batch.channels.rules import Fault, Rule, faults_of
from orchestra.batch.tables.structured import STRUCTURED, structured_cell
from orchestra.core.values import compact

SEVERAL = ("additional_image_link", "product_highlight")
LEAST_HIGHLIGHTS = 2
NEEDS_DATE = ("preorder", "backorder")
NO_TEXT = "Have one written, or give the column that holds it."
RULES = (
    Rule("id", required=True, most=50, cure="Give each product an id of its own."),
    Rule("title", most=150),
    Rule("structured_title", most=150),
    Rule("description", most=5000),
    Rule("structured_description", most=5000),
    Rule(
        "link", required=True, most=2000, kind="url", cure="Set export: {link: 'https://…/{id}'}."
    ),
    Rule("image_link", required=True, most=2000, kind="url", cure="Give the product a photo."),
    Rule("additional_image_link", most=2000, kind="url", times=10),
    Rule(
        "availability",
        required=True,
        one_of=("in_stock", "out_of_stock", "preorder", "backorder"),
        cure="Give it a column, or set export: {constants: {availability: in_stock}}.",
    ),
    Rule("availability_date", kind="date"),
    Rule("price", required=True, kind="price"),
    Rule("sale_price", kind="price"),
    Rule("brand", required=True, most=70),
    Rule("gtin", kind="gtin"),
    Rule("mpn", most=70),
    Rule("identifier_exists", one_of=("yes", "no")),
    Rule("condition", one_of=("new", "refurbished", "used")),
    Rule("product_type", most=750),
    Rule("item_group_id", most=50),
    Rule("color", most=100),
    Rule("size", most=100),
    Rule("material", most=200),
    Rule("pattern", most=100),
    Rule("gender", one_of=("male", "female", "unisex")),
    Rule("age_group", one_of=("newborn", "infant", "toddler", "kids", "adult")),
    Rule("product_highlight", most=150, times=100),  # of bullets that were written
)
COLUMNS = (
    "id",
    "title",
    "structured_title",
    "description",
    "structured_description",
    "link",
    "image_link",
    "additional_image_link",
    "availability",
    "availability_date",
    "price",
    "sale_price",
    "brand",
    "gtin",
    "mpn",
    "identifier_exists",
    "condition",
    "google_product_category",
    "product_type",
    "item_group_id",
    "color",
    "size",
    "material",
    "pattern",
    "gender",
    "age_group",
    "product_highlight",
)


class Google(Channel):
    """Google Merchant Center's feed."""

    name: ClassVar[str] = "google"
    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".txt", ".xml")
    key: ClassVar[str | None] = "id"

    @property
    def _is_own(self) -> bool:
        return self.table.format.name == "google"

    def lines(self, listing: Listing) -> list[Line]:
        """An item for each thing to buy; of a feed of Google's with all that stood there."""
        lines: list[Line] = []
        for item in listing.items:
            made = dict(_filled(_item(listing, item)))
            own = {_named(name): value for name, value in item.row.items()} if self._is_own else {}
            for name in ("title", "description"):
                if name in made or f"structured_{name}" in made:
                    own = {n: v for n, v in own.items() if n not in (name, f"structured_{name}")}
            lines.append({**dict(_filled(own)), **made})
        return lines

    def faults(self, listing: Listing, lines: Sequence[Line]) -> list[Fault]:
        """What breaks a rule, alone or with another attribute."""
        found: list[Fault] = []
        for line in lines:
            item = str(line.get("id", ""))
            found += faults_of(item, {**line, **_several(line)}, RULES)
            for name in ("title", "description"):
                if not line.get(name) and not line.get(f"structured_{name}"):
                    found.append(Fault(name, "", "the channel requires it", NO_TEXT, item))
            if not (line.get("gtin") or line.get("mpn") or line.get("identifier_exists") == "no"):
                limit = "a GTIN is required, or an mpn of goods without"
                cure = "Give a column for one; of goods without: {identifier_exists: 'no'}."
                found.append(Fault("gtin", "", limit, cure, item))
            if line.get("availability") in NEEDS_DATE and not line.get("availability_date"):
                limit = f"a date is required beside {line['availability']!r}"
                found.append(Fault("availability_date", "", limit, "Give it a column.", item))
        return found

    def writer(self, file: IO[bytes], suffix: str) -> Writer:
        """XML (RSS 2.0 with the namespace g), or tabs."""
        own = map(_named, self.table.header) if self._is_own else ()
        columns = tuple(dict.fromkeys((*COLUMNS, *own)))
        if suffix == ".xml":
            return XmlWriter(file, columns)
        return TsvWriter(file, columns, _cell)


def _several(line: Line) -> dict[str, list[str]]:
    """The attributes that hold several values, as lists, also where a feed had them in a cell."""
    found: dict[str, list[str]] = {}
    for name in SEVERAL:
        value = line.get(name)
        if isinstance(value, str) and value:
            listed = from_json(value)
            found[name] = listed if isinstance(listed, list) else next(csv.reader([value]))
    return found


def _named(column: str) -> str:
    """An attribute as Google names it: `Image Link` is `image_link`."""
    return column.strip().lower().replace(" ", "_")


def _item(listing: Listing, item: SoldItem) -> dict[str, Any]:
    photos = listing.addresses(item)
    category = listing.values.get("category_id", "")
    highlights = [part.text for part in listing.bullets]
    return {
        "id": listing.item_id(item),
        **_copy(listing, "title", listing.plain("title", item)),
        **_copy(listing, "description", with_label(listing, listing.plain("description", item))),
        "link": listing.link(item),
        "image_link": photos[0] if photos else "",
        "additional_image_link": list(photos[1:11]),
        "availability": listing.availability(item),
        "availability_date": listing.text("availability_date", item),
        "price": listing.price(item),
        "sale_price": listing.price(item, "sale_price"),
        "brand": listing.text("brand", item),
        "gtin": listing.text("gtin", item),
        "mpn": listing.text("mpn", item),
        "identifier_exists": listing.text("identifier_exists", item),
        "condition": listing.text("condition", item).lower(),
        "google_product_category": category
        if category.isdigit()
        else listing.text("google_category", item),
        "product_type": listing.text("product_type", item),
        "item_group_id": listing.group,
        "color": listing.text("colour", item),
        "size": listing.text("size", item),
        "material": listing.text("material", item),
        "pattern": listing.text("pattern", item),
        "gender": listing.text("gender", item).lower(),
        "age_group": listing.text("age_group", item).lower(),
        "product_highlight": highlights if len(highlights) >= LEAST_HIGHLIGHTS else [],
    }


def _copy(listing: Listing, name: str, text: str) -> dict[str, str]:
    """Title or description, in its structured form where a model wrote it."""
    part = listing.copy.get(name)
    is_ai = part is not None and part.is_written
    return {f"structured_{name}" if is_ai else name: text}


def _filled(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in item.items() if value)


def _cell(name: str, value: Any) -> str:
    """A cell of the feed: sub-attributes with a colon, several values with commas between them."""
    if not value:
        return ""
    if isinstance(value, str) and value[0] in "[{":
        return _flat(value)
    if name in STRUCTURED:
        return structured_cell(str(value))
    if name in SEVERAL and not isinstance(value, str):
        return ",".join(_quoted(part) if "," in part or '"' in part else part for part in value)
    return plain_cell(value)


def _flat(cell: str) -> str:
    """What an XML feed had as elements: parts with colons, several of them with commas."""
    found = from_json(cell)
    if isinstance(found, Mapping):
        return ":".join(map(str, found.values()))
    if isinstance(found, list):
        return ",".join(_flat(compact(one)) if isinstance(one, Mapping) else one for one in found)
    return cell


def _quoted(text: str) -> str:
    """One of several values, between quotes as in `structured_cell`."""
    return '"' + text.replace('"', '""') + '"'
