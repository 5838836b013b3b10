"""Choices as people write them: one is found whatever its case, width, hyphens, spaces or number.

A model learnt "Apple", a schema says "apple", a server answers "APPLES": one choice. The nearer
form goes first, and a form that two choices share finds neither. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

# Between letters, and between a letter and a digit; "1-2" is not "12", nor "-1" the same as "1".
GAP = r"[\s_\-‐‑–·・]+"
JOINT = re.compile(rf"(?<=[^\W\d_]){GAP}|{GAP}(?=[^\W\d_])")
LEAST_STEM = 3
# Endings of a plural and what stands there in the singular; all that fit are tried.
PLURALS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""))


class Choices:
    """Choices by every form of their words; `meant` adds other words for some of them."""

    def __init__(self, choices: Iterable[str], meant: Mapping[str, str] | None = None) -> None:
        self.listed = tuple(dict.fromkeys(choices))
        words = {**(meant or {}), **{choice: choice for choice in self.listed}}
        self._by_form: list[dict[str, set[str]]] = []
        for word, choice in words.items():
            for stage, forms in enumerate(forms_of(word)):
                if stage == len(self._by_form):
                    self._by_form.append({})
                for form in forms:
                    self._by_form[stage].setdefault(form, set()).add(choice)

    def find(self, text: str) -> str | None:
        """The choice that `text` means, as it is listed; None for another, or for one of two."""
        for known, forms in zip(self._by_form, forms_of(text), strict=False):
            found = {choice for form in forms for choice in known.get(form, ())}
            if found:
                return found.pop() if len(found) == 1 else None
        return None


@lru_cache(maxsize=512)
def indexed(listed: tuple[str, ...]) -> Choices:
    """The choices `listed`, indexed once."""
    return Choices(listed)


def forms_of(word: str) -> tuple[set[str], ...]:
    """`word` as it is, then folded, without gaps, and in the singular; each form is looser."""
    folded = " ".join(unicodedata.normalize("NFKC", word).casefold().split())
    joined = JOINT.sub("", folded)
    return {word}, {folded}, {joined}, {joined, *_singulars(joined)}


def spellings(word: str) -> tuple[str, ...]:
    """How a text may write the choice `word`: with other gaps, in the singular or the plural."""
    joined = [word, *(JOINT.sub(gap, word) for gap in (" ", "-", ""))]
    found = dict.fromkeys(joined)
    for form in joined:
        found |= dict.fromkeys(sorted(_singulars(form)))
        if form[-1:].isascii() and form[-1:].isalpha():
            found |= dict.fromkeys((f"{form}s", f"{form}es"))
            found |= dict.fromkeys([f"{form[:-1]}ies"] if form.endswith("y") else ())
    return tuple(found)


def _singulars(word: str) -> set[str]:
    found = {word[: -len(ending)] + instead for ending, instead in PLURALS if word.endswith(ending)}
    return {stem for stem in found if len(stem) >= LEAST_STEM and not word.endswith("ss")}
