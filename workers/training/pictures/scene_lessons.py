"""Questions about drawn scenes and their answers, in English and Chinese; knows no pixels.

A question is asked only where its answer is certain: a thing is named by its kind, or by colour
and kind, when no other thing of the scene has that name.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from workers.synthetic.drawn import KINDS, PALETTE
from workers.synthetic.scene_words import (
    ALWAYS_PLURAL,
    MASS,
    colour_zh,
    kind_zh,
    plural,
)
from workers.synthetic.scenes import FIGURES, PLACES, Thing, can_vary

Lesson = tuple[str, str]
PLACES_ZH = dict(
    zip(
        PLACES,
        ("左上", "上方", "右上", "左边", "中间", "右边", "左下", "下方", "右下"),
        strict=True,
    )
)
PATTERNS_ZH = {"plain": "纯色", "striped": "条纹", "dotted": "圆点", "checked": "格子"}
COUNT = (
    "How many things are there?", "How many objects are there?", "How many items are there?",
    "How many products are there?", "How many are there?", "How many objects are in the image?",
    "How many things are in the picture?", "Count the objects.", "How many products are shown?",
    "How many shapes are there?", "How many shapes are in the image?", "How many do you see?",
)  # fmt: skip
COUNT_ZH = ("有几个？", "一共有几个？", "有多少个？", "图片里有几个东西？")
WHERE = (
    "Where is the {}?", "Where in the picture is the {}?", "In which part is the {}?",
    "What is the position of the {}?",
)  # fmt: skip
WHERE_ALONE = (
    "Where is it?", "Where is the object?", "Where in the picture is it?", "Where is the product?",
    "What is its position?", "Where is the object in the image?", "Where is the shape?",
    "Where is the shape in the image?", "Which part of the image is it in?",
)  # fmt: skip
COLOUR_ALONE = (
    "What colour is it?", "What color is it?", "What colour is the shape?",
    "What color is the object?", "What colour is the thing?",
)  # fmt: skip


def scene_lesson(things: Sequence[Thing], rng: random.Random) -> Lesson:
    """One question about `things` and its answer."""
    chinese = rng.random() < 0.2
    makers = CHINESE if chinese else ENGLISH
    while True:
        found = rng.choice(makers)(things, rng)
        if found is not None:
            return found


def _alone_of(things: Sequence[Thing], rng: random.Random) -> tuple[Thing, bool] | None:
    """A thing that its kind names alone, or (true) that only colour and kind name."""
    kinds = Counter(thing.kind for thing in things)
    looks = Counter((thing.kind, thing.colour) for thing in things)
    named = [
        (thing, kinds[thing.kind] > 1)
        for thing in things
        if kinds[thing.kind] == 1 or looks[thing.kind, thing.colour] == 1
    ]
    return rng.choice(named) if named else None


def _called(thing: Thing, needs_colour: bool, rng: random.Random) -> str:
    kind = thing.kind.lower()
    return f"{thing.colour} {kind}" if needs_colour or rng.random() < 0.3 else kind


def _count(things: Sequence[Thing], rng: random.Random) -> Lesson:
    return rng.choice(COUNT), str(len(things))


def _count_kind(things: Sequence[Thing], rng: random.Random) -> Lesson:
    kinds = [thing.kind for thing in things]
    kind = rng.choice(kinds) if rng.random() < 0.85 else rng.choice([*KINDS, *FIGURES])
    asked = rng.choice(("How many {} are there?", "How many {} do you see?", "Count the {}."))
    return asked.format(plural(kind)), str(kinds.count(kind))


def _count_colour(things: Sequence[Thing], rng: random.Random) -> Lesson:
    colours = [thing.colour for thing in things]
    colour = rng.choice(colours) if rng.random() < 0.85 else rng.choice(list(PALETTE))
    asked = rng.choice(("How many {} things are there?", "How many {} objects are there?"))
    return asked.format(colour), str(colours.count(colour))


def _colour(things: Sequence[Thing], rng: random.Random) -> Lesson | None:
    colours = {thing.colour for thing in things}
    if len(colours) == 1 and rng.random() < 0.5:
        asked = rng.choice(COLOUR_ALONE) if len(things) == 1 else "What colour are they?"
        return asked, colours.pop()
    kind = rng.choice(things).kind
    colours = {thing.colour for thing in things if thing.kind == kind}
    if len(colours) > 1:
        return None
    word = rng.choice(("colour", "colour", "color"))
    return f"What {word} is the {kind.lower()}?", colours.pop()


def _where(things: Sequence[Thing], rng: random.Random) -> Lesson | None:
    if len(things) == 1 and rng.random() < 0.5:
        return rng.choice(WHERE_ALONE), things[0].place
    named = _alone_of(things, rng)
    return named and (rng.choice(WHERE).format(_called(*named, rng)), named[0].place)


def _side(things: Sequence[Thing], rng: random.Random) -> Lesson | None:
    named = _alone_of(things, rng)
    if named is None:
        return None
    name = "it" if len(things) == 1 and rng.random() < 0.4 else f"the {_called(*named, rng)}"
    thing = named[0]
    if rng.random() < 0.5:
        side = "left" if thing.x < 0.38 else "right" if thing.x > 0.62 else None
        return side and (f"Is {name} on the left or on the right?", side)
    side = "top" if thing.y < 0.38 else "bottom" if thing.y > 0.62 else None
    return side and (f"Is {name} at the top or at the bottom?", side)


def _is_there(things: Sequence[Thing], rng: random.Random) -> Lesson:
    there = {thing.kind for thing in things}
    kind = rng.choice(sorted(there)) if rng.random() < 0.5 else rng.choice([*KINDS, *FIGURES])
    word = kind.lower()
    article = "" if kind in MASS or kind in ALWAYS_PLURAL else "an " if word[0] in "aeio" else "a "
    return f"Is there {article}{word}?", "yes" if kind in there else "no"


def _pattern(things: Sequence[Thing], rng: random.Random) -> Lesson | None:
    thing = rng.choice(things)
    patterns = {other.pattern for other in things if other.kind == thing.kind}
    if not can_vary(thing.kind) or len(patterns) > 1:
        return None
    name = "it" if len(things) == 1 and rng.random() < 0.5 else f"the {thing.kind.lower()}"
    asked = rng.choice(("What pattern does {} have?", "Which pattern has {}?"))
    return asked.format(name), thing.pattern


def _kind(things: Sequence[Thing], rng: random.Random) -> Lesson | None:
    kinds = {thing.kind for thing in things}
    if len(kinds) > 1:
        return None
    return rng.choice(("What shape is it?", "What is drawn?", "What is this?")), kinds.pop()


def _count_zh(things: Sequence[Thing], rng: random.Random) -> Lesson:
    if rng.random() < 0.5:
        return rng.choice(COUNT_ZH), str(len(things))
    kinds = [thing.kind for thing in things]
    kind = rng.choice(kinds)
    return f"有几个{kind_zh(kind)}？", str(kinds.count(kind))


def _colour_zh(things: Sequence[Thing], rng: random.Random) -> Lesson | None:
    kind = rng.choice(things).kind
    colours = {thing.colour for thing in things if thing.kind == kind}
    return None if len(colours) > 1 else (f"{kind_zh(kind)}是什么颜色？", colour_zh(colours.pop()))


def _where_zh(things: Sequence[Thing], rng: random.Random) -> Lesson | None:
    named = _alone_of(things, rng)
    if named is None:
        return None
    thing, needs_colour = named
    name = f"{colour_zh(thing.colour)}的" if needs_colour else ""
    return f"{name}{kind_zh(thing.kind)}在哪里？", PLACES_ZH[thing.place]


def _pattern_zh(things: Sequence[Thing], rng: random.Random) -> Lesson | None:
    found = _pattern(things, rng)
    return found and ("是什么图案？", PATTERNS_ZH[found[1]]) if len(things) == 1 else None


Maker = Callable[[Sequence[Thing], random.Random], Lesson | None]
ENGLISH: tuple[Maker, ...] = (
    _count, _count, _count_kind, _count_colour, _colour, _colour, _where, _where, _side,
    _is_there, _pattern, _kind,
)  # fmt: skip
CHINESE: tuple[Maker, ...] = (_count_zh, _colour_zh, _where_zh, _pattern_zh)
