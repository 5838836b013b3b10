"""What the encoder is given for a field: its name in words, and what the schema says of it."""

from __future__ import annotations

import re

MOST_CHARS = 200
CAMEL = re.compile(r"(?<=[a-z\d])(?=[A-Z])")


def query(name: str, meaning: str = "") -> str:
    """The words for a field; `sleeveLength` and `sleeve_length` are "sleeve length"."""
    words = CAMEL.sub(" ", name).replace("_", " ").strip().lower()
    meaning = " ".join(meaning.split())[:MOST_CHARS]
    return f"{words}: {meaning}" if meaning and meaning.lower() != words else words
