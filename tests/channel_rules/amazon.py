"""Amazon's rules of titles, bullets and detail pages, after its help pages and announcements.

As read: titles of 200 characters with spaces, without ! $ ? _ { } ^ ¬ ¦ but in a brand, without
promotion, no word more than twice but small ones; five bullets, each of 10 to 255 characters that
begin with a capital, without ™ ® € … † ‡ ¢ £ ¥ © ± ~ and emoji, without guarantees, placeholders
and claims such as eco-friendly; no HTML, addresses or phone numbers on a page.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from tests.channel_rules.barcodes import is_gtin

FORBIDDEN_TITLE = set("!$?_{}^¬¦")
FORBIDDEN_BULLET = set("™®€…†‡¢£¥©±~")
CLAIMS = re.compile(
    r"\b(eco-friendly|environmentally friendly|anti-?(microbial|bacterial)|full refund|n/a|tbd|"
    r"not applicable|copy pending)\b",
    re.IGNORECASE,
)
SMALL = {"a", "an", "the", "and", "or", "of", "for", "in", "on", "with", "to", "by", "at", "from"}


def problems(path: Path) -> list[str]:
    """What Amazon would correct, hide or refuse."""
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    if head.startswith("TemplateType="):  # then labels, then names
        _, head, *lines = lines
    names = head.split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    skus = [row["item_sku"] for row in rows]
    wrong = [f"sku {sku!r} twice" for sku in set(skus) if skus.count(sku) > 1]
    parents = {row["item_sku"] for row in rows if row["parent_child"] == "parent"}
    for row in rows:
        told = [*_title(row), *_bullets(row), *_page(row)]
        if row["parent_child"] == "child" and row["parent_sku"] not in parents:
            told.append(f"the parent {row['parent_sku']!r} is not in the file")
        wrong += [f"{row['item_sku']}: {one}" for one in told]
    return wrong


def _title(row: dict[str, str]) -> list[str]:
    title, brand = row["item_name"], row["brand_name"]
    wrong = [] if title and len(title) <= 200 else [f"a title of {len(title)} characters"]
    wrong += [f"{c!r} in the title" for c in FORBIDDEN_TITLE & set(title.replace(brand, ""))]
    words = [word for word in re.findall(r"\w+", title.lower()) if word not in SMALL]
    wrong += [f"{word!r} more than twice" for word in set(words) if words.count(word) > 2]
    if "free shipping" in title.lower():
        wrong.append("promotion in the title")
    return wrong


def _bullets(row: dict[str, str]) -> list[str]:
    wrong: list[str] = []
    for n in range(1, 6):
        bullet = row[f"bullet_point{n}"]
        if not bullet:
            continue
        if not 10 <= len(bullet) <= 255:
            wrong.append(f"bullet {n} of {len(bullet)} characters")
        if bullet[0].islower():
            wrong.append(f"bullet {n} begins small")
        if FORBIDDEN_BULLET & set(bullet) or any(unicodedata.category(c) == "So" for c in bullet):
            wrong.append(f"signs in bullet {n}")
        if CLAIMS.search(bullet):
            wrong.append(f"a claim in bullet {n}")
    return wrong


def _page(row: dict[str, str]) -> list[str]:
    wrong: list[str] = []
    whole = " ".join(
        row[name] for name in row if name.startswith(("item_name", "bullet", "product_d"))
    )
    if re.search(r"</?\w+>|https?://|\b[\w.]+@\w+\.\w+", whole):
        wrong.append("HTML or an address on the page")
    if len(row["product_description"]) > 2000:
        wrong.append("a description of over 2,000 characters")
    number = row["external_product_id"]
    if number and (not is_gtin(number) or not row["external_product_id_type"]):
        wrong.append(f"the product id {number!r}")
    for name in ("item_sku", "brand_name", "feed_product_type", "main_image_url"):
        if not row[name]:
            wrong.append(f"no {name}")
    return wrong
