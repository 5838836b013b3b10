"""Catalog rows of the public grocery set with their true facts, read by rules of this file alone.

`DATA/grocery/products.csv` holds the texts, `DATA/grocery/SPLIT.csv` and `DATA/clothing/SPLIT.csv`
the photos. It knows no model, and shares no code with what reads the same texts in the library.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# Where people would agree; cartons, and fruit of several colours, have no one colour.
TYPICAL_COLOUR = {
    "Granny Smith": "green", "Red Delicious": "red", "Royal Gala": "red", "Avocado": "green",
    "Banana": "yellow", "Kiwi": "brown", "Lemon": "yellow", "Lime": "green",
    "Watermelon": "green", "Orange": "orange", "Passion Fruit": "purple", "Anjou": "green",
    "Conference": "green", "Kaiser": "brown", "Plum": "purple", "Pomegranate": "red",
    "Satsumas": "orange", "Asparagus": "green", "Aubergine": "purple", "Cabbage": "green",
    "Carrots": "orange", "Cucumber": "green", "Garlic": "white", "Leek": "green",
    "Brown Cap Mushroom": "brown", "Green Bell Pepper": "green", "Orange Bell Pepper": "orange",
    "Red Bell Pepper": "red", "Yellow Bell Pepper": "yellow", "Beef Tomato": "red",
    "Regular Tomato": "red", "Vine Tomato": "red", "Zucchini": "green",
}  # fmt: skip
COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
    "grey", "beige",
)  # fmt: skip
ENGLISH = {"Sverige": "Sweden", "The Netherlands": "Netherlands"}
COUNTRY = re.compile(r"^(?:Manufacturing country|Country(?: and volume)?): *([^,\n]+)", re.M)
VOLUME = re.compile(r"^(?:Country|Manufacturer) and volume: *[^,\n]*, *(.+)$", re.M)
MAKER = re.compile(r"^Manufacturer and volume: *([^,\n]+)", re.M)
TEXT_COLUMNS = ("name", "description_en", "information")


@dataclass(frozen=True, slots=True)
class Product:
    """One product: the text of its columns, and what is true of it (None: nobody says)."""

    sku: str
    name: str
    text: str
    photo: Path
    facts: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Row:
    """A text and a photo that stand in one row, of one of `VARIANTS`, with the true values."""

    variant: str
    text: str
    photo: Path
    truth: Mapping[str, str | None]


def read_products(data: Path) -> list[Product]:
    """Every product; its facts are category, colour, origin, quantity and brand."""
    products = []
    for row in _table(data / "grocery" / "products.csv"):
        told = row["information"].replace("\xa0", " ")
        country = _first(COUNTRY, told)
        facts = {
            "category": row["category"],
            "colour": TYPICAL_COLOUR.get(row["name"]),
            "origin": ENGLISH.get(country, country) if country else None,
            "quantity": _first(VOLUME, told),
            "brand": _first(MAKER, told),
        }
        text = "\n".join(
            f"{name}: {' '.join(row[name].split())}" for name in TEXT_COLUMNS if row[name].strip()
        )
        photo = data / "grocery" / row["image"]
        products.append(Product(row["sku"], row["name"], text, photo, facts))
    return products


def read_rows(data: Path, split: str) -> Iterator[Row]:
    """The rows of every variant, for each grocery photo of `split`.

    told: the product's own text. silent: a text that gives origin and quantity, but not what it is.
    other colour: a text that names a colour which the product does not have (only for products
    with one colour). other photo: the product's text beside a photo of a garment.
    """
    rng = random.Random(0)
    products = {product.name: product for product in read_products(data)}
    garments = [data / "clothing" / row["image"] for row in _table(data / f"clothing/{split}.csv")]
    for shot in _table(data / "grocery" / f"{split}.csv"):
        product, photo = products[shot["name"]], data / "grocery" / shot["image"]
        facts = {name: product.facts[name] for name in ("category", "colour", "origin", "quantity")}
        yield Row("told", product.text, photo, facts)
        yield Row("silent", silent_text(product), photo, facts)
        if facts["colour"] is not None:
            wrong = rng.choice([colour for colour in COLOURS if colour != facts["colour"]])
            text = f"name: {facts['category']}\ncolour: {wrong}\n{silent_text(product)}"
            yield Row("other colour", text, photo, facts)
        yield Row("other photo", product.text, rng.choice(garments), facts)


def silent_text(product: Product) -> str:
    """What a shop says when it says nothing of the thing itself."""
    lines = ["description: New in our shop this week. Ask our staff for more."]
    lines += [
        f"{key}: {product.facts[key]}" for key in ("origin", "quantity") if product.facts[key]
    ]
    return "\n".join(lines)


def same(name: str, value: object, truth: str) -> bool:
    """Whether a field's value says what is true, whatever its case and spacing."""
    one, other = _plain(str(value)), _plain(truth)
    if name == "quantity":
        one, other = (re.sub(r"^(?:ca|approx)\.?|\s", "", side) for side in (one, other))
    if name == "origin":
        one, other = (side.removeprefix("the ") for side in (one, other))
    return one == other


def _plain(text: str) -> str:
    return " ".join(text.replace("\xa0", " ").casefold().split())


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1].strip() or None if found else None


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
