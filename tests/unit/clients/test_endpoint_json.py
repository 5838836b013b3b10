"""The object in what a model wrote: what is mended, and what is never guessed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.clients.endpoint_json import object_in

KEYS = {"a"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2, ], }', {"a": [1, 2]}),
        ('{"a": ["x, ]", "y,}"]}', {"a": ["x, ]", "y,}"]}),
        ('{"a": None, "b": True}', {"a": None, "b": True}),
        ('{"a": "None of these, True"}', {"a": "None of these, True"}),
        ('{"a": "it\\\'s"}', {"a": "it's"}),
        ('{"a": "snake\\_case"}', {"a": "snake_case"}),
        ('{"a": "\\(x\\) \\d"}', {"a": "\\(x\\) \\d"}),
        ('{"a": "two\nlines\tand a tab"}', {"a": "two\nlines\tand a tab"}),
        ('"{\\"a\\": \\"x\\"}"', {"a": "x"}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('{"b": 2} and then {"a": 1} {"c": 3}', {"a": 1}),
    ],
)
def test_the_slips_of_models_are_mended(text: str, value: object) -> None:
    assert object_in(text, KEYS) == value


@pytest.mark.parametrize(
    "text", ["", "no", "[1]", '{"a": ', '{"a": 1', '{"a": "x', '{"b": 1}', "{" * 5000, '{"a" 1}']
)
def test_what_is_no_whole_object_is_none(text: str) -> None:
    assert object_in(text, KEYS) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.booleans())
def test_json_is_read_as_it_is(value: object, plain: bool) -> None:
    whole = {"a": value}
    assert object_in(json.dumps(whole, ensure_ascii=plain), KEYS) == whole
