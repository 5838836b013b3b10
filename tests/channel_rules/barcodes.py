"""Check digits by GS1's own words: weights 3 and 1 from the right, the sum filled up to a ten.

gs1.org/services/how-calculate-check-digit-manually
"""

from __future__ import annotations


def is_gtin(text: str) -> bool:
    """Whether `text` is a GTIN-8, -12, -13 or -14 with its right last digit."""
    if not text.isdigit() or len(text) not in (8, 12, 13, 14):
        return False
    *body, last = map(int, text)
    total = sum(digit * (3 if place % 2 == 0 else 1) for place, digit in enumerate(body[::-1]))
    return (total + last) % 10 == 0
