"""Grammars accept exactly the answers that a schema allows."""

import json
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, hf
from pydantic import BaseModel, Field

from orchestra.core.errors import AnswerInvalid, InvalidSchema
from tests.tiny_models import tiny_tokenizer
from workers.decoding.confidence import confidences
from workers.decoding.constrain import compile_schema, validate, words_of
from workers.decoding.shape import read_schema

TOKENIZER = tiny_tokenizer()
TOKENS = hf.from_tokenizer(TOKENIZER)


def accepts(schema: dict, answer: str, text: str | None = None) -> bool:
    """Whether the whole of `answer`, and not only its beginning, fits."""
    grammar = compile_schema(schema, text)
    matcher = LLMatcher(TOKENS, LLMatcher.grammar_from_lark(grammar.lark))
    validate(grammar, matcher)
    ids = TOKENIZER.encode(answer, add_special_tokens=False)
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


def one(shape: dict) -> dict:
    return {"type": "object", "properties": {"a": shape}}


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        ({"type": "string", "maxLength": 3}, ['""', '"abc"', '"红色a"'], ['"abcd"', "null", "1"]),
        ({"type": "string", "minLength": 2}, ['"ab"', r'"\"\\"'], ['"a"', '"a\nb"']),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, ['"AB"'], ['"ABC"', '"ab"']),
        ({"type": "string", "pattern": "[0-9]"}, ['"a1b"'], ['"ab"']),
        ({"type": ["string", "null"], "maxLength": 2}, ['"ab"', "null"], ['"abc"']),
        ({"enum": ["Red Beet", "Red", None, 3]}, ['"Red Beet"', '"Red"', "null", "3"], ['"Be"']),
        ({"const": 'say "hi" \\'}, [r'"say \"hi\" \\"'], ['"say hi"']),
        ({"type": "integer"}, ["0", "-12"], ["01", "1.5", "1" * 17, '"1"']),
        ({"type": "integer", "minimum": 2, "maximum": 11}, ["2", "11"], ["1", "12", "-2"]),
        ({"type": "integer", "exclusiveMinimum": 0}, ["5"], ["-5"]),
        ({"type": "number"}, ["0.5", "-3"], [".5", "1e5", "0.1234567"]),
        ({"type": "boolean"}, ["true", "false"], ["True", "null"]),
        ({"type": "null"}, ["null"], ["true"]),
        (
            {"type": "array", "items": {"type": "string", "maxLength": 2}, "maxItems": 2},
            ["[]", '["a"]', '["a","bc"]'],
            ['["a","b","c"]', '["abc"]', "[,]", '["a",]'],
        ),
        (
            {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 3},
            ['["a","b"]', '["a","a","b"]'],
            ["[]", '["a"]', '["a","c"]'],
        ),
        (
            {"type": "object", "properties": {"b": {"type": "boolean"}, "c": {"const": 1}}},
            ['{"b":true,"c":1}'],
            ['{"b":true}', '{"c":1,"b":true}', '{"b":true,"c":1,"d":2}', "{}"],
        ),
        ({"oneOf": [{"type": "boolean"}, {"const": "n/a"}]}, ["true", '"n/a"'], ["null"]),
    ],
)
def test_values_are_held_to_their_schema(shape: dict, good: list[str], bad: list[str]):
    assert [v for v in good if not accepts(one(shape), f'{{"a":{v}}}')] == []
    assert [v for v in bad if accepts(one(shape), f'{{"a":{v}}}')] == []


def test_keys_come_in_schema_order_without_spaces():
    schema = {"type": "object", "properties": {"b": {"const": 1}, "名": {"const": 2}}}
    assert accepts(schema, '{"b":1,"名":2}')
    assert not accepts(schema, '{"名":2,"b":1}')
    assert not accepts(schema, '{"b": 1,"名":2}')


SPAN = one({"type": "string", "x-span": True})
LINES = "name: Golden Delicious, 500 g\n红色纯棉 T-shirt"


@pytest.mark.parametrize(
    "span", ["Golden", "Golden Delicious", "500 g", "g", "红色", "棉 T", "T-shirt"]
)
def test_a_span_may_be_any_run_of_whole_words_of_a_clause(span: str):
    assert accepts(SPAN, f'{{"a":"{span}"}}', LINES)


@pytest.mark.parametrize(
    "span",
    [
        "Gold",
        "olden",
        "Delicious Golden",
        "g红",
        "g 红色",
        "",
        " ",
        " Golden",
        "50",
        "null",
        "name",
        "name: Golden",
    ],
)
def test_a_span_may_not_be_anything_else(span: str):
    assert not accepts(SPAN, f'{{"a":"{span}"}}', LINES)


def test_a_span_is_no_longer_than_its_bound():
    schema = one({"type": "string", "x-span": True, "maxLength": 6})
    assert accepts(schema, '{"a":"Golden"}', LINES)
    assert not accepts(schema, '{"a":"Golden Delicious"}', LINES)
    assert accepts(one({"type": "string", "x-span": True, "maxLength": 1}), '{"a":"g"}', LINES)


def test_a_span_beside_null_abstains_where_the_text_is_empty():
    schema = one({"anyOf": [{"type": "string"}, {"type": "null"}], "x-span": True})
    assert accepts(schema, '{"a":null}', " \n ")
    assert not accepts(schema, '{"a":""}', " \n ")


def test_a_span_of_nothing_is_refused():
    with pytest.raises(InvalidSchema, match="text without words"):
        compile_schema(SPAN, "")


@given(text=st.text(max_size=80))
def test_words_join_to_their_line_again(text: str):
    line = text.replace("\n", " ")
    assert "".join(words_of(line)) == line


@settings(max_examples=40)
@given(data=st.data(), text=st.text("ab 红色,.5é", min_size=1, max_size=30))
def test_every_run_of_words_is_accepted_as_a_span(data: st.DataObject, text: str):
    words = words_of(text)
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    span = "".join(words[start:end])
    if span == span.strip():
        assert accepts(SPAN, f'{{"a":"{span}"}}', text)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Maker(BaseModel):
    name: str = Field(max_length=20)


class Product(BaseModel):
    """All that pydantic writes for ordinary fields."""

    colour: Colour | None = None
    title: str = Field(max_length=20, description="A title.")
    maker: Maker
    sizes: list[int] = Field(default_factory=list, max_length=3)
    brand: str | None = Field(default=None, json_schema_extra={"x-span": True})


def test_what_pydantic_writes_is_understood():
    schema = Product.model_json_schema()
    answer = {
        "colour": "red",
        "title": "Shirt",
        "maker": {"name": "Zorvik"},
        "sizes": [1, 20],
        "brand": "Zorvik",
    }
    text = json.dumps(answer, separators=(",", ":"))
    assert accepts(schema, text, "by Zorvik")
    assert not accepts(schema, text, "by somebody")
    Product.model_validate_json(text)


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        (one({"type": "number", "multipleOf": 2}), "multipleOf"),
        (one({"type": "array", "items": {"type": "null"}, "uniqueItems": True}), "uniqueItems"),
        (one({"type": "string", "format": "date"}), "format"),
        (one({"type": "date"}), "date"),
        (one({}), "type"),
        (one({"enum": []}), "enum"),
        (one({"type": "array"}), "items"),
        (one({"type": "object"}), "properties"),
        (one({"$ref": "#/$defs/None"}), "None"),
        (one({"type": "string", "minLength": 9, "maxLength": 3}), "minLength"),
        (one({"type": "string", "pattern": "(?=a)b"}), "pattern"),
        (one({"type": "integer", "minimum": 5, "maximum": 3}), "minimum"),
        ({"type": "string"}, "object"),
        (one({"const": "\ud800"}), "half of a character"),
    ],
)
def test_what_cannot_be_held_is_named(schema: dict, word: str):
    with pytest.raises(InvalidSchema, match=word):
        accepts(schema, "{}")


def test_a_schema_that_refers_to_itself_is_refused():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    with pytest.raises(InvalidSchema, match="itself"):
        compile_schema({"$ref": "#/$defs/Node", "$defs": {"Node": node}})


def test_a_number_outside_its_bounds_is_an_invalid_answer():
    grammar = compile_schema(one({"type": "number", "minimum": 0.5, "maximum": 1}))
    grammar.check({"a": 0.5})
    with pytest.raises(AnswerInvalid, match=r"0\.25"):
        grammar.check({"a": 0.25})


def test_confidence_is_a_product_for_choices_and_a_mean_for_free_strings():
    schema = {
        "type": "object",
        "properties": {
            "c": {"enum": ["ab", None]},
            "s": {"type": "string"},
            "n": {"type": ["string", "null"]},
        },
    }
    text = '{"c":"ab","s":"xyz","n":null}'
    pieces = ['{"c":"', "a", 'b"', ',"s":', '"x', 'yz"', ',"n":', "nu", "ll", "}"]
    assert "".join(pieces) == text
    scores = [1.0, 0.5, 0.5, 1.0, 0.25, 1.0, 1.0, 0.5, 0.5, 1.0]
    found = confidences(text, read_schema(schema), [len(p) for p in pieces], scores)
    assert found == pytest.approx({"c": 0.25, "s": 0.5, "n": 0.25})


def test_confidence_counts_bytes_not_characters():
    schema = {"type": "object", "properties": {"名": {"enum": ["红"]}, "b": {"type": "boolean"}}}
    pieces = ['{"名":', '"', "红", '"', ',"b":', "true", "}"]
    lengths = [len(p.encode()) for p in pieces]
    scores = [1.0, 1.0, 0.5, 1.0, 1.0, 0.25, 1.0]
    found = confidences("".join(pieces), read_schema(schema), lengths, scores)
    assert found == pytest.approx({"名": 0.5, "b": 0.25})
