"""Marks of a word that an encoder's pieces hide: its signs, its case, its place, its gazetteer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNITS = frozenset(
    ["oz", "ounce", "ounces", "fl", "lb", "lbs", "pound", "pounds", "g", "gram", "grams", "kg", "mg", "mcg", "iu", "ml", "l", "liter", "liters", "litre", "cl", "dl", "gallon", "gal", "quart", "pint", "inch", "inches", "in", "ft", "feet", "foot", "cm", "mm", "m", "meter", "yard", "yd", "w", "watt", "watts", "v", "volt", "volts", "mah", "gb", "tb", "mb", "hz", "khz", "mhz", "psi", "count", "ct", "pack", "packs", "pk", "pcs", "pc", "piece", "pieces", "set", "pair", "pairs", "box", "boxes", "bag", "bags", "bottle", "bottles", "can", "cans", "tablet", "tablets", "capsule", "capsules", "load", "loads", "serving", "servings", "sheets", "rolls", "spf", "upf", "%", "°", "qt", "cc", "dpi", "rpm", "lumens", "km", "kilometer"]
)
COLOURS = frozenset(
    ["red", "blue", "green", "black", "white", "yellow", "orange", "purple", "pink", "brown", "grey", "gray", "beige", "navy", "gold", "silver", "teal", "turquoise", "ivory", "cream", "tan", "khaki", "olive", "maroon", "burgundy", "charcoal", "coral", "lavender", "magenta", "multicolor", "multi", "clear", "rose", "violet", "indigo", "cyan", "bronze", "copper", "camel", "taupe", "nude"]
)
PEOPLE = frozenset(
    ["men", "man", "mens", "women", "woman", "womens", "unisex", "boys", "boy", "girls", "girl", "kids", "kid", "child", "children", "baby", "toddler", "infant", "adult", "adults", "youth", "senior", "male", "female", "ladies", "lady", "teen", "newborn", "prenatal"]
)
MATERIALS = frozenset(
    ["cotton", "leather", "wool", "silk", "linen", "polyester", "nylon", "steel", "stainless", "aluminum", "aluminium", "plastic", "wood", "wooden", "bamboo", "glass", "ceramic", "rubber", "silicone", "metal", "carbon", "fiber", "mesh", "denim", "suede", "canvas", "velvet", "fleece", "cashmere", "spandex", "lycra", "iron", "brass", "copper", "titanium", "alloy", "maple", "oak", "pine", "mahogany", "rosewood", "ebony", "paper", "cardboard", "foam", "latex", "acrylic", "resin", "porcelain", "vinyl", "pvc", "eva", "tpu", "acetate"]
)
JOINERS = frozenset(["for", "with", "and", "of", "by", "in", "to", "the", "a", "an", "from", "without", "no", "non", "free"])
OPENERS, CLOSERS = "([{", ")]}"
GAZETTEERS = (UNITS, COLOURS, PEOPLE, MATERIALS, JOINERS)
COUNT = 17 + len(GAZETTEERS)


def marks_of(text: str, words: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Marks (words, COUNT), each 0 or 1."""
    depth, rows = 0, []
    for place, (start, end) in enumerate(words):
        word = text[start:end]
        depth = max(0, depth + (word in OPENERS) - (word in CLOSERS))
        rows.append(_marks(text, word, start, end, place, len(words), depth))
    return np.asarray(rows, np.float32).reshape(len(words), COUNT)


def _marks(
    text: str, word: str, start: int, end: int, place: int, count: int, depth: int
) -> list[bool]:
    low = word.lower()
    before, after = text[start - 1 : start], text[end : end + 1]
    return [
        place == 0,
        0 < place < 3,
        place == count - 1,
        depth > 0,
        word[0].isdigit(),
        word.isdigit() and len(word) > 2,
        "." in word and word[0].isdigit(),
        not word[0].isalnum(),
        word in ",;|",
        word in "-–—/",
        word.isupper() and len(word) > 1,
        word[:1].isupper(),
        word.isalpha() and len(word) == 1,
        before == " ",
        after == " ",
        before.isdigit() or after.isdigit(),
        len(word) > 8,
        *(low in words for words in GAZETTEERS),
    ]
