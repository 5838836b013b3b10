"""Make messy product rows in English and Chinese with their true answers; knows no prompts.

A row imitates the shapes of shop exports: columns in any order, label blobs on one line,
nutrition lists, prices, addresses, comparisons and injected orders, all in invented words.
An answer is a verbatim span of the row, or None when the row does not say.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache

from workers.synthetic import lexicon as lx
from workers.synthetic.lexicon import Split, Term
from workers.training.texts.chinese_rows import chinese_text
from workers.training.texts.english_rows import english_text
from workers.training.texts.product import Answers, Product, make_product

KEYS = ("category", "colour", "material", "name", "brand", "origin", "quantity", "summary")


@dataclass(frozen=True, slots=True)
class RenderedRow:
    """One rendered row, what it states, and the sentence that sums it up."""

    text: str
    answers: Answers


def make_row(rng: random.Random, lang: str, split: Split) -> RenderedRow:
    """Invent a product and render it in one of many shapes."""
    if rng.random() < 0.03:
        return _empty_row(rng)
    product = make_product(rng, lang, split)
    shape = chinese_text if lang == "zh" else english_text
    text, name, stated, summary = shape(product, rng, split)
    text = sanitise(text)
    answers: Answers = dict.fromkeys(KEYS)
    answers |= {k: v for k, v in stated.items() if v and v in text}
    answers["name"] = name
    answers["summary"] = summary
    for key in ("colour", "material"):
        answers[key] = _first_span(text, _named_look(product, key, text) or answers[key])
    answers["category"] = first_mention(text, product.category)
    if lang == "en" and rng.random() < 0.06:
        change = rng.choice((str.lower, str.upper))
        if len(change(text)) == len(text):
            text = change(text)
            answers = {k: change(v) if v else v for k, v in answers.items()}
    return RenderedRow(text, answers)


def _named_look(p: Product, key: str, text: str) -> str | None:
    """A colour or material that the product's own visible name says beside its kind."""
    value: str | None = getattr(p, key)
    name = p.name.lower()
    if value and p.name in text and value.lower() in name and p.kind.lower() in name:
        return value
    return None


def _first_span(text: str, value: str | None) -> str | None:
    """The first place where `text` holds `value` as whole words, whatever the case."""
    if not value:
        return None
    edge = ("", "") if lx.HAN.search(value) else (r"(?<!\w)", r"(?!\w)")
    match = re.search(edge[0] + re.escape(value) + edge[1], text, re.IGNORECASE)
    return match.group() if match else None


def sanitise(text: str) -> str:
    """The engine's rule for data: no quotes, backslashes or control characters."""
    return text.replace('"', "'").replace("\\", "/").replace("\t", " ").replace("\r", " ")


def _empty_row(rng: random.Random) -> RenderedRow:
    texts = [
        "",
        "-",
        "n/a",
        "N/A",
        "test",
        "name: ",
        "description: ",
        "item 1",
        "无",
        "名称：",
        "???",
    ]
    return RenderedRow(rng.choice(texts), dict.fromkeys(KEYS))


@cache
def _mention_pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    owner: dict[str, str] = {}
    for choice in lx.choices("category").values():
        for word in (*choice.latin, *choice.han):
            owner.setdefault(word.lower(), choice.value)
    words = sorted(owner, key=len, reverse=True)
    forms = [re.escape(w) if lx.HAN.search(w) else rf"(?<!\w){re.escape(w)}(?!\w)" for w in words]
    return re.compile("|".join(forms), re.IGNORECASE), owner


def first_mention(text: str, category: Term | None) -> str | None:
    """The first span of `text` that names `category`; a longer other name hides it."""
    if category is None:
        return None
    pattern, owner = _mention_pattern()
    for match in pattern.finditer(text):
        if owner[match.group().lower()] == category.value:
            return match.group()
    return None
