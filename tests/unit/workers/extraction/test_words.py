"""Words of a text, and an encoder's tokens laid on them."""

from __future__ import annotations

import numpy as np

from workers.extraction.marks import COUNT, marks_of
from workers.extraction.words import pooling, words_of


def cut(text: str, tokens: list[tuple[int, int]] | None = None) -> list[str]:
    return [text[start:end] for start, end in words_of(text, tokens or [])]


def test_letters_numbers_and_signs_are_words_of_their_own() -> None:
    assert cut("Men's 500mg, 1,000 ct 1.5L") == [
        "Men", "'", "s", "500", "mg", ",", "1,000", "ct", "1.5", "L",
    ]  # fmt: skip


def test_a_letter_keeps_its_accents() -> None:
    assert cut("cafe\u0301 au lait") == ["cafe\u0301", "au", "lait"]


def test_signs_of_an_unspaced_script_that_one_token_covers_are_one_word() -> None:
    assert cut("红色棉衬衫M码", [(0, 2), (2, 3), (3, 5), (5, 6), (6, 7)]) == [
        "红色", "棉", "衬衫", "M", "码",
    ]  # fmt: skip


def test_a_word_is_the_mean_of_its_tokens_and_one_without_any_is_zero() -> None:
    shared = pooling([(0, 5), (6, 8), (9, 12)], [(0, 2), (2, 5), (6, 8)])
    assert np.allclose(shared, [[0.5, 0.5, 0], [0, 0, 1], [0, 0, 0]])


def test_an_empty_text_has_no_words_and_no_marks() -> None:
    assert words_of("", []) == []
    assert marks_of("", []).shape == (0, COUNT)


def test_marks_tell_brackets_units_and_the_first_word() -> None:
    text = "Acme tea (20 bags)"
    marks = marks_of(text, words_of(text, []))
    assert marks[0, 0] == 1
    assert list(marks[:, 3]) == [0, 0, 1, 1, 1, 0]
