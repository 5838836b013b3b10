"""Fills a schema from what is printed on a photo; what is not printed stays open.

Pure rules over the lines of a page. Confidence is how often the rule was right, times how surely
its lines were read; the shares were measured on photos of packs (docs/adr/0051).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestra.core.call import Box
from workers.reading import brands, printed
from workers.reading.brands import Looks
from workers.reading.lines import PrintedLine
from workers.reading.match import folded
from workers.reading.printed import Print, Words
from workers.reading.reader import Page
from workers.reading.wanted import Schema, Wanted, wanted_of

# How often each rule was right where it answered; see the benchmark.
TRUST: Mapping[str, float] = {
    "known brand": 0.95,
    "largest": 0.45,
    "amount": 0.9,
    "flavour": 0.85,
    "name": 0.6,
    "choice": 0.85,
    "label": 0.85,
    "text": 0.95,
}
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
UNIT = re.compile(r"(?<=\d)\s?(千克|公斤|毫升|克|升|[^\W\d_]+)")
# Grams or millilitres of a unit.
MASSES = {
    **dict.fromkeys(("g", "gram", "grams", "克"), 1.0),
    **dict.fromkeys(("kg", "kilo", "kilogram", "kilograms", "千克", "公斤"), 1000.0),
    **{"mg": 0.001, "oz": 28.349523125, "lb": 453.59237, "lbs": 453.59237},
}
VOLUMES = {
    **dict.fromkeys(("ml", "millilitre", "millilitres", "milliliter", "milliliters", "毫升"), 1.0),
    **dict.fromkeys(("l", "liter", "liters", "litre", "litres", "升"), 1000.0),
    **{"cl": 10.0, "dl": 100.0},
}


@dataclass(slots=True)
class PackAnswer:
    """A schema's values; confidence of each that is there, place and words of what was read.

    `notes` say what must be known of a value, `open` are the properties of a kind that no rule
    knows, of which nothing was found.
    """

    values: dict[str, Any] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    regions: dict[str, Box] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def add(self, name: str, value: Any, sure: float, box: Box, words: str) -> None:
        """Note a value that is there."""
        self.values[name] = value
        self.confidence[name] = round(min(0.99, sure), 4)
        self.regions[name] = box
        self.words[name] = words

    def found(self, name: str, value: Any, how: Print, size: tuple[int, int]) -> None:
        """Note a value of a photo of `size` as it was found; what no line says has no place."""
        if how.lines:
            self.add(name, value, how.sure, around(how.lines, size), joined(how.lines))
        else:
            self.values[name] = value
            self.confidence[name] = round(min(0.99, how.sure), 4)
        if how.note is not None:
            self.notes[name] = how.note

    def merge(self, other: PackAnswer) -> None:
        """Take over what another answer found."""
        self.values |= other.values
        self.confidence |= other.confidence
        self.regions |= other.regions
        self.words |= other.words
        self.notes |= other.notes


@dataclass(frozen=True, slots=True)
class PackReader:
    """Reads fields off pages, knowing `words`."""

    words: Words

    def answer(self, page: Page, schema: Schema, looks: Looks | None = None) -> PackAnswer:
        """The values of an object's schema, its brand also by what the pack looks like.

        Raises `InvalidSchema`.
        """
        answer = PackAnswer()
        brand = self._brand(page.lines, looks)
        for wanted in wanted_of(schema):
            found = self._found(page, wanted, brand)
            value = None if found is None else _typed(found.value, wanted)
            answer.values[wanted.name] = value
            if found is not None and value is not None:
                answer.found(wanted.name, value, found, page.size)
            elif wanted.kind == "other":
                answer.open.append(wanted.name)
        return answer

    def _found(self, page: Page, wanted: Wanted, brand: Print | None) -> Print | None:
        lines, named = page.lines, () if brand is None else brand.lines
        if wanted.kind == "choice":
            found = _trusted(printed.choice(lines, wanted.terms), "choice")
            return _chosen(brand, wanted) if found is None and wanted.is_brand else found
        if wanted.kind == "brand":
            return brand
        if wanted.kind == "amount":
            return _trusted(printed.amount(lines), "amount")
        if wanted.kind == "flavour":
            return _trusted(self._flavour(lines, wanted), "flavour")
        if wanted.kind == "name":
            return _trusted(printed.product_name(lines, self.words, named), "name")
        if wanted.kind == "text":
            return _trusted(_whole(page.believed, wanted), "text")
        return _trusted(printed.after_label(lines, wanted.label), "label")

    def _brand(self, lines: Sequence[PrintedLine], looks: Looks | None) -> Print | None:
        known = _trusted(printed.known_brand(lines, self.words), "known brand")
        found = brands.joined(known, looks, lines)
        return found or _trusted(printed.largest_name(lines, self.words), "largest")

    def _flavour(self, lines: Sequence[PrintedLine], wanted: Wanted) -> Print | None:
        found = printed.flavours(lines, self.words)
        if not found:
            return None
        if wanted.type != "array":
            return found[0]
        every = tuple(dict.fromkeys(line for each in found for line in each.lines))
        return Print([each.value for each in found], min(each.sure for each in found), every)


def around(lines: Sequence[PrintedLine], size: tuple[int, int]) -> Box:
    """The box around lines, as fractions of a photo of `size`."""
    boxes = [line.box(size) for line in lines]
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def joined(lines: Sequence[PrintedLine]) -> str:
    """The words of lines, as evidence shows them."""
    return " / ".join(line.text for line in lines)


def _chosen(brand: Print | None, wanted: Wanted) -> Print | None:
    """The choice that a brand is, by one of its words."""
    if brand is None:
        return None
    name = folded(str(brand.value))
    for value, terms in wanted.terms.items():
        if name in map(folded, terms):
            return replace(brand, value=value)
    return None


def _whole(lines: Sequence[PrintedLine], wanted: Wanted) -> Print | None:
    if not lines:
        return None
    texts = [line.text for line in lines]
    sure = sum(line.score for line in lines) / len(lines)
    return Print(texts if wanted.type == "array" else "\n".join(texts), sure, tuple(lines))


def _trusted(found: Print | None, rule: str) -> Print | None:
    return None if found is None else replace(found, sure=found.sure * TRUST[rule])


def _typed(value: Any, wanted: Wanted) -> Any:
    """`value` as the property takes it; None where it cannot be that."""
    if wanted.type in ("integer", "number"):
        return value if isinstance(value, int | float) else _number(str(value), wanted)
    if wanted.type == "array":
        return value if isinstance(value, list) else [value]
    if wanted.type in ("object", "boolean"):
        return None
    return value


def _number(text: str, wanted: Wanted) -> int | float | None:
    """The number that is printed, in the unit that the property names."""
    digits = NUMBER.search(text)
    if digits is None:
        return None
    number = float(digits[0].replace(",", "."))
    unit = UNIT.search(text)
    if wanted.unit is not None:
        factor = _factor("" if unit is None else unit[1].lower(), wanted.unit)
        if factor is None:
            return None
        number = round(number * factor, 6)
    if wanted.type == "integer":
        return int(number) if number == int(number) else None
    return number


def _factor(unit: str, wished: str) -> float | None:
    for kind in (MASSES, VOLUMES):
        if unit in kind and wished in kind:
            return kind[unit] / kind[wished]
    return None
