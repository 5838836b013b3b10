"""How values are compared and written: case, spacing, colour words in en and zh, lists, times.

Amounts of money and time stand in it as people read them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")

COLOURS = {
    "red": "红",
    "orange": "橙",
    "yellow": "黄",
    "green": "绿",
    "blue": "蓝",
    "purple": "紫",
    "pink": "粉",
    "brown": "棕",
    "black": "黑",
    "white": "白",
    "grey": "灰",
    "beige": "米",
}
CANONICAL = {
    **{zh + suffix: en for en, zh in COLOURS.items() for suffix in ("", "色")},
    "gray": "grey",
}


@lru_cache(maxsize=256)  # a text is searched for dozens of words
def lower(text: str) -> str:
    """Lower case of the same length, so that offsets stay true."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def canonical(value: Any) -> Any:
    """A value as it is compared: one form and case, spaces joined, colours in English."""
    if not isinstance(value, str):
        return value
    plain = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    return CANONICAL.get(plain, plain)


def agree(left: Any, right: Any, alike: tuple[frozenset[str], ...] = ()) -> bool:
    """Whether two values say the same, or stand in one group of `alike` values.

    Lists agree where one holds all of the other, in any order; objects where no leaf that both
    have disagrees.
    """
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        both = [key for key in left if not (left[key] is None or right.get(key) is None)]
        return all(agree(left[key], right[key], alike) for key in both)
    if isinstance(left, list) and isinstance(right, list):
        return _within(left, right, alike) or _within(right, left, alike)
    one, other = canonical(left), canonical(right)
    if one == other:
        return True
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    groups = ({canonical(value) for value in group} for group in alike)
    return any(one in group and other in group for group in groups)


def _within(few: list[Any], many: list[Any], alike: tuple[frozenset[str], ...]) -> bool:
    return all(any(agree(one, other, alike) for other in many) for one in few)


def fuller(first: Any, second: Any) -> Any:
    """Of two values that agree, `first` with what only `second` says."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        joined = {key: fuller(value, second.get(key)) for key, value in first.items()}
        return {**joined, **{key: second[key] for key in second if key not in first}}
    if isinstance(first, list) and isinstance(second, list):
        return first if len(first) >= len(second) else second
    return second if first is None else first


def comparable(left: Any, right: Any) -> bool:
    """Whether two values are in one script; a Chinese word may well mean the English one."""
    return bool(CJK.search(str(canonical(left)))) == bool(CJK.search(str(canonical(right))))


def folded(value: str) -> str:
    """A value as it is compared: one Unicode form, no case, single spaces.

    A list or object in JSON is compared by what it holds, in any order and however it is spaced.
    """
    if value.lstrip()[:1] in ("[", "{"):
        with suppress(ValueError, RecursionError):
            return compact(_without_order(json.loads(value)))
    return " ".join(unicodedata.normalize("NFC", value).casefold().split())


def _without_order(value: Any) -> Any:
    """A nested value in the one order that all its spellings share, without what is null."""
    if isinstance(value, Mapping):
        items = ((folded(key), _without_order(item)) for key, item in value.items())
        return {key: item for key, item in sorted(items, key=itemgetter(0)) if item is not None}
    if isinstance(value, list):
        return sorted(map(_without_order, value), key=compact)
    return folded(value) if isinstance(value, str) else value


def text_of(value: Any) -> str | None:
    """A field's value as a table holds it: text as it is, a list as a JSON array."""
    if value is None:
        return None
    if not isinstance(value, str):
        value = compact(value)
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, from a model that was cut short
        value = value.encode("utf-8", "replace").decode()
    return value


def shown(value: Any, between: str = ", ") -> str:
    """Any value as a person would write it; `between` stands between the items of a list."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        between = "; " if any(isinstance(item, Mapping) for item in value) else between
        return between.join(shown(item) for item in value)
    return str(value)


def compact(value: Any) -> str:
    """A nested value as JSON without spaces, non-ASCII as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def duration(seconds: float) -> str:
    """Seconds as people read them: `0.84 s`, `42 s`, `8 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def dollars(cost_usd: Any) -> str:
    """Show a cost in US dollars, small ones to the micro-dollar the book counts in."""
    cost = Decimal(str(cost_usd))
    if cost == 0:
        return "$0"
    if cost < Decimal("0.000001"):
        return "< $0.000001"
    return f"${cost:,.2f}" if cost >= 1 else f"${cost:.6f}".rstrip("0")
