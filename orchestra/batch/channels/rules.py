"""What a channel says of one attribute, and whether a value keeps it.

A channel module lists `Rule`s with the page that each comes from; `faults_of` tells what breaks
them, each with the value, the limit and the cure. It knows no channel and no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from stdnum import ean
from stdnum.exceptions import InvalidChecksum, ValidationError

Kind = Literal["text", "url", "price", "number", "gtin", "date", "country"]
PRICE = re.compile(r"\d+(\.\d{1,3})? [A-Z]{3}")
NUMBER = re.compile(r"\d+(\.\d+)?")
# GS1 keeps these for shops' own use and for coupons: they name no product of the world.
RESTRICTED = ("02", "04", "05", "2", "98", "99")
GTIN_LENGTHS = (8, 12, 13, 14)
SHOWN = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """What a channel says of the attribute `name`.

    `most` counts characters, and of an attribute of several values each by itself; `times` counts
    these. `one_of` are the values that it takes. `cure` says what to do where it is missing.
    """

    name: str
    required: bool = False
    most: int | None = None
    kind: Kind = "text"
    one_of: tuple[str, ...] = ()
    times: int | None = None
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a channel would not take a value: the value, the limit it breaks, and the cure."""

    attribute: str
    value: str
    limit: str
    cure: str
    item: str = ""

    def __str__(self) -> str:
        of = f" of {self.item!r}" if self.item else ""
        value = self.value if len(self.value) <= SHOWN else f"{self.value[:SHOWN]}…"
        return f"{self.attribute}{of} is {value!r}; {self.limit}. {self.cure}"


def faults_of(
    item: str, values: Mapping[str, str | Sequence[str]], rules: Iterable[Rule]
) -> list[Fault]:
    """What of an item's values breaks a rule."""
    found: list[Fault] = []
    for rule in rules:
        value = values.get(rule.name, "")
        parts = [value] if isinstance(value, str) else list(value)
        parts = [part for part in parts if part]
        if not parts and rule.required:
            cure = rule.cure or f"Give it a column: export: {{columns: {{{rule.name}: NAME}}}}."
            found.append(Fault(rule.name, "", "the channel requires it", cure, item))
        if rule.times is not None and len(parts) > rule.times:
            limit = f"at most {rule.times} are taken, and there are {len(parts)}"
            found.append(Fault(rule.name, parts[rule.times], limit, "Leave some out.", item))
        broken = (_broken(rule, part) for part in parts)
        found += [Fault(rule.name, p, *b, item) for p, b in zip(parts, broken, strict=True) if b]
    return found


def _broken(rule: Rule, value: str) -> tuple[str, str] | None:
    """The limit that `value` breaks, and the cure."""
    if rule.most is not None and len(value) > rule.most:
        limit = f"at most {rule.most:,} characters are taken, and it has {len(value):,}"
        return limit, "Shorten it (in the recipe: write, max_chars), or edit it in the review."
    if rule.one_of and value not in rule.one_of:
        return f"taken are {', '.join(rule.one_of)}", "Map the column's words to one of these."
    return KINDS[rule.kind](value)


def _text(value: str) -> tuple[str, str] | None:
    return None


def _url(value: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme in ("http", "https") and parts.netloc and not re.search(r"\s", value):
        return None
    return (
        "an address with http:// or https:// is taken",
        "Give the public address; export: {link: 'https://…/{handle}'} or {photos: …} makes one.",
    )


def _price(value: str) -> tuple[str, str] | None:
    if PRICE.fullmatch(value):
        return None
    return (
        "a number and an ISO 4217 code is taken, as '79.99 USD'",
        "Mend the price, or set export: {currency: USD}.",
    )


def _number(value: str) -> tuple[str, str] | None:
    if NUMBER.fullmatch(value):
        return None
    return "a number with a point is taken, as '79.99'", "Mend it in the table."


def _date(value: str) -> tuple[str, str] | None:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return "an ISO 8601 date is taken, as 2026-12-01", "Mend it in the table."
    return None


def _country(value: str) -> tuple[str, str] | None:
    if re.fullmatch("[A-Z]{2}", value):
        return None
    return "an ISO 3166-1 code is taken, as US", "Set export: {countries: [US]}."


def gtin_fault(value: str) -> tuple[str, str] | None:
    """Why `value` is no Global Trade Item Number; None where it is one.

    Check digits go by GS1's General Specifications, section 7.9 (by python-stdnum); prefixes that
    name no product of the world are refused as Google refuses them
    (support.google.com/merchants/answer/6324461).
    """
    cure = "Correct it, or empty the cell where the product has none."
    if not value.isascii() or not value.isdigit() or len(value) not in GTIN_LENGTHS:
        return f"{', '.join(map(str, GTIN_LENGTHS))} digits are a GTIN", cure
    if not value.strip("0"):
        return "zeros alone are no GTIN", cure
    try:
        ean.validate(value)
    except InvalidChecksum:
        digit = ean.calc_check_digit(value[:-1])
        return f"its last digit must be {digit} by GS1's check, and is {value[-1]}", cure
    except ValidationError as error:
        return f"it is no GTIN: {error}", cure
    if len(value) == 13 and value.startswith(RESTRICTED):
        return f"numbers with {value[:2]} are a shop's own or coupons, and no GTIN", cure
    return None


KINDS = {
    "text": _text,
    "url": _url,
    "price": _price,
    "number": _number,
    "gtin": gtin_fault,
    "date": _date,
    "country": _country,
}
