"""Render an invented product as English shop text: columns, export blobs and short phrases."""

from __future__ import annotations

import random

from workers.synthetic import lexicon as lx
from workers.synthetic.lexicon import Split
from workers.training.texts.english_prose import english_sentences
from workers.training.texts.product import Answers, Product, Shaped, titled


def english_text(p: Product, rng: random.Random, split: Split) -> Shaped:
    """Render `p` in one of many English shapes."""
    roll = rng.random()
    if roll < 0.17:
        return _english_phrase(p, rng)
    sentences, stated, named = english_sentences(p, rng, split)
    summary = sentences[0] if sentences else None
    prose = " ".join(sentences)
    if roll < 0.3 and summary:
        return prose, p.name if named else None, stated, summary
    columns: list[tuple[str, str]] = []
    if rng.random() < 0.75:
        columns.append((rng.choice(("name", "name", "title", "product")), p.name))
    if prose and rng.random() < 0.8:
        columns.append((rng.choice(("description", "description_en", "text")), prose))
    has_name = any(value == p.name for _, value in columns)
    blob_share = 0.75 if len(columns) < 2 or rng.random() < 0.6 else 0.0
    name = p.name if has_name else (p.name if named and len(columns) else None)
    if rng.random() < blob_share or not columns:
        title = p.name if not has_name or rng.random() < 0.5 else _blob_title(p, rng, split)
        blob, blob_stated = _english_blob(p, rng, title, prose if rng.random() < 0.7 else "")
        stated = stated | blob_stated
        columns.append(("information", blob))
        name = p.name if has_name or title == p.name else name
        if prose not in blob and not any(value == prose for _, value in columns):
            summary = None
    else:
        summary = summary if any(value == prose for _, value in columns) else None
        columns += _english_columns(p, rng, stated)
    columns += [(key, value) for key, value in p.extras.items()]
    if rng.random() < 0.3:
        rng.shuffle(columns)
    visible = " ".join(value for _, value in columns)
    name = name if name and name in visible else None
    return "\n".join(f"{k}: {v}" for k, v in columns), name, stated | p.extras, summary


def _english_columns(p: Product, rng: random.Random, stated: Answers) -> list[tuple[str, str]]:
    labels = {
        "brand": ("brand", "manufacturer", "maker", "producer"),
        "origin": ("origin", "country", "country of origin", "made in"),
        "quantity": ("quantity", "weight", "volume", "net weight", "amount"),
        "colour": ("colour", "color"),
        "material": ("material", "fabric", "composition"),
    }
    columns = []
    for key, names in labels.items():
        value = getattr(p, key)
        if value and rng.random() < 0.7:
            columns.append((rng.choice(names), value))
            stated[key] = value
        elif rng.random() < 0.08:
            columns.append((rng.choice(names), ""))
    return columns


def _blob_title(p: Product, rng: random.Random, split: Split) -> str:
    swedish = titled(" ".join(rng.sample(lx.SWEDISH, rng.choice((1, 2, 3)))))
    return rng.choice(
        (
            f"{titled(p.kind)} {swedish}",
            f"{titled(p.kind)} {p.name}",
            f"{swedish} {lx.invented(rng, 'en', split)}",
        )
    )


def _english_blob(p: Product, rng: random.Random, title: str, prose: str) -> tuple[str, Answers]:
    stated: Answers = {}
    ending = rng.choice(("", " Class 1", " Class 1", " Class 2", " Klass 1"))
    parts = [f"{rng.choice(('Title', 'Title', 'Product', 'Name'))}: {title}{ending}"]
    comma = rng.choice((", ", ", ", " , "))
    quantity_here = p.quantity is not None
    if p.brand and rng.random() < 0.8:
        tail = f"{comma}{p.quantity}" if quantity_here else ""
        label = rng.choice(("Manufacturer", "Manufacturer", "Producer", "Brand"))
        parts.append(f"{label}{' and volume' if tail else ''}: {p.brand}{tail}")
        stated |= {"brand": p.brand, "quantity": p.quantity}
        if p.origin and rng.random() < 0.8:
            parts.append(f"{rng.choice(('Manufacturing country', 'Country'))}: {p.origin}")
            stated["origin"] = p.origin
    elif p.origin:
        tail = f"{comma}{p.quantity}" if quantity_here else ""
        label = rng.choice(("Country", "Country", "Origin", "Made in"))
        parts.append(f"{label}{' and volume' if tail else ''}: {p.origin}{tail}")
        stated |= {"origin": p.origin, "quantity": p.quantity}
    elif p.quantity:
        parts.append(f"{rng.choice(('Volume', 'Weight', 'Net weight', 'Pack'))}: {p.quantity}")
        stated["quantity"] = p.quantity
    is_packed = p.category is not None and p.category.value in lx.DRINKS_AND_DAIRY
    if p.category and not p.is_clothing and rng.random() < (0.85 if is_packed else 0.3):
        parts += _ingredients(rng)
    if prose:
        parts.append(f"Description: {prose}")
    if rng.random() < 0.6:
        parts.append(
            f"URL: https://www.shop.example/p/{title.split()[0]}-{rng.randint(1000, 99999)}"
        )
    return rng.choice((" ", "  ")).join(parts), stated


def _ingredients(rng: random.Random) -> list[str]:
    pool = [
        "milk",
        "MJÖLK",
        "socker",
        "sugar",
        "water",
        "vatten",
        "salt",
        "vitamin D",
        "lemon juice",
        "apple",
        "strawberries 8 %",
        "soya beans",
        "HAVRE 10 %",
        "orange juice",
        "vanilla extract",
        "rapsolja",
        "yoghurtkultur",
        "mango puree",
        "carrot",
        "aroma",
        "majsstärkelse",
    ]
    parts = ["Ingredients: " + ", ".join(rng.sample(pool, rng.randint(2, 6))) + "."]
    if rng.random() < 0.6:
        rows = [
            "energy ca {} kilojoule",
            "energi ca {} kilokalori",
            "fat ca {} gram",
            "fett ca {} gram",
            "of which sugars ca {} gram",
            "varav sockerarter ca {} gram",
            "protein ca {} gram",
            "kolhydrat ca {} gram",
            "salt ca 0.{} gram",
            "vitamin D ca {} mikrogram",
            "calcium ca {} milligram",
        ]
        lines = [
            r.format(rng.choice((rng.randint(1, 400), f"{rng.randint(0, 9)}.{rng.randint(1, 9)}")))
            for r in rng.choices(rows, k=rng.choice((2, 4, 6, 9, 12, 18, 24)))
        ]
        parts.append("Nutrition values per 100 gram: " + "  ".join(lines))
    return parts


def _english_phrase(p: Product, rng: random.Random) -> Shaped:
    """A few words without a sentence: Red cotton shirt, Italy, 500 g."""
    looks = " ".join(v for v in (p.colour, p.material, p.kind) if v)
    base = rng.choice((looks, looks, p.name))
    base = base[:1].upper() + base[1:] if rng.random() < 0.6 else base
    stated: Answers = {}
    if looks.lower() == base.lower():
        head = base[: len(p.colour or "")]
        stated = {"colour": head if p.colour else None, "material": p.material}
        if p.material and not p.colour:
            stated["material"] = base[: len(p.material)]
    elif p.colour and p.colour.lower() in base.lower() and p.kind.lower() in base.lower():
        start = base.lower().index(p.colour.lower())
        stated["colour"] = base[start : start + len(p.colour)]
        if p.material and p.material in base:
            stated["material"] = p.material
    tails = []
    for key, form in (("brand", "by {}"), ("origin", "from {}"), ("quantity", "{}")):
        value = getattr(p, key)
        if value and rng.random() < 0.5:
            tails.append(rng.choice((form, "{}" if key == "quantity" else form)).format(value))
            stated[key] = value
    joiner = rng.choice((", ", ", ", " "))
    text = joiner.join([base, *tails])
    label = rng.choice(("", "", "name: ", "title: ", "text: "))
    return label + text, text if label in ("name: ", "title: ") else base, stated, None
