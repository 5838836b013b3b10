"""Longer product texts of the text models' own generator, English and Chinese, asked by field."""

from __future__ import annotations

import random

from workers.training.extraction.titles import Title
from workers.training.texts.rows import make_row

NAMES = {
    "category": ("category", "product type", "kind of product", "type", "类别", "品类"),
    "colour": ("colour", "color", "颜色"),
    "material": ("material", "fabric", "材质", "面料"),
    "name": ("name", "product name", "title", "名称", "商品名"),
    "brand": ("brand", "manufacturer", "maker", "brand name", "品牌", "厂商"),
    "origin": ("origin", "country", "country of origin", "产地", "原产国"),
    "quantity": ("quantity", "net weight", "net content", "size", "净含量", "规格"),
}
OTHERS = (
    "flavor",
    "gender",
    "power source",
    "model number",
    "scent",
    "age",
    "口味",
    "型号",
    "性别",
)


def product_titles(count: int, *, seed: int) -> list[Title]:
    """`count` texts, a third of them Chinese; the same for the same seed."""
    draw = random.Random(seed)
    return [_title(draw) for _ in range(count)]


def _title(draw: random.Random) -> Title:
    lang = "zh" if draw.random() < 0.35 else "en"
    row = make_row(draw, lang, "train")
    asked, values = [], {}
    for key, names in NAMES.items():
        latin = [name for name in names if name.isascii()]
        name = draw.choice(names if lang == "zh" else latin)
        asked.append(name)
        value = row.answers.get(key)
        if value:
            values[name] = (value,)
    asked += draw.sample([n for n in OTHERS if lang == "zh" or n.isascii()], 2)
    draw.shuffle(asked)
    return Title(row.text[:600], lang, tuple(asked), values)
