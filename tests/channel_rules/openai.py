"""OpenAI's product feed, after developers.openai.com/commerce/specs/file-upload/products.

As read: JSON lines, CSV or TSV, gzipped or not; one row for each item or variant; item_id of 100
characters, title 150, description 5,000 of plain text, brand 70; addresses; a price with its code;
lower-case words and booleans; a null or empty cell says nothing, and placeholders such as `n/a` are
not to be used; eligible for checkout only where eligible for search, with privacy policy and terms.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

from tests.channel_rules.barcodes import is_gtin

NEEDED = [
    "item_id",
    "title",
    "description",
    "url",
    "brand",
    "image_url",
    "price",
    "availability",
    "seller_name",
    "seller_url",
    "return_policy",
    "target_countries",
    "store_country",
    "is_eligible_search",
    "is_eligible_checkout",
]
LENGTHS = {"item_id": 100, "title": 150, "description": 5000, "brand": 70, "mpn": 70}
AVAILABLE = ("in_stock", "out_of_stock", "pre_order", "backorder", "unknown")


def problems(path: Path) -> list[str]:
    """What OpenAI's ingestion would refuse."""
    rows = _rows(path)
    wrong: list[str] = []
    ids = [row.get("item_id") for row in rows]
    wrong += [f"item_id {one!r} twice" for one in set(ids) if ids.count(one) > 1]
    for row in rows:
        wrong += [f"{row.get('item_id')}: {told}" for told in _row(row)]
    return wrong


def _rows(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    name = path.name
    if name.endswith(".gz"):
        raw, name = gzip.decompress(raw), name.removesuffix(".gz")
    text = raw.decode("utf-8")
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    delimiter = "\t" if name.endswith(".tsv") else ","
    table = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
    words = {"true": True, "false": False}
    return [{k: words.get(v, v) for k, v in row.items() if v != ""} for row in table]


def _row(row: dict[str, Any]) -> list[str]:
    wrong = [f"no {name}" for name in NEEDED if row.get(name) in (None, "", [])]
    for name, most in LENGTHS.items():
        if len(str(row.get(name, ""))) > most:
            wrong.append(f"{name} of {len(row[name])} characters")
    if re.search(r"</?(p|br|ul|li|div|b|span)\b", row.get("description", "")):
        wrong.append("HTML in the description")
    for name in ("url", "image_url", "seller_url", "return_policy"):
        if not re.fullmatch(r"https?://\S+", str(row.get(name, ""))):
            wrong.append(f"{name} {row.get(name)!r}")
    if not re.fullmatch(r"\d+(\.\d+)? [A-Z]{3}", str(row.get("price", ""))):
        wrong.append(f"price {row.get('price')!r}")
    if row.get("availability") not in AVAILABLE:
        wrong.append(f"availability {row.get('availability')!r}")
    placeholders = ("null", "n/a", "none", "undefined")
    wrong += [f"{n} {v!r}" for n, v in row.items() if str(v).strip().lower() in placeholders]
    return [*wrong, *_checkout(row)]


def _checkout(row: dict[str, Any]) -> list[str]:
    wrong: list[str] = []
    gtin = row.get("gtin")
    if gtin and not is_gtin(gtin):
        wrong.append(f"GTIN {gtin!r}")
    for name in ("is_eligible_search", "is_eligible_checkout"):
        if not isinstance(row.get(name), bool):
            wrong.append(f"{name} {row.get(name)!r}")
    if row.get("is_eligible_checkout"):
        needs = ("is_eligible_search", "seller_privacy_policy", "seller_tos")
        wrong += [f"checkout without {name}" for name in needs if not row.get(name)]
    return wrong
