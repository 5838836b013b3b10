"""How values are compared and written: case, spacing, colour words in en and zh, lists, times."""

from __future__ import annotations

import json
import re
import unicodedata
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
    """Whether two values say the same, or stand in one group of `alike` values."""
    one, other = canonical(left), canonical(right)
    if one == other:
        return True
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    groups = ({canonical(value) for value in group} for group in alike)
    return any(one in group and other in group for group in groups)


def comparable(left: Any, right: Any) -> bool:
    """Whether two values are in one script; a Chinese word may well mean the English one."""
    return bool(CJK.search(str(canonical(left)))) == bool(CJK.search(str(canonical(right))))


def folded(value: str) -> str:
    """A value as it is compared: one Unicode form, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFC", value).casefold().split())


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
