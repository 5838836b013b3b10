"""Write the reference listing that the text model learns from; uses the given facts only.

The sentences are few and plain on purpose: a word that is neither a fact nor one of the
recipe's connectives never appears.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from workers.synthetic.lexicon import CLOTHING, HAN, MASS, PLURAL, choices

Listing = dict[str, str | list[str]]

EN_LABELS = {
    "brand": "Brand",
    "origin": "Origin",
    "colour": "Colour",
    "material": "Material",
    "quantity": "Quantity",
}
ZH_LABELS = {
    "brand": "品牌",
    "origin": "产地",
    "colour": "颜色",
    "material": "材质",
    "quantity": "规格",
}
MAX_BULLETS = 5


def write_listing(facts: Mapping[str, str], lang: str, tone: str) -> Listing:
    """The listing of `facts` (key to value) in `lang` (en or zh) and `tone` (plain or warm).

    For zh, category, colour, material and origin are expected in Chinese already.
    """
    writer = _write_zh if lang == "zh" else _write_en
    title, description = writer(dict(facts), tone == "warm")
    return {"title": title, "description": description, "bullets": _bullets(facts, lang)}


def _bullets(facts: Mapping[str, str], lang: str) -> list[str]:
    labels, colon = (ZH_LABELS, "：") if lang == "zh" else (EN_LABELS, ": ")
    lines = [f"{label}{colon}{facts[key]}" for key, label in labels.items() if key in facts]
    known = {*labels, "category", "name", "summary"}
    lines += [f"{k.capitalize()}{colon}{v}" for k, v in facts.items() if k not in known]
    if not lines and "category" in facts:
        lines = [f"{'类别' if lang == 'zh' else 'Category'}{colon}{facts['category']}"]
    return lines[:MAX_BULLETS]


def _mentions(text: str, words: tuple[str, ...]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(w)}(?!\w)", text, re.IGNORECASE) for w in words)


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _english_category(category: str) -> str:
    return category.lower()


def _with_article(phrase: str, category: str) -> str:
    if category in PLURAL or category in MASS:
        return phrase
    article = "an" if phrase[:1].lower() in "aeiou" else "a"
    return f"{article} {phrase}"


def _led_by_brand(base: str, brand: str | None, join: str = " ") -> str:
    if not brand or brand.split()[0].lower() in base.lower():
        return base
    return f"{brand}{join}{base}"


def _fallback_title(facts: Mapping[str, str]) -> str:
    for key in ("name", "brand", "summary"):
        if key in facts:
            return facts[key].rstrip(".。!！")
    return _upper_first(" ".join(facts.values()))


def _write_en(facts: dict[str, str], warm: bool) -> tuple[str, str]:
    category, name = facts.get("category"), facts.get("name")
    if category and name and HAN.search(name):
        name = None  # a Chinese name says nothing to an English reader that the facts do not
    if not category:
        return _without_category_en(facts, warm)
    kind = _english_category(category)
    looks = [facts[k] for k in ("colour", "material") if k in facts]
    phrase = " ".join([*looks, kind])
    known = choices("category").get(category)
    contained = bool(name) and _mentions(name or "", known.latin if known else (category,))
    base = _base_en(name, category, phrase, contained)
    title = _upper_first(_led_by_brand(base, facts.get("brand")))
    if "quantity" in facts:
        title += f", {facts['quantity']}"
    subject = _upper_first(name or "")
    thing = _with_article(phrase, category)
    return title, _describe_en(facts, warm, subject, thing, category, contained)


def _base_en(name: str | None, category: str, phrase: str, contained: bool) -> str:
    if not name:
        return phrase
    if contained:
        return name
    if category in CLOTHING:
        return f"{name} {phrase}"
    return f"{name} {category}"


def _describe_en(
    facts: Mapping[str, str], warm: bool, subject: str, thing: str, category: str, contained: bool
) -> str:
    origin, summary = facts.get("origin"), facts.get("summary")
    many = category in PLURAL
    comes = "They come" if many else "It comes"
    whence = f" from {origin}" if origin else ""
    if summary:
        opening = [f"Meet {subject}."] if warm and subject else []
        closing = [f"{comes} from {origin}."] if origin and origin not in summary else []
        return " ".join([*opening, summary, *closing])
    if not subject:
        if warm:
            return f"Here {'are' if many else 'is'} {thing}{whence}."
        if whence:
            return f"{_upper_first(thing)}{whence}."
        return f"{'These are' if many else 'This is'} {thing}."
    if not contained:
        if warm:
            return f"Meet {subject}, {thing}{whence}."
        return f"{subject} {'are' if many else 'is'} {thing}{whence}."
    return _describe_named_en(warm, subject, whence, many)


def _describe_named_en(warm: bool, subject: str, whence: str, many: bool) -> str:
    """For a name that already says what it is, such as Galia Melon."""
    if warm:
        return f"Meet {subject}{whence}."
    if whence:
        return f"{subject} {'come' if many else 'comes'}{whence}."
    return f"These are {subject}." if many else f"This is {subject}."


def _without_category_en(facts: Mapping[str, str], warm: bool) -> tuple[str, str]:
    base = _fallback_title(facts)
    title = base if base == facts.get("brand") else _led_by_brand(base, facts.get("brand"))
    if "quantity" in facts and facts["quantity"] not in title:
        title += f", {facts['quantity']}"
    origin, summary = facts.get("origin"), facts.get("summary")
    whence = f" from {origin}" if origin else ""
    if summary:
        closing = [f"It comes{whence}."] if origin and origin not in summary else []
        return title, " ".join([summary, *closing])
    opening = f"Meet {base}{whence}." if warm else f"{base}{' comes' + whence if whence else ''}."
    if not warm and not whence:
        opening = f"This is {base}."
    return title, opening


def _join_zh(*parts: str | None) -> str:
    """Join with a space only where Latin letters meet something."""
    text = ""
    for part in filter(None, parts):
        needs_space = text and not (HAN.match(text[-1]) and HAN.match(part[0]))
        text += (" " if needs_space else "") + part
    return text


def _write_zh(facts: dict[str, str], warm: bool) -> tuple[str, str]:
    name, category = facts.get("name"), facts.get("category")
    colour, material = facts.get("colour"), facts.get("material")
    base, shown = _base_zh(name, category, colour, material)
    if not base:
        base = _fallback_title(facts)
    title = _led_by_brand_zh(base, facts.get("brand"))
    if "quantity" in facts:
        title += f" {facts['quantity']}"
    clauses = [_join_zh("产自", facts["origin"])] if "origin" in facts else []
    if facts.get("summary"):
        summary = facts["summary"]
        opening = f"{_join_zh('为您带来', base)}。" if warm else ""
        closing = f"{clauses[0]}。" if clauses and facts["origin"] not in summary else ""
        return title, opening + summary + closing
    if colour and "colour" not in shown:
        clauses.append(f"颜色为{colour}")
    if material and "material" not in shown:
        clauses.append(f"材质为{material}")
    if not clauses and "brand" in facts and facts["brand"] not in base:
        clauses.append(_join_zh("品牌为", facts["brand"]))
    opening = _join_zh("为您带来", base) if warm else base if clauses else _join_zh("这是", base)
    return title, "，".join([opening, *clauses]) + "。"


def _led_by_brand_zh(base: str, brand: str | None) -> str:
    if not brand or brand.split()[0].lower() in base.lower():
        return base
    return _join_zh(brand, base)


def _is_plain_english(name: str) -> bool:
    """Whether a Latin name holds nothing but a colour, a material and a category."""
    words = {
        w for f in ("category", "colour", "material") for c in choices(f).values() for w in c.latin
    }
    return all(part in words for part in name.lower().split())


def _base_zh(
    name: str | None, category: str | None, colour: str | None, material: str | None
) -> tuple[str, set[str]]:
    """The product's noun phrase, and which of colour and material it already says."""
    if name and category and not HAN.search(name) and _is_plain_english(name):
        name = None
    looks = {"colour": colour, "material": material}
    if name and HAN.search(name):
        shown = {k for k, v in looks.items() if v and (v in name or v.rstrip("色") in name)}
        says_category = not category or any(w in name for w in _han_words(category))
        return (name if says_category else _join_zh(name, category)), shown
    clothing = category in {choices("category")[c].zh for c in CLOTHING}
    if name and not clothing:
        return _join_zh(name, category), set()
    if not category:
        return name or "", set()
    return _join_zh(name, colour, material, category), {k for k, v in looks.items() if v}


def _han_words(category_zh: str) -> tuple[str, ...]:
    for choice in choices("category").values():
        if choice.zh == category_zh:
            return choice.han
    return (category_zh,)
