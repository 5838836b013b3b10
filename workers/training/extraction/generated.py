"""Titles of many kinds of products with what is asked of them, so that no name is learnt by heart.

An attribute is asked under any of its names, now and then under one that says nothing and a
description that does; much of what is asked is not stated. `kinds.yaml` holds the words.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from workers.synthetic.lexicon import invented
from workers.training.extraction.patterns import drawn
from workers.training.extraction.titles import Title

FILLERS = [
    "new",
    "premium",
    "high quality",
    "best",
    "original",
    "professional",
    "deluxe",
    "gift",
    "great for",
    "perfect for",
    "set",
    "with",
    "for",
    "and",
    "2020 new",
    "hot sale",
    "free shipping",
    "ultimate",
    "essential",
    "everyday",
    "advanced",
    "extra",
    "pro",
    "plus",
    "classic",
    "home",
    "outdoor",
    "easy to use",
    "top rated",
    "value",
    "official",
    "super",
    "genuine",
    "bulk",
    "new arrival",
    "fashion",
    "ideal",
    "long lasting",
    "refreshing",
    "quality",
    "by",
    "the",
    "in",
    "from",
    "made",
    "design",
]
BRANDS = ("brand", "brand name", "maker", "manufacturer", "label", "company", "producer")
LINES = [
    "Original",
    "Pro",
    "Classic",
    "Natural",
    "Ultra",
    "Max",
    "Signature",
    "Essentials",
    "Advanced",
    "Gold",
    "Select",
    "Elite",
    "Active",
    "Pure",
    "Daily",
    "Fresh",
    "Luxe",
    "Prime",
    "Vital",
    "Comfort",
    "Sport",
    "Premium",
    "Studio",
    "Heritage",
    "Express",
    "Fusion",
    "Zen",
    "Harmony",
    "Evolve",
    "Titan",
    "Nova",
    "Bliss",
    "Radiant",
    "Summit",
    "Trail",
    "Ocean",
    "Eclipse",
    "Aura",
    "Pulse",
    "Vertex",
]
NAMELESS = ("field {}", "attribute {}", "property {}", "value {}", "column {}", "x{}")
JOINTS = (" ", " ", ", ", ", ", " - ", " | ", "; ", " / ")


@dataclass(frozen=True, slots=True)
class Attribute:
    """Names of one thing, and the values it may have; a value that starts with `@` is drawn."""

    names: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProductKind:
    """What one kind of product is called, and the attributes that are its own."""

    nouns: tuple[str, ...]
    has: tuple[Attribute, ...]


def generate(count: int, *, seed: int) -> list[Title]:
    """`count` titles; the same for the same seed."""
    draw = random.Random(seed)
    kinds, common = _lists()
    return [_title(draw, draw.choice(kinds), common) for _ in range(count)]


@cache
def _lists() -> tuple[tuple[ProductKind, ...], tuple[Attribute, ...]]:
    path = files("workers.training.extraction") / "kinds.yaml"
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    kinds = (ProductKind(tuple(kind["nouns"]), _attributes(kind["has"])) for kind in raw["kinds"])
    return tuple(kinds), _attributes(raw["common"])


def _attributes(raw: Sequence[dict[str, list[Any]]]) -> tuple[Attribute, ...]:
    return tuple(
        Attribute(tuple(name.strip() for name in names.split("|")), tuple(map(str, values)))
        for entry in raw
        for names, values in entry.items()
    )


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    """Other names of the common attributes, by lower-case name."""
    groups = [*(one.names for one in _lists()[1]), BRANDS]
    return {name: group for group in groups for name in group}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of a title's text, and the attribute whose value it is."""

    text: str
    states: Attribute | None = None


BRAND = Attribute(BRANDS, ())
PRODUCT = Attribute(("product type", "product", "item", "type", "item name", "category"), ())
LINE_NAMES = ("line", "sub brand", "product line", "series", "collection", "range", "model name")


def _title(draw: random.Random, kind: ProductKind, common: tuple[Attribute, ...]) -> Title:
    own = draw.sample(kind.has, min(len(kind.has), draw.randint(1, 5)))
    shared = draw.sample(common, draw.randint(0, 3))
    stated: list[_Piece] = []
    for attribute in [*own, *shared]:
        piece = _piece(draw, attribute)
        if piece is not None and not any(_meet(attribute, p.states) for p in stated if p.states):
            stated.append(piece)
    pieces = _laid_out(draw, kind, stated)
    text, spans = _joined(draw, pieces)
    asked = _asked(draw, kind, common, [piece.states for piece in pieces if piece.states])
    names, values, meanings = [], {}, {}
    for attribute in asked:
        name, meaning = _named(draw, attribute, kind, len(names))
        if name in names:
            continue
        names.append(name)
        if meaning:
            meanings[name] = meaning
        if found := tuple(dict.fromkeys(text[a:b] for a, b, of in spans if of is attribute)):
            values[name] = found
    return Title(text, kind.nouns[0], tuple(names), values, meanings)


def _piece(draw: random.Random, attribute: Attribute) -> _Piece | None:
    if not attribute.values:
        return None
    value = drawn(draw, draw.choice(attribute.values))
    if draw.random() < 0.08 and not any(c.isdigit() for c in value):
        value += draw.choice((" & ", "/", " and ")) + drawn(draw, draw.choice(attribute.values))
    return _Piece(_cased(draw, value), attribute)


def _meet(one: Attribute, other: Attribute) -> bool:
    """Whether a value or a name of `one` could be taken for one of `other`."""
    return bool(set(one.names) & set(other.names) or set(one.values) & set(other.values))


def _cased(draw: random.Random, words: str) -> str:
    roll = draw.random()
    if roll < 0.5:
        return " ".join(word[:1].upper() + word[1:] for word in words.split(" "))
    return words.upper() if roll > 0.95 and len(words) < 12 else words


def _laid_out(draw: random.Random, kind: ProductKind, stated: list[_Piece]) -> list[_Piece]:
    """The pieces of a title in an order that shops use."""
    noun = _Piece(_cased(draw, draw.choice(kind.nouns)), PRODUCT)
    draw.shuffle(stated)
    cut = draw.randint(0, len(stated))
    before, after = stated[:cut], stated[cut:]
    if draw.random() < 0.4:
        after = sorted(after, key=lambda piece: any(c.isdigit() for c in piece.text))
    pieces = [*before, noun, *after]
    if draw.random() < 0.35:  # as shops do that are found by many words
        for _ in range(draw.choice((1, 2, 3))):
            again = _Piece(_cased(draw, draw.choice(kind.nouns)), PRODUCT)
            pieces.insert(draw.randint(0, len(pieces)), again)
    for _ in range(draw.choice((0, 0, 1, 2, 3))):
        pieces.insert(draw.randint(0, len(pieces)), _Piece(draw.choice(FILLERS)))
    if draw.random() < 0.45:
        line = Attribute(LINE_NAMES, ())
        pieces.insert(
            0 if draw.random() < 0.8 else draw.randint(0, len(pieces)), _Piece(_line(draw), line)
        )
    if draw.random() < 0.85:
        brand = _Piece(_brand(draw), BRAND)
        pieces.insert(0 if draw.random() < 0.85 else draw.randint(0, len(pieces)), brand)
    return pieces


def _brand(draw: random.Random) -> str:
    roll = draw.random()
    word = invented(draw, "en", "train")
    if roll < 0.35:
        return word
    if roll < 0.5:
        return word.upper()
    if roll < 0.6:
        return f"{word}'s"
    if roll < 0.7:
        return f"{draw.choice(LINES)} {draw.choice(LINES)}"
    second = draw.choice(
        (
            invented(draw, "en", "train"),
            "Co.",
            "Home",
            "& Sons",
            "Labs",
            "Foods",
            "Life",
            "USA",
            "Naturals",
            "of London",
        )
    )
    return f"{word} {second}"


def _line(draw: random.Random) -> str:
    words = [
        draw.choice((draw.choice(LINES), invented(draw, "en", "train")))
        for _ in range(draw.choice((1, 1, 2, 2, 3)))
    ]
    return " ".join(dict.fromkeys(words))


def _joined(
    draw: random.Random, pieces: Sequence[_Piece]
) -> tuple[str, list[tuple[int, int, Attribute]]]:
    """The text, and where in it which attribute is stated."""
    text, spans = "", []
    is_plain = draw.random() < 0.35
    main = draw.choice(JOINTS)
    past_noun = False
    for piece in pieces:
        joint = main if past_noun and not is_plain and draw.random() < 0.8 else " "
        opening, closing = "", ""
        if past_noun and piece.states and draw.random() < 0.12:
            joint, opening, closing = " ", *draw.choice(("()", "[]", "()"))
        text += joint if text else ""
        text += opening
        if piece.states:
            spans.append((len(text), len(text) + len(piece.text), piece.states))
        text += piece.text + closing
        past_noun = past_noun or piece.states is PRODUCT
    return text, spans


def _asked(
    draw: random.Random, kind: ProductKind, common: tuple[Attribute, ...], stated: list[Attribute]
) -> list[Attribute]:
    """Most of what is stated, and as much that is not and cannot be mistaken for it."""
    asked = [one for one in stated if draw.random() < (0.35 if one is PRODUCT else 0.93)]
    others = [one for one in (*kind.has, *common) if not any(_meet(one, own) for own in stated)]
    if BRAND not in stated:
        others.append(BRAND)
    asked += draw.sample(others, min(len(others), draw.randint(1, 7)))
    draw.shuffle(asked)
    return asked


def _named(
    draw: random.Random, attribute: Attribute, kind: ProductKind, place: int
) -> tuple[str, str | None]:
    """A name to ask `attribute` under, and what is said of it."""
    name = draw.choice(attribute.names)
    plain = [value for value in attribute.values if not value.startswith("@")]
    examples = draw.sample(plain, min(3, len(plain)))
    also = draw.choice(attribute.names)
    meanings = [f"the {also} of the product", f"the {also}", f"which {also} it has"]
    if len(examples) == 3:
        meanings += [
            f"such as {', '.join(examples)}",
            f"{also}, e.g. {examples[0]} or {examples[1]}",
        ]
    roll = draw.random()
    if roll < 0.06:
        return draw.choice(NAMELESS).format(place + 1), draw.choice(meanings)
    if roll < 0.14:
        name = draw.choice(
            (
                f"product {name}",
                f"{name} of the {kind.nouns[0]}",
                f"{kind.nouns[0]} {name}",
                f"the {name}",
            )
        )
    return name, draw.choice(meanings) if draw.random() < 0.25 else None
