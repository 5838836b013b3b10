"""What the fields of a schema ask about a photo: a colour, a kind of thing, and their choices.

Knows words, not pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.core.call import Call
from orchestra.core.schema import listed_choices, resolved
from workers.vision.shades import words

COLOUR = re.compile(
    r"(?<![a-z])colou?rs?(?![a-z])|colou?r(?:way|ing)|颜色|顏色|色彩|主色|(?<![a-zåäö])färg"
    r"|farbe|couleur|(?<![a-z])hue(?![a-z])",
    re.IGNORECASE,
)
KIND = re.compile(
    r"categor|(?<![a-z])(?:type|kind|class|products?|items?|objects?|things?|articles?|shows?|shown"
    r"|garments?|what|answer|label|taxonomy|department)(?![a-z])|类|類|品|物|什么|kategori",
    re.IGNORECASE,
)
MOST_ASKED = 0.6  # of a field's choices are colours where it asks for one


@dataclass(frozen=True, slots=True)
class AskedField:
    """One property of a schema: its words to choose from, none for a free string.

    `is_colour`: it asks for a colour; `is_kind`: for what a thing is. `is_list`: for any number of
    values.
    """

    name: str
    choices: tuple[str, ...]
    is_colour: bool
    is_kind: bool = False
    is_list: bool = False


def asked_of(call: Call) -> list[AskedField]:
    """The properties of a call's schema that ask for a word, or for a list of words."""
    root: Mapping[str, Any] = call.schema or {}
    properties: Mapping[str, Any] = root.get("properties", {})
    found = []
    for name, shape in properties.items():
        one = _asked(name, shape, root, call.instruction if len(properties) == 1 else "")
        if one is not None:
            found.append(one)
    return found


def _asked(
    name: str, shape: Mapping[str, Any], root: Mapping[str, Any], said: str
) -> AskedField | None:
    plain, _ = resolved(shape, root, ())
    options = [resolved(option, root, ())[0] for option in plain.get("anyOf", (plain,))]
    items = [option["items"] for option in options if isinstance(option.get("items"), Mapping)]
    choices = listed_choices(items[0] if items else shape, root)
    is_text = any(option.get("type") == "string" for option in options)
    if not choices and not is_text and not items:
        return None
    told = " ".join((name.replace("_", " "), str(plain.get("description", "")), said))
    is_colour = _is_colour(told, choices)
    is_kind = bool(choices) and not is_colour and bool(KIND.search(told))
    return AskedField(name, choices, is_colour, is_kind, bool(items))


def _is_colour(told: str, choices: tuple[str, ...]) -> bool:
    """By its choices where there are some, else by what is said of it."""
    if not choices:
        return bool(COLOUR.search(told))
    known = words()
    colours = sum(known.find(choice) is not None for choice in choices)
    return colours >= 2 and colours >= MOST_ASKED * len(choices)
