"""Short texts with a class: reviews, customer mails, topics, products; knows no prompts.

`labelled` gives a text, its right label and the other labels that one may offer with it. Words
and sentences are written for this project.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from workers.synthetic import lexicon as lx
from workers.synthetic.lexicon import Split
from workers.training.texts.rows import make_row
from workers.training.texts.wordlists import words

_WORDS: dict[str, Any] = words("labels")

FRUIT = [
    "Apple",
    "Avocado",
    "Banana",
    "Kiwi",
    "Lemon",
    "Lime",
    "Mango",
    "Melon",
    "Nectarine",
    "Orange",
    "Papaya",
    "Peach",
    "Pear",
    "Pineapple",
    "Plum",
    "Pomegranate",
    "Satsumas",
]
FRUIT += ["Passion Fruit", "Red Grapefruit"]
DAIRY = ["Milk", "Sour Cream", "Sour Milk", "Yoghurt"]
PLANT = ["Oat Milk", "Oatghurt", "Soy Milk", "Soyghurt"]
# Sets of names: of good, bad and neither; of fruit, vegetables, packages and clothing.
SENTIMENTS: dict[str, list[list[str]]] = _WORDS["sentiments"]
DEPARTMENTS: dict[str, list[list[str]]] = _WORDS["departments"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text of `kind` with its `label`, which is one of `labels`."""

    kind: str
    lang: str
    text: str
    label: str
    labels: tuple[str, ...]


def labelled(rng: random.Random, lang: str, split: Split) -> Labelled:
    """One text with its label, of any kind."""
    kinds = ("sentiment", "sentiment", "intent", "topic", "department", "category", "language")
    kind = rng.choices(kinds, (3, 3, 4, 4, 4, 2, 0.5))[0]
    return {
        "sentiment": _sentiment,
        "intent": _intent,
        "topic": _topic,
        "department": _department,
        "category": _category,
        "language": _language,
    }[kind](rng, lang, split)


# ---------------------------------------------------------------- reviews


def _sentiment(rng: random.Random, lang: str, split: Split) -> Labelled:
    feeling = rng.choice((0, 0, 1, 1, 2))
    names = rng.choice(SENTIMENTS[lang])
    offered = names if feeling == 2 or rng.random() < 0.6 else names[:2]
    text = review(rng, lang, feeling)
    return Labelled("sentiment", lang, _cased(rng, text), names[feeling], tuple(offered))


def review(rng: random.Random, lang: str, feeling: int) -> str:
    """A review of one to three sentences; `feeling` is 0 good, 1 bad, 2 neither."""
    gap = "" if lang == "zh" else " "
    if feeling == 2:
        count = rng.choice((1, 2, 2))
        forms = rng.sample(_WORDS["neutral"][lang], count)
        return gap.join(_noun(rng, lang, form) for form in forms)
    if rng.random() < 0.15:  # the last word counts: "Nice colour, but it broke."
        first = _opinion(rng, lang, 1 - feeling).rstrip(".!。！")
        second = _opinion(rng, lang, feeling)
        return first + rng.choice(_WORDS["turns"][lang]) + (second[:1].lower() + second[1:])
    parts = [_opinion(rng, lang, feeling) for _ in range(rng.choice((1, 1, 2, 3)))]
    if rng.random() < 0.35:
        aside = _noun(rng, lang, rng.choice(_WORDS["neutral"][lang]))
        parts.insert(rng.randint(0, len(parts)), aside)
    return gap.join(parts)


def _opinion(rng: random.Random, lang: str, feeling: int) -> str:
    if rng.random() < 0.45:
        return _noun(rng, lang, rng.choice(_WORDS["whole"][lang][feeling]))
    form, flips = rng.choice(_WORDS["review_forms"][lang])
    a, b = rng.sample(_WORDS["good_bad"][lang][1 - feeling if flips else feeling], 2)
    return _noun(rng, lang, form, a=a, b=b)


def _noun(rng: random.Random, lang: str, form: str, **more: str) -> str:
    thing = rng.choice(lx.OTHER_PRODUCTS[lang]) if rng.random() < 0.5 else _kind(rng, lang)
    x, y = rng.sample(_WORDS["aspects"][lang], 2)
    text = form.format(k=thing, x=x, y=y, n=rng.randint(2, 30), **more)
    return text[:1].upper() + text[1:]


def _kind(rng: random.Random, lang: str) -> str:
    choice = rng.choice(list(lx.choices("category").values()))
    return choice.han[0] if lang == "zh" else choice.latin[0].lower()


def _cased(rng: random.Random, text: str) -> str:
    roll = rng.random()
    if roll < 0.06:
        return text.lower()
    return text.upper() if roll < 0.08 else text.rstrip(".。") if roll < 0.2 else text


# ---------------------------------------------------------------- mails and topics


def _intent(rng: random.Random, lang: str, split: Split) -> Labelled:
    said, name, labels = _class_of(rng, "intents", lang)
    text = _noun(rng, lang, rng.choice(said))
    if rng.random() < 0.3:
        text = rng.choice(_WORDS["hellos"][lang]) + text
    if rng.random() < 0.2:
        regards = f" Regards, {lx.invented(rng, 'en', split)}"
        text += "谢谢。" if lang == "zh" else rng.choice((" Thank you.", regards))
    return Labelled("intent", lang, _cased(rng, text), name, labels)


def _topic(rng: random.Random, lang: str, split: Split) -> Labelled:
    said, name, labels = _class_of(rng, "topics", lang)
    sentences = []
    for _ in range(rng.choice((1, 1, 2))):
        a, b, c = rng.sample(said, 3)
        form = rng.choice(_WORDS["topic_forms"][lang])
        who = lx.invented(rng, lang, split)
        sentence = form.format(a=a, b=b, c=c, w=who, n=rng.randint(2, 90))
        sentences.append(sentence[:1].upper() + sentence[1:])
    text = ("" if lang == "zh" else " ").join(sentences)
    return Labelled("topic", lang, _cased(rng, text), name, labels)


def _class_of(rng: random.Random, kind: str, lang: str) -> tuple[list[str], str, tuple[str, ...]]:
    """What one class says, its name, and the labels to offer: none that is too near to it."""
    classes = _WORDS[kind]
    chosen = rng.choice(list(classes))
    own = classes[chosen]
    name = _spelled(rng, own["names"][lang])
    others = [key for key in classes if key not in (chosen, *own.get("near", ()))]
    picked = rng.sample(others, rng.randint(1, 5))
    offered = [_spelled(rng, classes[key]["names"][lang]) for key in picked]
    return own["says"][lang], name, _mixed(rng, name, offered)


def _spelled(rng: random.Random, names: list[str]) -> str:
    return rng.choice((names[0], rng.choice(names)))


def _mixed(rng: random.Random, label: str, others: list[str]) -> tuple[str, ...]:
    labels = list(dict.fromkeys([label, *others]))
    rng.shuffle(labels)
    return tuple(labels)


# ---------------------------------------------------------------- products


def department_of(category: str) -> int:
    """0 fruit, 1 vegetables, 2 packages, 3 clothing."""
    if category in lx.CLOTHING:
        return 3
    if category == "Juice" or category in DAIRY or category in PLANT:
        return 2
    return 0 if category in FRUIT else 1


def _product_text(rng: random.Random, lang: str, split: Split) -> tuple[str, str]:
    """A product's text and its category, which the text names."""
    while True:
        row = make_row(rng, lang, split)
        stated = row.answers["category"]
        found = [v for v, c in lx.choices("category").items()
                 if stated and stated.lower() in (*map(str.lower, c.latin), *c.han)]  # fmt: skip
        if found and len(row.text) < 500:
            return row.text, found[0]


def _department(rng: random.Random, lang: str, split: Split) -> Labelled:
    text, category = _product_text(rng, lang, split)
    names = rng.choice(DEPARTMENTS[lang])
    right = department_of(category)
    others = [name for at, name in enumerate(names) if at != right]
    offered = rng.sample(others, rng.choice((1, 2, 2, 3)))
    return Labelled("department", lang, text, names[right], _mixed(rng, names[right], offered))


def _category(rng: random.Random, lang: str, split: Split) -> Labelled:
    text, category = _product_text(rng, lang, split)
    choices = lx.choices("category")
    # "Apple juice" names two: only one of them is offered.
    lowered = text.lower()
    clear = [
        value
        for value, c in choices.items()
        if value != category and not any(w.lower() in lowered for w in (*c.latin, *c.han))
    ]
    others = rng.sample(clear, min(len(clear), rng.randint(1, 5)))
    zh = lang == "zh" and rng.random() < 0.7
    names = [choices[v].zh if zh else v for v in [category, *others]]
    return Labelled("category", lang, text, names[0], _mixed(rng, names[0], names[1:]))


def _language(rng: random.Random, lang: str, split: Split) -> Labelled:
    text = review(rng, lang, rng.choice((0, 1, 2)))
    names = rng.choice((("English", "Chinese"), ("en", "zh"), ("英语", "中文")))
    right = names[lang == "zh"]
    return Labelled("language", lang, text, right, _mixed(rng, right, list(names)))
