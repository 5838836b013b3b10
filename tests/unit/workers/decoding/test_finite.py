"""The longest word of a pattern is never shorter than what the pattern matches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.decoding.constrain import compile_schema
from workers.decoding.finite import longest_word


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        ("", 0),
        (r"Red\ Beet\.", 9),
        ("(?:a|bcd)?x", 4),
        ("(ab|c(?:def|g)?){2}", 8),
        ("ab{2,4}", 5),
        ("红(?:，| |)色", 3),
    ],
)
def test_words_are_measured(pattern: str, longest: int) -> None:
    assert longest_word(pattern) == longest


@pytest.mark.parametrize(
    "pattern",
    [
        "[a]",
        "a+",
        "a*",
        ".",
        r"\d",
        r"a\\",
        'a"',
        "(?i:a)",
        "(?P<n>a)",
        "(a",
        "a)",
        "a{2}{3}",
        "^a",
    ],
)
def test_what_is_no_word_is_not_measured(pattern: str) -> None:
    assert longest_word(pattern) is None


def _repeated(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})")
    times = st.sampled_from(["", "?", "{2}", "{0,3}"])
    return st.tuples(inner, group, times).map("".join)


@given(
    st.recursive(
        st.text("ab .-红", min_size=1, max_size=3).map(re.escape), _repeated, max_leaves=6
    ),
    st.data(),
)
def test_no_text_that_matches_is_longer(pattern: str, data: st.DataObject) -> None:
    longest = longest_word(pattern)
    found = data.draw(st.from_regex(pattern, fullmatch=True))
    assert longest is not None
    assert len(found) <= longest


def test_a_bound_that_the_words_keep_anyway_is_not_counted() -> None:
    def lark(**bounds: object) -> str:
        shape = {"type": "string", **bounds}
        schema = {"type": "object", "properties": {"a": shape}}
        return compile_schema(schema, "Red beet. Organic").lark

    assert "&" not in lark(pattern="^(?:red|blue)$", maxLength=4)
    assert "{0,3}" in lark(pattern="^(?:red|blue)$", maxLength=3)
    assert "{0,9}" in lark(pattern="^[a-z]*$", maxLength=9)
    assert "{0," not in lark(maxLength=40, **{"x-span": True})
    assert "{0,6}" in lark(maxLength=8, **{"x-span": True})
