"""What a property of a schema asks of a pack: its kind by name and description, and its choices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestra.core.answers.choices import spellings
from orchestra.core.schema import resolved

Kind = Literal["choice", "brand", "amount", "flavour", "name", "text", "other"]
Schema = Mapping[str, Any]
# By the words of a property's name, then of its description; the first that fits.
KINDS: Mapping[Kind, re.Pattern[str]] = {
    "brand": re.compile(r"\b(brand|maker|manufacturer|producer|märke)\b|品牌|厂商|制造商"),
    "amount": re.compile(
        r"\b(net|weight|volume|quantity|amount|size|contents?|capacity|mass|grams?|"
        r"millilit(er|re)s?|lit(er|re)s?|vikt|volym)\b|净含量|净重|规格|重量|容量"
    ),
    "flavour": re.compile(
        r"\b(flavou?rs?|variants?|variet(y|ies)|tastes?|scents?|smak)\b|口味|味道|风味"
    ),
    "text": re.compile(r"\b(texts?|words?|lines?|printed?|label|transcript(ion)?)\b|文字|文本"),
    "name": re.compile(r"\b(name|title|product|item)\b|名称|品名|产品"),
}
UNIT = re.compile(r"\b(kg|kilograms?|g|grams?|mg|ml|millilit(?:er|re)s?|cl|dl|l|lit(?:er|re)s?)\b")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One property: `terms` are the words of its choices, `type` what JSON it takes.

    `unit` is what a number is to be given in, where its name or description says so; `is_brand`
    whether it asks for a brand, also as a choice.
    """

    name: str
    kind: Kind
    type: str
    terms: Mapping[Any, tuple[str, ...]]
    label: str
    unit: str | None = None
    is_brand: bool = False


def wanted_of(schema: Schema) -> list[Wanted]:
    """The properties of an object's schema. Raises `InvalidSchema` for a reference to nothing."""
    return [_wanted(name, shape, schema) for name, shape in schema.get("properties", {}).items()]


def _wanted(name: str, shape: Schema, root: Schema) -> Wanted:
    words = _spaced(name)
    about = f"{shape.get('title', '')} {shape.get('description', '')}"
    terms = _terms(shape, root)
    meant = _kind(words, about)
    kind: Kind = "choice" if terms else "amount" if shape.get("x-measure") else meant
    unit = UNIT.search(words) or UNIT.search(about.lower())
    is_brand = meant == "brand"
    return Wanted(name, kind, _type(shape, root), terms, words, unit and unit[0], is_brand)


def _kind(words: str, about: str) -> Kind:
    for text in (words, about):
        for kind, pattern in KINDS.items():
            if pattern.search(text.lower()):
                return kind
    return "other"


def _spaced(name: str) -> str:
    """A property's name as words: `netWeight_g` is `net weight g`."""
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip().lower()


def _options(shape: Schema, root: Schema) -> list[Schema]:
    shape, refs = resolved(shape, root, ())
    return [resolved(option, root, refs)[0] for option in shape.get("anyOf", (shape,))]


def _terms(shape: Schema, root: Schema) -> Mapping[Any, tuple[str, ...]]:
    if "x-choice" in shape:
        return {value: tuple(terms) for value, terms in shape["x-choice"].items()}
    listed = [
        v for option in _options(shape, root) for v in option.get("enum", ()) if v is not None
    ]
    return {v: (v, *spellings(v)) if isinstance(v, str) else (str(v),) for v in listed}


def _type(shape: Schema, root: Schema) -> str:
    for option in _options(shape, root):
        kinds = option.get("type", "string")
        for kind in (kinds,) if isinstance(kinds, str) else kinds:
            if kind != "null":
                return str(kind)
    return "string"
