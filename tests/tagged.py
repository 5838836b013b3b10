"""Invented product titles with their fields, for tests of taggers and of what trains them."""

from __future__ import annotations

import random

BRANDS = ("Acme", "Nordlys", "Brightway", "Kora", "Velo", "Sunrise Farms")
THINGS = {"Mug": "Kitchen", "Bottle": "Kitchen", "Lamp": "Home", "Wool Blanket": "Home"}
COLOURS = ("Red", "Navy Blue", "Green", "White")
FORMS = ("{brand} {thing}, {colour}, {size}", "{brand} {colour} {thing} {size}",
         "{thing} by {brand} - {colour} ({size})", "{brand} {thing} {size}")  # fmt: skip


def titles(count: int, seed: int = 0) -> list[tuple[str, dict[str, list[str]]]]:
    """Titles with what they state: brand, colour (or none), size, and the department, which does
    not stand in them.
    """
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        thing, form = draw.choice([*THINGS]), draw.choice(FORMS)
        said = {
            "brand": draw.choice(BRANDS),
            "colour": draw.choice(COLOURS),
            "size": f"{draw.randint(2, 40)} cm",
        }
        values = {name: [value] for name, value in said.items()}
        if "{colour}" not in form:
            values["colour"] = []
        found.append((form.format(thing=thing, **said), values | {"department": [THINGS[thing]]}))
    return found
