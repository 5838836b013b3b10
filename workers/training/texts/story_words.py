"""The words of stories: relations with the sentences and questions that tell them, and names.

Names are invented or common first names; cities and countries are real.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workers.synthetic import lexicon as lx
from workers.synthetic.lexicon import Split
from workers.training.texts.wordlists import words


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation: kinds of subject and object, and how sentences and questions put it."""

    subject: str
    object: str
    name: str
    name_zh: str
    en: list[str]
    zh: list[str]
    ask_en: list[str]
    ask_zh: list[str]
    reverse_en: tuple[str, ...] = ()
    reverse_zh: tuple[str, ...] = ()


_WORDS: dict[str, Any] = words("stories")
RELATIONS = {key: Relation(**entry) for key, entry in _WORDS["relations"].items()}
OWN_NAME_SHARE = 0.2  # of the things and events that bear an invented name


def fillers(lang: str) -> list[str]:
    """Sentences that state nothing that is asked for."""
    return _WORDS["fillers"][lang]


def word_of(rng: random.Random, kind: str, lang: str, split: Split) -> str:
    """A name or word of `kind` in `lang`."""
    if kind in _WORDS["words"]:
        word = rng.choice(_WORDS["words"][kind][lang])
        is_named = lang == "en" and kind in ("thing", "event") and rng.random() < OWN_NAME_SHARE
        return f"{lx.invented(rng, 'en', split)} {word}" if is_named else word
    if kind == "country":
        return rng.choice(lx.countries(lang))
    if kind == "colour":
        colours = lx.choices("colour").values()
        return rng.choice([c.zh if lang == "zh" else c.latin[0] for c in colours])
    if kind in _NAMES:
        return _NAMES[kind](rng, lang, split)
    return (_number_zh if lang == "zh" else _number_en)(rng, kind)


def _person(rng: random.Random, lang: str, split: Split) -> str:
    if lang == "zh":
        given = "".join(rng.choices(_WORDS["given_names"], k=rng.choice((1, 2, 2))))
        return rng.choice(_WORDS["family_names"]) + given
    first = rng.choice(_WORDS["first_names"])
    if rng.random() >= 0.8:
        first = lx.invented(rng, "en", split)
    return first if rng.random() < 0.35 else f"{first} {lx.invented(rng, 'en', split)}"


def _company(rng: random.Random, lang: str, split: Split) -> str:
    return lx.invented(rng, lang, split) + rng.choice(_WORDS["firms"][lang])


def _city(rng: random.Random, lang: str, split: Split) -> str:
    if lang == "en" and rng.random() >= 0.75:
        return lx.invented(rng, "en", split)
    return rng.choice(_WORDS["cities"][lang])


Namer = Callable[[random.Random, str, Split], str]
_NAMES: dict[str, Namer] = {"person": _person, "company": _company, "city": _city}


def _number_en(rng: random.Random, kind: str) -> str:
    """A year, number, price, time or day in English."""
    n = rng.randint(2, 999)
    month, day = rng.choice(_WORDS["months"]), rng.randint(1, 30)
    prices = (f"{n} kronor", f"${n}", f"{n} euros", f"{n % 90 + 1}.50 SEK", f"£{n}", f"{n} dollars")
    return {
        "year": str(rng.randint(1850, 2025)),
        "number": rng.choice((str(n), f"{n}00", f"{n},000", str(rng.randint(2, 90)))),
        "price": rng.choice(prices),
        "time": f"{rng.randint(6, 22)}:{rng.choice(('00', '15', '30', '45'))}",
        "day": rng.choice((rng.choice(_WORDS["days"]), f"{day} {month}", f"{month} {day}")),
    }[kind]


def _number_zh(rng: random.Random, kind: str) -> str:
    """A year, number, price, time or day in Chinese."""
    n = rng.randint(2, 999)
    times = (
        f"{rng.randint(6, 22)}点",
        f"上午{rng.randint(6, 11)}点",
        f"下午{rng.randint(1, 8)}点半",
    )
    date = f"{rng.randint(1, 12)}月{rng.randint(1, 28)}日"
    return {
        "year": f"{rng.randint(1900, 2025)}年",
        "number": rng.choice((str(n), f"{n}00", f"{n}万")),
        "price": rng.choice((f"{n}元", f"{n}块", f"￥{n}")),
        "time": rng.choice(times),
        "day": rng.choice((date, "周六", "星期三", "周日")),
    }[kind]
