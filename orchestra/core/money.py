"""Dollars as integer micro-dollars; it knows no price and no account."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from orchestra.core.errors import InvalidBudget

MICRO_PER_USD = 1_000_000
MOST_USD = 10**9
MOST_MICRO = MICRO_PER_USD * MOST_USD  # sums of thousands of these still fit 64 bits


def micro(usd: Decimal) -> int:
    """A cost in micro-dollars, rounded up, so that a worst case stays one.

    Raises `InvalidBudget` for a negative, NaN, infinite or absurd amount (over $1e9).
    """
    return _whole(usd, ROUND_CEILING)


def limit_micro(usd: Decimal) -> int:
    """A limit in micro-dollars, rounded down, so that no more than `usd` is ever spent.

    Raises `InvalidBudget` as `micro` does.
    """
    return _whole(usd, ROUND_FLOOR)


def usd(micro: int) -> Decimal:
    """Micro-dollars as exact dollars."""
    return Decimal(micro).scaleb(-6)


def dollars(micro: int) -> str:
    """Micro-dollars as people read them: `$0.000012`, `$0.25`, `$40.00`; never an exponent."""
    whole, part = divmod(abs(micro), MICRO_PER_USD)
    digits = f"{part:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}${whole}.{digits}"


def _whole(usd: Decimal, rounding: str) -> int:
    if not usd.is_finite() or usd < 0 or usd > MOST_USD:
        raise InvalidBudget(
            f"{str(usd)!r} is not an amount of US dollars that can be booked: it must be "
            f"between 0 and {MOST_USD}. Give a smaller number."
        )
    return int(usd.scaleb(6).to_integral_value(rounding))
