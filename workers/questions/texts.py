"""Questions on short texts with known answers, in English and Chinese; knows no model.

The texts are written for this bench (`classes.yaml`, `passages.yaml`): no bundled model was trained
on them. Names are invented words of the part of the lexicon that training never draws.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from orchestra.bench.questions import Question, choice_schema
from orchestra.core.call import Call
from workers.synthetic.lexicon import invented

SEED = 1_000_000
LANGUAGES = ("en", "zh")
PASSAGES, ROWS = 40, 15  # of each language
ANSWER_TOKENS = 64
MADE_UP = {"a": 2, "person": 1, "company": 2, "pet": 1, "brand": 1}  # words of an invented name
SPAN = {"anyOf": [{"type": "string", "maxLength": 80, "x-span": True}, {"type": "null"}]}


def text_questions() -> Iterator[Question]:
    """Classification, then answers from a passage, then fields of a product's text."""
    rng = random.Random(SEED)
    for language in LANGUAGES:
        yield from _classes(rng, language)
    for language in LANGUAGES:
        for _ in range(PASSAGES):
            yield _passage(rng, language)
    for language in LANGUAGES:
        for _ in range(ROWS):
            yield from _row(rng, language)


@cache
def _words(name: str) -> dict[str, Any]:
    return yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))


def _classes(rng: random.Random, language: str) -> Iterator[Question]:
    for kind, languages in _words("classes").items():
        told = languages[language]
        schema = choice_schema(told["classes"])
        pairs = [(text, label) for label, texts in told["classes"].items() for text in texts]
        rng.shuffle(pairs)  # so that the first few of a kind are of all its classes
        for text, label in pairs:
            call = Call(told["ask"], text, (), schema, ANSWER_TOKENS)
            yield Question("classification", call, "answer", label, f"{kind}, {language}")


def _passage(rng: random.Random, language: str) -> Question:
    """A person, three facts about them and an aside; one fact is asked, or one that is not told."""
    words = _words("passages")
    facts = rng.sample(words["asked"][language], 4)
    values = {"a": _name(rng, "a", language)}
    for fact in facts:
        values[fact["answer"]] = _value(rng, fact["answer"], language)
    told = [fact["says"].format(**values) for fact in facts[:3]]
    told.insert(rng.randrange(1, 4), rng.choice(words["asides"][language]))
    text = ("" if language == "zh" else " ").join(told)
    asked = facts[3] if rng.random() < 0.2 else rng.choice(facts[:3])
    truth = None if asked is facts[3] else values[asked["answer"]]
    schema = {"type": "object", "properties": {"answer": SPAN}, "required": ["answer"]}
    call = Call(asked["ask"].format(**values), text, (), schema, ANSWER_TOKENS)
    return Question("reading", call, "answer", truth, language)


def _row(rng: random.Random, language: str) -> Iterator[Question]:
    """Every field that a product's text states, and one that it does not."""
    words = _words("passages")
    form = rng.choice(words["stated"][language]["rows"])
    keys: Mapping[str, str] = words["keys"][language]
    stated = [key for key in keys if f"{{{key}}}" in form]
    asked = [*stated, rng.choice([key for key in keys if key not in stated])]
    rng.shuffle(asked)
    values = {key: _value(rng, key, language) for key in stated}
    spoken = ("、" if language == "zh" else ", ").join(keys[key] for key in asked)
    schema = {"type": "object", "properties": dict.fromkeys(asked, SPAN), "required": asked}
    ask = words["stated"][language]["ask"].format(keys=spoken)
    call = Call(ask, form.format(**values), (), schema, ANSWER_TOKENS * 2)
    for key in asked:
        yield Question("extraction", call, key, values.get(key), language)


def _value(rng: random.Random, key: str, language: str) -> str:
    known = _words("passages")["values"][language].get(key)
    return rng.choice(known) if known else _name(rng, key, language)


def _name(rng: random.Random, key: str, language: str) -> str:
    count = MADE_UP[key]
    if language == "zh":
        return invented(rng, "zh", "heldout")
    return " ".join(invented(rng, "en", "heldout") for _ in range(count))
