"""Google Merchant Center's feed, after support.google.com/merchants/answer/7052112 and its pages.

As read: id, title or structured_title, description or structured_description, link, image_link,
availability and price for every item; of one pair only one; `trained_algorithmic_media` or
`default` before the content of the structured ones; 50, 150 and 5,000 characters; availability of
four words; a price with its ISO 4217 code; GTINs of right check digit and of no restricted range
(02, 04 and 2 of 13 digits, coupons 05, 98, 99); ids that no other item has; further photos ten at
most; highlights 2 to 100 of 150 characters; variants share an item_group_id and differ.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

from tests.channel_rules.barcodes import is_gtin

G = "{http://base.google.com/ns/1.0}"
LENGTHS = {
    "id": 50,
    "title": 150,
    "description": 5000,
    "brand": 70,
    "mpn": 70,
    "color": 100,
    "size": 100,
    "material": 200,
    "item_group_id": 50,
    "product_type": 750,
    "link": 2000,
    "image_link": 2000,
}
Items = list[dict[str, list[str]]]


def problems(path: Path) -> list[str]:
    """What Merchant Center would disapprove."""
    items = _xml(path) if path.suffix == ".xml" else _text(path)
    wrong: list[str] = []
    ids = [item.get("id", [""])[0] for item in items]
    wrong += [f"id {one!r} twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    for item in items:
        name = item.get("id", ["?"])[0]
        wrong += [f"{name}: {told}" for told in [*_item(item), *_sold(item)]]
    return wrong


def _xml(path: Path) -> Items:
    root = ElementTree.parse(path).getroot()
    assert root.tag == "rss" and root.get("version") == "2.0"
    channel = root.find("channel")
    assert channel is not None and channel.findtext("title")
    items: Items = []
    for element in channel.iter("item"):
        item: dict[str, list[str]] = {}
        for part in element:
            assert part.tag.startswith(G), f"{part.tag} is of another namespace"
            name = part.tag.removeprefix(G)
            if name.startswith("structured_"):
                kind = part.findtext(f"{G}digital_source_type") or "default"
                item[f"{name}.kind"] = [kind]
                item.setdefault(name, []).append(part.findtext(f"{G}content") or "")
            else:
                item.setdefault(name, []).append(part.text or "")
        items.append(item)
    return items


def _text(path: Path) -> Items:
    """Tabs part cells and lines items, whatever quotes stand there."""
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    names = head.split("\t")
    items: Items = []
    for line in lines:
        cells = line.split("\t")
        assert len(cells) == len(names), line
        item: dict[str, list[str]] = {}
        for name, cell in zip(names, cells, strict=True):
            if not cell:
                continue
            if name.startswith("structured_"):
                kind, _, content = cell.partition(":")
                item[f"{name}.kind"] = [kind or "default"]
                item[name] = next(csv.reader([content], delimiter="\0"))
            elif name in ("additional_image_link", "product_highlight"):
                item[name] = next(csv.reader([cell]))
            else:
                item[name] = [cell]
        items.append(item)
    return items


def _item(item: dict[str, list[str]]) -> list[str]:
    wrong = [f"no {name}" for name in ("id", "link", "image_link") if not item.get(name)]
    for name in ("title", "description"):
        plain, structured = item.get(name), item.get(f"structured_{name}")
        if bool(plain) == bool(structured):
            wrong.append(f"{name}: one of the plain and the structured form is wanted")
        kind = item.get(f"structured_{name}.kind", ["default"])[0]
        if kind not in ("default", "trained_algorithmic_media"):
            wrong.append(f"{name}: the source type {kind!r}")
    for name, most in LENGTHS.items():
        values = [*item.get(name, []), *item.get(f"structured_{name}", [])]
        wrong += [f"{name} of {len(value)} characters" for value in values if len(value) > most]
    for name in ("link", "image_link", "additional_image_link"):
        values = item.get(name, [])
        wrong += [f"{name} {v!r}" for v in values if not re.fullmatch(r"https?://\S+", v)]
    if len(item.get("additional_image_link", [])) > 10:
        wrong.append("more than ten further photos")
    highlights = item.get("product_highlight", [])
    if highlights and not 2 <= len(highlights) <= 100:
        wrong.append(f"{len(highlights)} highlights")
    wrong += [f"a highlight of {len(one)}" for one in highlights if not 1 <= len(one) <= 150]
    return wrong


def _sold(item: dict[str, list[str]]) -> list[str]:
    wrong: list[str] = []
    stands = item.get("availability", [""])[0]
    if stands not in ("in_stock", "out_of_stock", "preorder", "backorder"):
        wrong.append(f"availability {stands!r}")
    if stands in ("preorder", "backorder") and not item.get("availability_date"):
        wrong.append("no availability_date")
    prices = [*item.get("price", [""]), *item.get("sale_price", [])]
    wrong += [f"price {p!r}" for p in prices if not re.fullmatch(r"\d+(\.\d+)? [A-Z]{3}", p)]
    gtin = item.get("gtin", [""])[0]
    if gtin and (not is_gtin(gtin) or re.match(r"(02|04|05|2|98|99)\d{11}", gtin + " " * 14)):
        wrong.append(f"GTIN {gtin!r}")
    is_known = gtin or item.get("mpn") or item.get("identifier_exists") == ["no"]
    if not is_known or not item.get("brand"):
        wrong.append("neither identifier nor brand")
    if item.get("condition", ["new"])[0] not in ("new", "refurbished", "used"):
        wrong.append(f"condition {item['condition']!r}")
    return wrong
