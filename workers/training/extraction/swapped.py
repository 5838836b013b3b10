"""The same titles with other values in them, so that a reader goes by how a title is built."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from workers.synthetic.lexicon import invented
from workers.training.extraction.generated import BRANDS
from workers.training.extraction.titles import Title

Known = Mapping[tuple[str, str], Sequence[str]]
ANY = ""  # in place of a category: values of the attribute in every category


def swapped(titles: Sequence[Title], *, seed: int) -> list[Title]:
    """Each title with half of its values swapped for others of their attribute, some left out."""
    draw = random.Random(seed)
    seen: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for title in titles:
        for name, values in title.values.items():
            for kind in (title.category, ANY):
                seen[kind, name].update(dict.fromkeys(values))
    known = {key: list(values) for key, values in seen.items()}
    return [_swapped(title, known, draw) for title in titles]


def _swapped(title: Title, known: Known, draw: random.Random) -> Title:
    text, values = title.text, dict(title.values)
    places = _places(title)
    for start, end, name in sorted(places, reverse=True):
        roll = draw.random()
        if roll < 0.5:
            continue
        new = "" if roll > 0.93 else _other(title, name, known, draw)
        if not new:
            del values[name]
        else:
            values[name] = (new,)
        text = text[:start] + new + text[end:]
    text = re.sub(r"\s+", " ", text).strip()
    return replace(title, text=text, values={n: v for n, v in values.items() if v[0] in text})


def _places(title: Title) -> list[tuple[int, int, str]]:
    """Where each value stands that stands once, with no other in it."""
    found = [
        (match.start(), match.end(), name)
        for name, given in title.values.items()
        for match in re.finditer(rf"(?<!\w){re.escape(given[0])}(?!\w)", title.text)
    ]
    return [
        one for one in found
        if all(other is one or other[1] <= one[0] or one[1] <= other[0] for other in found)
        and sum(name == one[2] for _, _, name in found) == 1
    ]  # fmt: skip


def _other(title: Title, name: str, known: Known, draw: random.Random) -> str:
    if name.lower() in BRANDS and draw.random() < 0.6:
        words = [invented(draw, "en", "train") for _ in range(draw.choice((1, 1, 2)))]
        return " ".join(words).upper() if draw.random() < 0.2 else " ".join(words)
    kind = ANY if draw.random() < 0.3 else title.category
    return draw.choice(known[kind, name])
