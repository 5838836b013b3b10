"""What the lessons about photos teach to choose from, as a checkpoint keeps it; trains nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from workers.decoding.taught import CHINESE, FILE
from workers.synthetic.drawn import KINDS
from workers.synthetic.lexicon import choices
from workers.synthetic.scenes import FIGURES, MOST, PATTERNS, PLACES
from workers.training.pictures.scene_lessons import PATTERNS_ZH, PLACES_ZH

Topics = Mapping[str, Mapping[str, list[str]]]


def taught_choices(products: Iterable[str]) -> Topics:
    """Every word that a lesson answers with, by topic, with other words for it.

    The keys of topics are those of `lessons.FIELDS`; a question has the key `answer`.
    """
    counts = {str(number): [] for number in range(MOST + 1)}
    english: dict[str, Mapping[str, list[str]]] = {
        "category": _terms("category"),
        "colour": _terms("colour"),
        "product": {name: [] for name in sorted(set(products))},
        "department": {
            "Fruit": ["水果"],
            "Vegetables": ["蔬菜"],
            "Packages": [],
            "Clothing": ["clothes", "服装"],
        },
        "count": counts,
        "position": {place: [zh] for place, zh in PLACES_ZH.items()},
        "pattern": {pattern: [zh] for pattern, zh in PATTERNS_ZH.items()},
        "side": {side: [] for side in ("left", "right", "top", "bottom")},
        "shape": {name: [] for name in (*FIGURES, *KINDS)},
        "kind": {"food": ["食物"], "clothing": ["clothes", "衣服"]},
        "truth": {"yes": ["true", "是"], "no": ["false", "否", "不是"]},
    }
    chinese = {
        "category": {term.zh: [*term.latin] for term in choices("category").values()},
        "colour": {term.zh: [*term.latin] for term in choices("colour").values()},
        "count": counts,
        "position": {PLACES_ZH[place]: [place] for place in PLACES},
        "pattern": {PATTERNS_ZH[pattern]: [pattern] for pattern in PATTERNS},
        "kind": {"食物": ["food"], "衣服": ["clothing", "clothes"]},
        "truth": {"可以": ["yes"], "不可以": ["no"]},
    }
    return english | {f"{name}{CHINESE}": words for name, words in chinese.items()}


def save_taught(products: Iterable[str], out: Path) -> None:
    """Write the file that `workers.decoding.taught.Taught` reads."""
    text = json.dumps(taught_choices(products), ensure_ascii=False, indent=1)
    (out / FILE).write_text(text + "\n", encoding="utf-8")


def _terms(name: str) -> dict[str, list[str]]:
    """The values of a choice of the default recipe with every other word for them."""
    return {
        value: [word for word in (*term.latin, *term.han) if word != value]
        for value, term in choices(name).items()
    }
