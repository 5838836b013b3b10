"""Our schemas as a public server is told them, and its answers held to the schemas as they were."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from orchestra.clients.endpoint_schema import confidences, public_schema, read_answer, tokens_of
from orchestra.core.errors import InvalidSchema
from orchestra.core.schema import narrow

TEXT = "A nice red apple from Italy. 500 g."


def one(shape: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"f": shape}}


def told(shape: dict[str, Any], **options: Any) -> Any:
    return public_schema(one(shape), **options)["properties"]["f"]


def read(shape: dict[str, Any], value: Any, data: str = TEXT) -> Any:
    return read_answer(one(shape), json.dumps({"f": value}), data)[0]["f"]


def private_words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [k for k in value if k.startswith("x-")] + [
            word for inner in value.values() for word in private_words(inner)
        ]
    return [word for inner in value for word in private_words(inner)] if type(value) is list else []


def test_no_private_keyword_of_a_narrowed_recipe_reaches_a_server() -> None:
    from graphs.listing import default_recipe

    recipe = default_recipe()
    for schema in (recipe.photo_schema(), recipe.text_schema(), recipe.write_schema()):
        for told_schema in (schema, narrow(json.dumps(schema), TEXT)):
            public = public_schema(told_schema)
            assert private_words(public) == []
            assert public["required"] == list(public["properties"])


def test_choices_become_enumerations_with_types() -> None:
    assert told({"x-choice": {"Apple": ["apple"]}}) == {
        "type": ["string", "null"],
        "enum": ["Apple", None],
    }
    assert told({"const": 3}) == {"type": "integer", "enum": [3]}


def test_spans_are_described_in_words() -> None:
    option = told({"anyOf": [{"type": "string", "x-span": True}, {"type": "null"}]})["anyOf"][0]
    assert option == {"type": "string", "description": "Copied word for word from the data."}


def test_bounds_go_along_unless_they_were_refused() -> None:
    shape = {"type": "string", "maxLength": 5, "pattern": "^a"}
    assert told(shape) == shape
    assert told(shape, without={"pattern"}) == {"type": "string", "maxLength": 5}
    assert "pattern" not in told(shape | {"x-grounded": True})


def test_references_of_pydantic_are_followed_and_loops_refused() -> None:
    class Part(BaseModel):
        kind: Literal["a", "b"]

    class Whole(BaseModel):
        parts: list[Part]
        best: Part | None

    schema = Whole.model_json_schema()
    public = public_schema(schema)
    assert "$ref" not in json.dumps(public)
    value = {"parts": [{"kind": "a"}], "best": None}
    assert read_answer(schema, json.dumps(value), "") == (value, {})
    raw = '{"parts":[{"kind":"c"},{"kind":"a"}],"best":{"kind":7}}'
    answer, abstained = read_answer(schema, raw, "")
    assert answer == {"parts": [{"kind": None}, {"kind": "a"}], "best": {"kind": None}}
    assert set(abstained) == {"parts[0].kind", "best.kind"}
    assert abstained["parts[0].kind"].startswith("the model said 'c', which is not one of")
    loop = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"f": {"$ref": "#/$defs/a"}}}
    with pytest.raises(InvalidSchema, match="refers to itself"):
        public_schema(loop)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ({"type": "string", "maxLength": 3}, "abc"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "abc"),
        ({"type": "string", "pattern": "^x$", "x-grounded": True}, "free words"),
        ({"type": "string", "x-span": True}, "red apple"),
        ({"type": "integer", "minimum": 0, "maximum": 3}, 3),
        ({"type": "number", "exclusiveMinimum": 0}, 0.5),
        ({"type": ["boolean", "null"]}, None),
        ({"type": "array", "maxItems": 2, "items": {"enum": ["a"]}}, ["a", "a"]),
        ({"enum": [1, True, "x"]}, True),
    ],
)
def test_a_value_within_its_schema_stands(shape: dict[str, Any], value: Any) -> None:
    assert read(shape, value) == value


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ({"type": "string", "maxLength": 2}, "abc"),
        ({"type": "string", "minLength": 4}, "abc"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "ABC"),
        ({"type": "string", "x-span": True}, 5),
        ({"type": "integer"}, 1.5),
        ({"type": "integer"}, True),
        ({"type": "integer", "minimum": 0}, -1),
        ({"type": "number", "exclusiveMaximum": 1}, 1),
        ({"type": "boolean"}, "true"),
        ({"type": "array", "maxItems": 1, "items": {"type": "null"}}, [None, None]),
        ({"enum": [1]}, True),
        ({"x-choice": {"Apple": ["apple"]}}, "pear"),
        ({"anyOf": [{"type": "string", "maxLength": 1}, {"type": "null"}]}, "ab"),
    ],
)
def test_a_value_outside_its_schema_abstains_and_is_named(
    shape: dict[str, Any], value: Any
) -> None:
    schema = one(shape)
    answer, abstained = read_answer(schema, json.dumps({"f": value}), TEXT)
    assert answer == {"f": None}
    assert abstained["f"].startswith(f"the model said {str(value)!r}")


def test_of_several_shapes_a_value_is_the_one_that_it_fits_best() -> None:
    def shape(**parts: str) -> dict[str, Any]:
        properties = {name: {"type": kind} for name, kind in parts.items()}
        return {"type": "object", "properties": properties}

    either = {"anyOf": [shape(a="string", b="string"), shape(a="integer"), {"type": "null"}]}
    assert read_answer(one(either), '{"f": {"a": 1}}', "") == ({"f": {"a": 1}}, {})
    assert read_answer(one(either), '{"f": null}', "") == ({"f": None}, {})
    value, abstained = read_answer(one(either), '{"f": {"a": "x", "b": 2}}', "")
    assert (value, list(abstained)) == ({"f": {"a": "x", "b": None}}, ["f.b"])


def test_the_answer_is_read_whatever_is_said_around_it() -> None:
    schema = one({"type": "string"})
    echo = json.dumps(public_schema(schema))
    for text in (
        '{"f":"x"}',
        f'{echo} {{"f":"x"}}',
        "{a} {b: {c}} " + '{"f":"x"}',
        'Sure!\n```json\n{"f": "x"}\n```',
        '{"f":"x"} Anything else?',
    ):
        assert read_answer(schema, text, "") == ({"f": "x"}, {})


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ({"type": "string", "x-span": True}, "green apple"),
        ({"type": "string", "x-span": True}, "appl"),
        (
            {"anyOf": [{"type": "string", "maxLength": 20}, {"type": "null"}], "x-span": True},
            "pear",
        ),
    ],
)
def test_a_span_that_is_not_in_the_data_abstains_and_the_others_stand(
    shape: dict[str, Any], value: Any
) -> None:
    schema = {"type": "object", "properties": {"f": shape, "kind": {"enum": ["fruit"]}}}
    text = json.dumps({"f": value, "kind": "fruit"})
    read_value, abstained = read_answer(schema, text, TEXT)
    assert read_value == {"f": None, "kind": "fruit"}
    said = value[-1] if isinstance(value, list) else value
    assert abstained == {"f": f"the model said {said!r}, which the text does not"}


def test_a_span_within_an_object_or_list_costs_that_part_alone() -> None:
    span = {"anyOf": [{"type": "string", "x-span": True}, {"type": "null"}]}
    maker = {"type": "object", "properties": {"name": span, "country": span}}
    schema = {
        "type": "object",
        "properties": {
            "maker": {"anyOf": [maker, {"type": "null"}]},
            "colours": {"type": "array", "items": {"type": "string", "x-span": True}},
        },
    }
    said = {"maker": {"name": "apple", "country": "Peru"}, "colours": ["red", "green"]}
    value, abstained = read_answer(schema, json.dumps(said), TEXT)
    assert value == {"maker": {"name": "apple", "country": None}, "colours": ["red", None]}
    assert list(abstained) == ["maker.country", "colours[1]"]


@pytest.mark.parametrize("said", ["APPLE", "apples", " Ａpple "])
def test_a_choice_is_taken_in_any_form_and_given_as_the_schema_writes_it(said: str) -> None:
    schema = {"type": "object", "properties": {"f": {"enum": ["Apple", "Pear", None]}}}
    value, _ = read_answer(schema, json.dumps({"f": said}), TEXT)
    assert value == {"f": "Apple"}


def test_each_leaf_has_the_confidence_of_its_own_tokens() -> None:
    maker = {"type": "object", "properties": {"name": {"type": "string"}, "kind": {"enum": ["ab"]}}}
    schema = {"type": "object", "properties": {"maker": maker}}
    spelt = ['{ "maker": {"name": "', "Ac", "me", '", "kind": "', "a", "b", '"} }']
    sure = [1.0, 0.9, 0.4, 1.0, 0.5, 0.5, 1.0]
    tokens = [(s.encode(), math.log(p)) for s, p in zip(spelt, sure, strict=True)]
    found = confidences(schema, tokens)
    assert found["maker.kind"] == pytest.approx(0.25)
    assert found["maker.name"] == pytest.approx((0.9 * 0.4) ** 0.25)
    assert set(found) == {"maker", "maker.name", "maker.kind"}


def tokens(*pieces: tuple[str, float]) -> Any:
    return tokens_of([{"token": piece, "logprob": value} for piece, value in pieces])


def test_confidence_reads_past_a_thought_and_a_fence() -> None:
    spoken = tokens(
        ('<think>{"f":', -9), ('"b"}</think>', -9), ('```json\n{"f": ', 0), ('"a"', -1), ("}", -5)
    )
    assert confidences(one({"enum": ["a"]}), spoken)["f"] == pytest.approx(0.3679, abs=1e-3)


@pytest.mark.parametrize("broken", [(), (("{", 0.0),), (('{"f": tru', 0.0),), (("no json", 0.0),)])
def test_without_an_object_nothing_is_known(broken: tuple[tuple[str, float], ...]) -> None:
    assert confidences(one({"enum": ["a"]}), tokens(*broken)) == {}


def test_characters_that_are_cut_between_tokens_are_put_together() -> None:
    raw = '{"f":"红"}'.encode()
    cut = [
        {"token": "?", "bytes": list(raw[at : at + 1]), "logprob": -0.1} for at in range(len(raw))
    ]
    found = confidences(one({"enum": ["红"]}), tokens_of(cut))
    assert found["f"] == pytest.approx(0.6065, abs=1e-3)  # five bytes: the quotes and the character
