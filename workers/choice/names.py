"""What a name is called: one form for all its spellings, and the wordings that are embedded.

"Safety_Masks", "safety mask" and "SafetyMask" are one name: what is embedded is always the same.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestra.core.errors import CheckpointInvalid
from orchestra.core.files.yaml_file import load_yaml
from orchestra.core.values import CJK

GAPS = re.compile(r"[\s_\-‐‑–·・/]+")
CAMEL = re.compile(r"(?<=[a-z]{2})(?=[A-Z][a-z])")
WORDINGS = Path(__file__).parent / "wordings.yaml"


@lru_cache(maxsize=1)
def wordings() -> dict[str, Any]:
    """`wordings.yaml`: templates and irregular plurals by language."""
    return load_yaml(WORDINGS, what="wordings", error=CheckpointInvalid)


def language(text: str) -> str:
    """`zh` of a text with Chinese characters in a fifth of its letters, else `en`."""
    letters = sum(char.isalpha() for char in text)
    return "zh" if len(CJK.findall(text)) * 5 > letters else "en"


def plain(name: str) -> str:
    """`name` in the form that all its spellings share, but for the plural."""
    spaced = GAPS.sub(" ", CAMEL.sub(" ", unicodedata.normalize("NFKC", name)))
    return " ".join(spaced.casefold().split())


@lru_cache(maxsize=65536)
def same(name: str) -> str:
    """The form that all spellings share: plain, the last word of English in the singular."""
    *head, last = plain(name).split() or [""]
    return " ".join([*head, _singular(last)])


def said(name: str, most: int) -> tuple[str, ...]:
    """At most so many wordings of `name`, the first of them bare."""
    templates: list[str] = wordings()["templates"][language(name)]
    return tuple(template.format(same(name)) for template in templates[:most])


def _singular(word: str) -> str:
    known: dict[str, str] = wordings()["plurals"]
    if word in known.values() or word in wordings()["alike"] or not word.isascii():
        return word
    if word in known:
        return known[word]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    if word.endswith("xes") and len(word) > 4:
        return word[:-2]
    return word[:-1] if len(word) > 3 and re.search(r"[^suci]s$", word) else word
