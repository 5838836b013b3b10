"""Every word of the pages is there in both languages, and no word is left without a use."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from orchestra.review.bulk import DEEDS
from orchestra.review.findings import KINDS
from orchestra.review.index import BANDS, STATES
from orchestra.review.render import FACETS, GROUPINGS
from orchestra.review.words import WORDS, word

PAGES = Path(__file__).parents[3] / "orchestra" / "review"
BUILT = [
    *(f"kind_{name}" for name in (*KINDS, "usual", "all")),
    *(f"state_{name}" for name in (*STATES, "usual", "all")),
    *(f"sure_{name}" for name in BANDS),
    *(f"bulk_{deed}" for deed in DEEDS),
    *(f"source_{name}" for name in ("photo", "text", "both", "derived", "person")),
    *(f"status_{name}" for name in ("complete", "review", "partial", "failed", "waiting")),
    *(f"did_{name}" for name in STATES),
    *FACETS,
    *GROUPINGS,
    *(f"order_{name}" for name in ("worst", "table")),
    *("did_row_approve", "did_row_reject", "reason_", "value_", "field_"),
]


def used() -> set[str]:
    keys = set(BUILT)
    for path in PAGES.rglob("*"):
        if path.suffix in (".j2", ".py") and path.name != "words.py":
            text = path.read_text(encoding="utf-8")
            keys |= set(re.findall(r"\bt\('(\w+)'[,)]", text))
            keys |= set(re.findall(r"'(keys_\w+)'", text))
            keys |= set(re.findall(r'word\(\w[\w.]*, "(\w+)"', text))
            keys |= set(re.findall(r'"(did_undo|nothing_to_undo)"', text))
    return keys


def test_every_word_that_a_page_asks_for_is_there() -> None:
    assert used() - set(WORDS) == set()


def test_no_word_is_left_without_a_use() -> None:
    singular = {key for key in WORDS if key.endswith("_one")}
    assert set(WORDS) - used() - singular == set()


@pytest.mark.parametrize("key", sorted(WORDS))
def test_both_languages_say_it_with_the_same_values(key: str) -> None:
    english, chinese = WORDS[key]
    assert english.strip()
    assert chinese.strip()
    held = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in WORDS[key]]
    assert held[0] == held[1]


def test_one_of_a_thing_is_told_as_one() -> None:
    assert word("en", "matching", fields=1, rows=1) == "1 field"
    assert word("en", "matching", fields=2, rows=1) == "2 fields in 1 product"
    assert word("en", "matching", fields=12_000, rows=2) == "12,000 fields in 2 products"
