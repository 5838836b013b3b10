"""How costs, times, probabilities and values are written for people; it knows no page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestra.core.values import CJK


def dollars(cost_usd: Any) -> str:
    """Show a cost in US dollars, small ones to the micro-dollar the book counts in."""
    cost = Decimal(str(cost_usd))
    if cost == 0:
        return "$0"
    if cost < Decimal("0.000001"):
        return "< $0.000001"
    return f"${cost:,.2f}" if cost >= 1 else f"${cost:.6f}".rstrip("0")


def share(probability: float) -> str:
    """Show a probability with two digits, cut and not rounded: only certainty is 1.00."""
    return f"{math.floor(probability * 100 + 1e-9) / 100:.2f}"


def language_of(text: Any) -> str:
    """The language tag a browser needs to choose the right glyphs."""
    return "zh-Hans" if CJK.search(str(text)) else "en"


def shown(value: Any, between: str = ", ") -> str:
    """Write any value as a person would; `between` stands between the items of a list."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return between.join(shown(item) for item in value)
    return str(value)
