"""Invent products, groceries and clothing mostly, with names; knows no rendering."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from workers.synthetic import lexicon as lx
from workers.synthetic.lexicon import Split, Term

Answers = dict[str, str | None]
# A rendered product: its text, its name if it stands there, what it states, its first sentence.
Shaped = tuple[str, str | None, Answers, str | None]


@dataclass(slots=True)
class Product:
    """What is true of one invented product; absent facts are None."""

    lang: str
    category: Term | None
    kind: str  # what the text calls it
    name: str
    brand: str | None
    origin: str | None
    quantity: str | None
    colour: str | None
    material: str | None
    extras: dict[str, str] = field(default_factory=dict)

    @property
    def is_clothing(self) -> bool:
        return self.category is not None and self.category.value in lx.CLOTHING


def make_product(rng: random.Random, lang: str, split: Split) -> Product:
    """Invent one product: a third clothing, most groceries, some of neither."""
    roll = rng.random()
    category = None
    if roll < 0.88:
        clothing = roll < 0.3
        values = [v for v in lx.choices("category") if (v in lx.CLOTHING) == clothing]
        if not clothing and rng.random() < 0.3:
            values = [*lx.DRINKS_AND_DAIRY, "Juice", "Juice", "Milk", "Yoghurt"]
        category = lx.choices("category")[rng.choice(values)]
    words = (category.han if lang == "zh" else category.latin) if category else None
    kind = _main_or_any(rng, words) if words else rng.choice(lx.OTHER_PRODUCTS[lang])
    is_clothing = category is not None and category.value in lx.CLOTHING

    def maybe(share: float, value: str) -> str | None:
        return value if rng.random() < share else None

    material_share = 0.7 if is_clothing else 0.04
    product = Product(
        lang=lang,
        category=category,
        kind=kind,
        name="",
        brand=maybe(0.5, lx.brand_name(rng, rng.choice((lang, lang, "en")), split)),
        origin=maybe(0.6, rng.choice(lx.countries(lang))),
        quantity=maybe(0.25 if is_clothing else 0.6, quantity(rng, lang)),
        colour=maybe(0.6 if is_clothing else 0.4, spoken_colour(rng, lang)),
        material=maybe(material_share, _spoken(rng, "material", lang)),
        extras=_extras(rng, lang),
    )
    product.name = (
        _chinese_name(product, rng, split) if lang == "zh" else _english_name(product, rng, split)
    )
    return product


def _main_or_any(rng: random.Random, words: tuple[str, ...]) -> str:
    return words[0] if rng.random() < 0.5 else rng.choice(words)


def _spoken(rng: random.Random, field_name: str, lang: str) -> str:
    choice = rng.choice(list(lx.choices(field_name).values()))
    return _main_or_any(rng, choice.han if lang == "zh" else choice.latin)


def spoken_colour(rng: random.Random, lang: str) -> str:
    """A colour word as a text in `lang` would say it."""
    return _spoken(rng, "colour", lang)


def quantity(rng: random.Random, lang: str) -> str:
    """An amount with its unit, such as ca 180g, 1,5l or 500克."""
    n = rng.choice(
        (
            1,
            2,
            3,
            4,
            5,
            6,
            10,
            12,
            20,
            50,
            70,
            100,
            150,
            180,
            200,
            250,
            280,
            300,
            330,
            360,
            400,
            450,
            500,
            750,
            900,
            1000,
            rng.randint(2, 999),
        )
    )
    if lang == "zh":
        number = str(n) if n > 9 else rng.choice((str(n), f"{n}.5"))
        unit = rng.choice(
            ("克", "克", "千克", "公斤", "毫升", "升", "斤", "g", "kg", "ml", "个装", "只", "件")
        )
        return rng.choice(("", "", "约")) + number + unit
    unit = rng.choice(
        ("g", "g", "kg", "l", "ml", "cl", "dl", "gram", "pcs", "pack", "lb", "oz", "pieces")
    )
    number = str(n) if n > 9 else rng.choice((str(n), f"{n}.5", f"{n},5", f"{n}.05"))
    return rng.choice(("", "", "", "ca ", "approx. ")) + number + rng.choice(("", "", " ")) + unit


def _extras(rng: random.Random, lang: str) -> dict[str, str]:
    if rng.random() > 0.25:
        return {}
    options = {
        "en": {
            "size": ["S", "M", "L", "XL", "38", "42", "one size", "large"],
            "price": [f"{rng.randint(5, 900)}.{rng.randint(10, 99)} SEK", f"${rng.randint(2, 90)}"],
            "flavour": ["vanilla", "strawberry", "mint", "plain", "cherry", "hazelnut"],
            "pattern": ["striped", "plain", "checked", "floral", "dotted"],
            "season": ["summer", "winter", "spring", "autumn", "all year"],
            "fit": ["slim", "regular", "loose", "relaxed"],
            "grade": ["Class 1", "Class 2", "Extra", "A", "B"],
        },
        "zh": {
            "尺码": ["S", "M", "L", "均码", "大号"],
            "价格": [f"{rng.randint(5, 900)}元", f"￥{rng.randint(5, 900)}.00"],
            "口味": ["香草", "草莓", "原味", "薄荷"],
            "季节": ["夏季", "冬季", "春秋", "四季"],
        },
    }[lang]
    picked = rng.sample(list(options), rng.choice((1, 1, 2)))
    return {key: rng.choice(options[key]) for key in picked}


def titled(text: str) -> str:
    """`text` with each word's first letter in upper case."""
    return " ".join(w[:1].upper() + w[1:] for w in text.split(" "))


def _english_name(product: Product, rng: random.Random, split: Split) -> str:
    kind = titled(product.kind) if rng.random() < 0.8 else product.kind
    variety = rng.choice(lx.VARIETY_WORDS)
    word = lx.invented(rng, "en", split)
    flavour = rng.choice([*lx.choices("category"), "Strawberry", "Vanilla", "Blueberry"])
    names = [
        f"{word} {lx.invented(rng, 'en', split)}",
        f"{variety} {word}",
        word,
        f"{word} {kind}",
        f"{variety} {kind}",
        f"{kind} {word}",
        kind,
        f"{word} {variety} {kind}",
    ]
    if product.brand:
        names += [f"{product.brand} {variety} {kind}", f"{product.brand} {word} {kind}"]
    if product.colour and rng.random() < 0.6:
        names += [f"{titled(product.colour)} {kind}", f"{kind} {titled(product.colour)}"] * 3
    if product.category and product.category.value in lx.DRINKS_AND_DAIRY:
        names += [f"{flavour} {kind}", f"{word} {flavour} {kind}"] * 2
        swedish = " ".join(rng.sample(lx.SWEDISH, 2))
        names += [f"{kind} {titled(swedish)}", f"{kind} {swedish} {rng.randint(0, 4)},5%"]
    if product.is_clothing and product.material:
        names += [f"{variety} {product.material} {product.kind}"] * 2
    return rng.choice(names)


def _chinese_name(product: Product, rng: random.Random, split: Split) -> str:
    word = lx.invented(rng, "zh", split)
    adjective = rng.choice(("经典", "有机", "新鲜", "特级", "精选", "修身", "宽松", "原味", "低脂"))
    latin = lx.invented(rng, "en", split)
    names = [
        word + product.kind,
        adjective + product.kind,
        product.kind,
        word,
        latin + " " + product.kind,
    ]
    if product.colour:
        names += [product.colour + product.kind] * 2
        if product.material:
            names += [product.colour + product.material + product.kind] * 4
    if product.brand:
        names += [product.brand + adjective + product.kind]
    return rng.choice(names)
