"""A label that a classifier gives a whole text is kept; what others read must stand in it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Context, Fleet, Job, JobState, ask
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.card import parse_fleet
from orchestra.core.identity import fingerprints
from orchestra.core.job import Field, Result
from orchestra.core.labels import choices_of
from orchestra.testing import ScriptedEngine
from tests.unit.core.test_card import CARD


class Tone(StrEnum):
    glad = "glad"
    angry = "angry"


class Mail(BaseModel):
    tone: Tone
    urgency: Literal["high", "low"] | None
    topics: list[Literal["price", "delivery"]]
    spam: bool | None
    product: str | None


TEXT = "My shirt came torn. Where is my money?"


def build(schema: Any, **options: Any) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("sort", ask("text", "Sort the mail.", schema=schema, **options))
    graph.add_edge(START, "sort")
    graph.add_edge("sort", END)
    return graph


async def sorted_by(
    answer: dict[str, Any], schema: Any = Mail, *, classifies: bool, **options: Any
) -> tuple[Result, ScriptedEngine]:
    card = CARD | {"classifies": classifies, "limits": {"context_tokens": 2048}}
    file = parse_fleet({"name": "own", "models": [card]}, origin="own.yaml")
    engine = ScriptedEngine(lambda call: answer)
    async with Fleet(file, Path(), clients={"a": InProcessClient("a", lambda: engine)}) as fleet:
        return await fleet.run(build(schema, **options), Job(text=TEXT)), engine


LABELS = {"tone": "Angry", "urgency": "high", "topics": ["price"], "spam": False}


async def test_labels_of_a_classifier_are_kept_with_the_whole_text_as_evidence() -> None:
    result, _ = await sorted_by(LABELS | {"product": "shirt"}, classifies=True)
    kept = {name: field.value for name, field in result.fields.items()}
    assert kept == {
        "tone": "angry",
        "urgency": "high",
        "topics": ["price"],
        "spam": False,
        "product": "shirt",
    }
    assert result.calls[0].said == kept  # the call's record has them as they were read
    whole, read = result.fields["tone"], result.fields["product"]
    assert (whole.source, whole.confidence) == ("text", 1.0)
    assert [(e.kind, e.text, e.start) for e in whole.evidence] == [("text", None, None)]
    assert (read.evidence[0].text, read.evidence[0].start) == ("shirt", 3)


async def test_a_free_string_of_a_classifier_must_stand_in_the_text_all_the_same() -> None:
    result, _ = await sorted_by(LABELS | {"product": "hat"}, classifies=True)
    assert not result.fields["product"].answered


async def test_a_model_that_reads_off_abstains_where_its_choice_is_not_in_the_text() -> None:
    result, _ = await sorted_by(LABELS | {"product": "shirt"}, classifies=False)
    answered = [name for name, field in result.fields.items() if field.answered]
    assert answered == ["product"]
    assert result.calls[0].said == {"product": "shirt"}
    assert "which the text does not" in (result.fields["tone"].note or "")


@pytest.mark.parametrize(
    ("change", "name", "note"),
    [
        ({"tone": "calm"}, "tone", "'calm', which is none of ['glad', 'angry']"),
        ({"urgency": None}, "urgency", "the model gave no label"),
        ({"topics": ["price", "weather"]}, "topics", "none of ['price', 'delivery']"),
        ({"topics": []}, "topics", "the model gave no label"),
        ({"spam": "no"}, "spam", "none of [True, False]"),
        ({"spam": 0}, "spam", "none of [True, False]"),
    ],
)
async def test_what_is_none_of_the_choices_is_no_label(
    change: dict[str, Any], name: str, note: str
) -> None:
    result, _ = await sorted_by(LABELS | {"product": None} | change, classifies=True)
    field: Field = result.fields[name]
    assert not field.answered and note in (field.note or "")


async def test_a_classifier_is_offered_every_value_of_a_choice_whatever_the_text_holds() -> None:
    schema = {"type": "object", "properties": {"tone": {"x-choice": {"angry": ["furious"]}}}}
    result, engine = await sorted_by({"tone": "angry"}, schema, classifies=True)
    shown = engine.calls[0].schema
    assert shown is not None and shown["properties"]["tone"] == {"enum": ["angry", None]}
    assert result.fields["tone"].value == "angry"
    _, engine = await sorted_by({"tone": None}, schema, classifies=False)
    shown = engine.calls[0].schema
    assert shown is not None and shown["properties"]["tone"] == {"enum": [None]}


async def test_an_answer_that_is_derived_is_so_of_a_classifier_too() -> None:
    result, _ = await sorted_by(LABELS | {"product": "hat"}, classifies=True, derived=True)
    assert {field.source for field in result.fields.values()} == {"derived"}


@pytest.mark.parametrize(
    ("shape", "choices"),
    [
        ({"enum": ["a", None]}, ("a",)),
        ({"const": 3}, (3,)),
        ({"anyOf": [{"enum": ["a"]}, {"type": "null"}]}, ("a",)),
        ({"anyOf": [{"enum": ["a"]}, {"type": "string"}]}, None),
        ({"$ref": "#/$defs/Tone"}, ("glad",)),
        ({"allOf": [{"$ref": "#/$defs/Tone"}]}, ("glad",)),
        ({"type": "array", "items": {"enum": ["a"]}}, ("a",)),
        ({"type": "array", "items": {"type": "string"}}, None),
        ({"type": ["boolean", "null"]}, (True, False)),
        ({"type": "string"}, None),
    ],
)
def test_what_a_schema_lets_choose_among_is_found(shape: dict[str, Any], choices: Any) -> None:

    schema = {"properties": {"x": shape}, "$defs": {"Tone": {"enum": ["glad"]}}}
    assert choices_of(json.dumps(schema), "x") == choices


def test_a_model_that_classifies_is_another_and_the_rest_are_whom_they_were() -> None:
    def of(**changes: Any) -> str:
        file = parse_fleet({"name": "own", "models": [CARD | changes]}, origin="own.yaml")
        return fingerprints(file, Path())["a"]

    assert of() == of(classifies=False) == of(example="Is it?") == "36c4682aa275d897"
    assert of(classifies=True) != of()
