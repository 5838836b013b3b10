"""The same titles asked under other names, so that a reader goes by what a name means."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from workers.training.extraction.generated import NAMELESS, synonyms
from workers.training.extraction.titles import Title


def renamed(titles: Sequence[Title], *, seed: int) -> list[Title]:
    """Each title once more: a third of its common names are others, some are said by examples."""
    draw = random.Random(seed)
    seen: dict[str, dict[str, None]] = defaultdict(dict)
    for title in titles:
        for name, values in title.values.items():
            seen[name].update(dict.fromkeys(values))
    return [_renamed(title, {name: list(v) for name, v in seen.items()}, draw) for title in titles]


def _renamed(title: Title, seen: dict[str, list[str]], draw: random.Random) -> Title:
    asked, values, meanings = [], {}, {}
    for name in title.asked:
        group = synonyms().get(name.lower(), ())
        others = [word for word in group if word not in (*asked, *map(str.lower, title.asked))]
        new = draw.choice(others) if others and draw.random() < 0.35 else name
        examples = [word for word in seen.get(name, ()) if word not in title.values.get(name, ())]
        if len(examples) > 5 and draw.random() < 0.15:
            meanings[new] = "such as " + ", ".join(draw.sample(examples, 3))
            if draw.random() < 0.3:
                said, new = meanings.pop(new), draw.choice(NAMELESS).format(len(asked) + 1)
                meanings[new] = said
        asked.append(new)
        if name in title.values:
            values[new] = title.values[name]
    return replace(title, asked=tuple(asked), values=values, meanings=meanings)
