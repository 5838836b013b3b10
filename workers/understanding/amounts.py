"""Reads a number off the words of a span, in the unit that a field asks for."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

SHARE = r"[1-9]\d?/(?:2|3|4|5|8|16|32|64)(?![\d/])"  # as sizes and weights are given
THOUSANDS = r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?"
NUMBER = re.compile(
    rf"(?<![\d/.,])(?:\d\d?[ -])?{SHARE}|{THOUSANDS}|[-+]?\d+(?:[.,]\d+)?|[-+]?\.\d+"
)
UNIT = re.compile(r"\s*-?\s*(fl\.? ?oz|fluid ounces?|[^\W\d_]+|\"|″)", re.IGNORECASE)
# Units of goods by how they are written; pint knows many more, and "bag" is one of them.
UNITS = {
    "kilogram": "kg kilo kilogram kilograms 千克 公斤", "gram": "g gr gms gram grams 克",
    "milligram": "mg milligram milligrams", "microgram": "mcg µg μg",
    "liter": "l ltr liter liters litre litres 升", "milliliter": "ml milliliter milliliters 毫升",
    "centiliter": "cl", "deciliter": "dl", "fluid_ounce": "fl oz|fluid ounce|fluid ounces",
    "ounce": "oz ounce ounces", "pound": "lb lbs pound pounds", "gallon": "gal gallon gallons",
    "quart": "qt quart quarts", "pint": "pint pints", "meter": "m meter meters metre metres 米",
    "centimeter": "cm centimeter centimeters 厘米", "millimeter": "mm millimeter millimeters",
    "inch": 'in inch inches " ″', "foot": "ft foot feet", "yard": "yd yard yards",
    "watt": "w watt watts", "kilowatt": "kw", "volt": "v volt volts",
    "gigabyte": "gb", "megabyte": "mb", "terabyte": "tb",
}  # fmt: skip
SPELT = {
    word: unit
    for unit, words in UNITS.items()
    for word in (words.split("|") if "|" in words else words.split())
}


def amount(words: str, asked: str, *, whole: bool) -> tuple[float | int, int] | None:
    """The number of `words` and where it begins, in the unit that `asked` names if it has one.

    Of several numbers the first in that unit counts, else the first in one of its kind, else the
    first. None where no number is, or it is no whole one and `whole` is asked.
    """
    wanted = _asked_unit(asked)
    found = [(_given(words, match.end()), match) for match in NUMBER.finditer(words)]
    if not found:
        return None
    best = min(found, key=lambda one: _strangeness(one[0], wanted))
    value = _converted(_value(best[1][0]), best[0], wanted)
    if whole and not float(value).is_integer():
        return None
    return (int(value) if whole else value), best[1].start()


def _value(number: str) -> float:
    if "/" in number:
        whole, _, share = number.replace("-", " ").rpartition(" ")
        above, below = map(int, share.split("/"))
        if above >= below:  # "3/2 mm" are two sizes
            return float(whole or above)
        return float(whole or 0) + above / below
    if re.fullmatch(THOUSANDS, number):
        return float(number.replace(",", ""))
    return float(number.replace(",", "."))


def _given(words: str, end: int) -> str | None:
    """The unit that stands behind a number."""
    match = UNIT.match(words, end)
    written = match[1].lower().replace(".", "").replace("floz", "fl oz") if match else ""
    return SPELT.get(written)


def _strangeness(unit: str | None, wanted: str | None) -> int:
    """0 for a number in the wanted unit, 1 for one that converts to it, 2 for another."""
    if wanted is None or unit == wanted:
        return 0
    return 1 if unit is not None and _factor(unit, wanted) is not None else 2


def _asked_unit(asked: str) -> str | None:
    """The last unit that the words for a field name."""
    words = re.findall(r"fl oz|fluid ounces?|[^\W\d_]+", asked.lower())
    return next((SPELT[word] for word in reversed(words) if word in SPELT and word != "in"), None)


def _converted(value: float, given: str | None, wanted: str | None) -> float:
    """`value` in `wanted`, or as it is where it is given in no unit, or in one of another kind."""
    if given is None or wanted is None or given == wanted:
        return value
    factor = _factor(given, wanted)
    return value if factor is None else round(value * factor, 6)


@cache
def _factor(given: str, wanted: str) -> float | None:
    """How many `wanted` one `given` is; None for units of two kinds."""
    try:
        return float(_registry().Quantity(1.0, given).to(wanted).magnitude)
    except TypeError:  # pint's own error for units of two kinds is one
        return None


@cache
def _registry() -> Any:
    """Pint's units; read at the first conversion, since that takes longer than most runs."""
    import pint

    return pint.UnitRegistry()
