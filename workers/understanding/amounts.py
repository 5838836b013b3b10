"""Reads a number off the words of a span, in the unit that a field asks for."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

NUMBER = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-+]?\d+(?:[.,]\d+)?|[-+]?\.\d+")
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


def number_in(words: str) -> str | None:
    """The first number of `words`, as it stands there."""
    match = NUMBER.search(words)
    return None if match is None else match[0]


def amount(words: str, asked: str, *, whole: bool) -> float | int | None:
    """The number of `words`, in the unit that `asked` names if both have one of a kind.

    None where no number is, or it is no whole one and `whole` is asked.
    """
    match = NUMBER.search(words)
    if match is None:
        return None
    value: float = _value(match[0])
    wanted, given = _asked_unit(asked), UNIT.match(words, match.end())
    if wanted is not None and given is not None:
        value = _converted(value, given[1], wanted)
    if not whole:
        return value
    return int(value) if float(value).is_integer() else None


def _value(number: str) -> float:
    if re.fullmatch(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", number):
        return float(number.replace(",", ""))
    return float(number.replace(",", "."))


def _asked_unit(asked: str) -> str | None:
    """The last unit that the words for a field name."""
    words = re.findall(r"fl oz|fluid ounces?|[^\W\d_]+", asked.lower())
    return next((SPELT[word] for word in reversed(words) if word in SPELT and word != "in"), None)


def _converted(value: float, given: str, wanted: str) -> float:
    """`value` in `wanted`, or as it is where it is given in no unit, or in one of another kind."""
    unit = SPELT.get(given.lower().replace(".", "").replace("floz", "fl oz"))
    if unit is None or unit == wanted:
        return value
    try:
        made = _registry().Quantity(value, unit).to(wanted).magnitude
    except TypeError:  # pint's own error for units of two kinds is one
        return value
    return round(float(made), 6)


@cache
def _registry() -> Any:
    """Pint's units; read at the first conversion, since that takes longer than most runs."""
    import pint

    return pint.UnitRegistry()
