"""Cuts a text into the words that spans are made of, and lays an encoder's tokens on them.

A word is a run of letters, a number, one other sign, or what one token covers of a script that is
written without spaces. Offsets count characters of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]
UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
ACCENTS = r"\u0300-\u036f"  # a letter keeps those that follow it
WORD = re.compile(rf"[{UNSPACED}]|(?:[^\W\d_{UNSPACED}][{ACCENTS}]*)+|\d+(?:[.,]\d+)*|[^\w\s]|_")


def words_of(text: str, tokens: Sequence[Span]) -> list[Span]:
    """The words of `text`; signs of an unspaced script that one of `tokens` covers are one word."""
    words: list[Span] = []
    last_token = -1
    for match in WORD.finditer(text):
        start, end = match.span()
        token = _covering(tokens, start) if _is_unspaced(match[0]) else -1
        if token >= 0 and token == last_token and words and words[-1][1] == start:
            words[-1] = (words[-1][0], end)
        else:
            words.append((start, end))
        last_token = token
    return words


def pooling(words: Sequence[Span], tokens: Sequence[Span]) -> NDArray[np.float32]:
    """A matrix (words, tokens) that averages over each word the tokens that touch it.

    A word that no token touches, as behind the end of what an encoder takes, has a row of zeros.
    """
    if not len(words) or not len(tokens):
        return np.zeros((len(words), len(tokens)), np.float32)
    word, token = np.asarray(words), np.asarray(tokens)
    touches = (word[:, :1] < token[None, :, 1]) & (token[None, :, 0] < word[:, 1:])
    share = touches.astype(np.float32)
    return share / np.maximum(share.sum(1, keepdims=True), 1.0)


def _is_unspaced(word: str) -> bool:
    return re.match(rf"[{UNSPACED}]", word) is not None


def _covering(tokens: Sequence[Span], place: int) -> int:
    return next((i for i, (start, end) in enumerate(tokens) if start <= place < end), -1)
