"""A result's fields become the object that the user's type describes, or name what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, assert_type

import pytest
from pydantic import BaseModel, Field

from orchestra.core.errors import AnswerAbstained, AnswerInvalid, ModelError
from orchestra.core.job import Field as Answer
from orchestra.core.job import Result


class Maker(BaseModel):
    name: str
    country: str


class Facts(BaseModel):
    category: Literal["shirt", "shoe"]
    made: date | None
    maker: Maker | None = None
    colours: list[str] = Field(default_factory=list)
    size: str = "unknown"


def result(**values: object) -> Result:
    fields = {
        name: Answer(note="the text does not say")
        if value is None
        else Answer(value=value, source="text")
        for name, value in values.items()
    }
    return Result(status="complete", fields=fields)


def test_fields_become_the_users_own_object() -> None:
    found = result(
        category="shirt",
        made="2026-11-28",
        maker={"name": "Acme", "country": "Italy"},
        colours=["red"],
    ).answer_as(Facts)
    assert_type(found, Facts)
    assert (found.made, found.maker) == (date(2026, 11, 28), Maker(name="Acme", country="Italy"))


def test_what_abstained_is_none_or_the_default() -> None:
    found = result(category="shoe", made=None, size=None, colours=None).answer_as(Facts)
    assert (found.made, found.size, found.colours, found.maker) == (None, "unknown", [], None)


def test_a_required_field_that_abstained_is_named_with_its_reason() -> None:
    with pytest.raises(
        AnswerAbstained, match=r"'category' has no answer \(the text does not say\)"
    ) as e:
        result(category=None, made=None).answer_as(Facts)
    assert e.value.field == "category"
    assert isinstance(e.value, ModelError) and not e.value.may_have_spent


def test_a_leaf_that_abstained_is_named_by_its_place() -> None:
    maker = Answer(value={"name": "Acme", "country": None}, source="text", note="country: unsaid")
    fields = {"category": Answer(value="shirt", source="text"), "made": Answer(), "maker": maker}
    with pytest.raises(AnswerAbstained, match=r"'maker.country' has no answer \(country: unsaid\)"):
        Result(status="complete", fields=fields).answer_as(Facts)


def test_a_value_of_another_type_and_a_field_nobody_asked_for_are_named() -> None:
    with pytest.raises(AnswerInvalid, match=r"field 'category' is 'hat'"):
        result(category="hat", made=None).answer_as(Facts)
    with pytest.raises(AnswerInvalid, match=r"made: Field required \(its fields: 'category'\)"):
        result(category="shirt").answer_as(Facts)


def test_a_dataclass_is_read_too() -> None:
    @dataclass
    class Look:
        category: str

    assert result(category="shirt").answer_as(Look) == Look("shirt")


def test_without_fields_the_answers_own_json_is_read() -> None:
    said = Result(status="complete", answer='{"name": "Acme", "country": "Italy"}')
    assert said.answer_as(Maker).country == "Italy"
    with pytest.raises(AnswerInvalid, match=r"no fields, and its answer 'Apple'"):
        Result(status="complete", answer="Apple").answer_as(Maker)
