"""What a photo shows of a product, and in which order photos are looked at; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

PhotoRole = Literal[
    "main", "additional", "packaging", "lifestyle", "detail", "variant", "swatch"
]
ORDER: tuple[PhotoRole, ...] = (
    "main", "additional", "packaging", "lifestyle", "detail", "variant", "swatch"
)
# They show another colour or size than the product's own, or a piece of cloth.
APART = frozenset[PhotoRole](("variant", "swatch"))


def looked_at(count: int, roles: Sequence[PhotoRole], most: int) -> list[int]:
    """The places of the photos that are looked at one after the other, `most` of `count`.

    Without `roles` that is their own order. Photos of variants and swatches are passed over, unless
    there are no others.
    """
    places = list(range(count))
    if len(roles) == count:
        own = [place for place in places if roles[place] not in APART]
        places = sorted(own or places, key=lambda place: ORDER.index(roles[place]))
    return places[:most]
