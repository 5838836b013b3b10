"""Cuts a text into the tokens that are tagged, each with its place; it knows no field.

A run of letters is a token, a number is one, a Chinese character is one, and so is each mark, so
that "12oz/340g" has the borders that values have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|[{IDEOGRAPH}]|[^\W\d_{IDEOGRAPH}]+|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Token:
    """A token and its place in characters, the end exclusive."""

    text: str
    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """All tokens of `text` in order; none for blank text."""
    return [Token(match[0], match.start(), match.end()) for match in TOKEN.finditer(text)]


def covering(tokens: list[Token], start: int, end: int) -> tuple[int, int] | None:
    """The first and last token that characters `start` to `end` touch; None without any."""
    touched = [at for at, token in enumerate(tokens) if token.start < end and token.end > start]
    return (touched[0], touched[-1]) if touched else None


def shape(word: str) -> str:
    """The word's letters as X and x, its digits as 9, runs of one kind cut to two."""
    kinds = (
        "X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word
    )
    return re.sub(r"(.)\1{2,}", r"\1\1", "".join(kinds))
