"""What the encoder is given for a field: its name in words, and what the schema says of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_CHARS = 200
LETTERS = re.compile(r"[^\W\d_]+")
STEM = 5  # letters; "colours" and "coloured" begin alike
EMPTY = frozenset(
    (
        "the",
        "of",
        "a",
        "an",
        "in",
        "for",
        "and",
        "or",
        "to",
        "such",
        "as",
        "e",
        "g",
        "eg",
        "with",
        "has",
        "which",
        "is",
        "type",
        "name",
    )
)
CAMEL = re.compile(r"(?<=[a-z\d])(?=[A-Z])")


def query(name: str, meaning: str = "") -> str:
    """The words for a field; `sleeveLength` and `sleeve_length` are "sleeve length"."""
    words = CAMEL.sub(" ", name).replace("_", " ").strip().lower()
    meaning = " ".join(meaning.split())[:MOST_CHARS]
    return f"{words}: {meaning}" if meaning and meaning.lower() != words else words


def matches(asked: str, text: str, words: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Which words of `text` begin as a word of the query does: (words, 3), each 0 or 1.

    For each word whether it does, whether the one before it does, and whether the one behind it.
    """
    stems = {word[:STEM] for word in LETTERS.findall(asked.lower()) if word not in EMPTY}
    own = [text[start:end].lower()[:STEM] in stems for start, end in words]
    rows = np.zeros((len(own), 3), np.float32)
    rows[:, 0] = own
    rows[1:, 1] = own[:-1]
    rows[:-1, 2] = own[1:]
    return rows
