"""What an ask may ask for: open capabilities, what it reads, and prompts that are filled in."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from orchestra import Context, Fleet, Job, JobState, ask
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.card import parse_fleet
from orchestra.core.errors import InvalidGraph, NoModel
from orchestra.core.placeholders import escaped, filled, unfilled
from orchestra.testing import ScriptedEngine
from tests.unit.core.test_card import CARD


class Leaf(BaseModel):
    disease: Literal["rust", "none"] | None


def graph_of(**asks: Any) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    for name, node in asks.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    return graph


def fleet_of(answer: Mapping[str, Any], **capabilities: int) -> tuple[Fleet, ScriptedEngine]:
    """A fleet with a model for each capability, which takes so many photos."""
    cards = [
        CARD
        | {"name": f"{word}-model", "capabilities": [word]}
        | {"limits": {"context_tokens": 512, "max_images": images}}
        for word, images in capabilities.items()
    ]
    engine = ScriptedEngine(lambda call: answer)
    clients = {str(card["name"]): InProcessClient("own", lambda: engine) for card in cards}
    file = parse_fleet({"name": "own", "models": cards}, origin="own.yaml")
    return Fleet(file, Path(), clients=dict(clients)), engine


def test_a_word_of_the_users_own_is_planned_on_the_card_that_offers_it() -> None:
    graph = graph_of(hear=ask("speech", "Sum up."), read=ask("text", "Sum up."))
    fleet, _ = fleet_of({}, text=0, speech=0)
    plan = fleet.plan(graph, Job(text="A short talk."))
    assert {n.node: n.model for n in plan.nodes} == {"hear": "speech-model", "read": "text-model"}
    assert plan.route == "text+speech"


@pytest.mark.parametrize(
    ("word", "said"), [("speach", r"Did you mean 'speech'\?"), ("smell", r"\). Add a card")]
)
def test_a_word_that_no_card_offers_is_no_model_and_a_misspelt_one_is_named(
    word: str, said: str
) -> None:
    fleet, _ = fleet_of({}, text=0, speech=0)
    with pytest.raises(NoModel, match=rf"No model takes '{word}' at node 'hear'.*{said}"):
        fleet.plan(graph_of(hear=ask(word, "Sum up.")), Job(text="A talk."))


async def test_a_word_of_the_users_own_reads_the_photo_where_its_ask_says_so() -> None:
    photo = Image.new("RGB", (32, 32), "green")
    asked = ask("plant-disease", "What ails it?", schema=Leaf, reads="image")
    fleet, engine = fleet_of({"disease": "rust"}, text=0, **{"plant-disease": 1})
    job = Job(images=(as_uri(photo),))
    result = await fleet.run(graph_of(look=asked), job)
    (call,) = engine.calls
    field = result.fields["disease"]
    assert (len(call.images), call.text) == (1, None)
    assert (field.value, field.source, field.evidence[0].kind) == ("rust", "photo", "image")
    assert result.plan["route"] == "plant-disease"
    blind = ask("text", "What ails it?", schema=Leaf, reads="image")
    with pytest.raises(NoModel, match="takes 0 images a call"):
        fleet.plan(graph_of(look=blind), job)


async def test_a_text_that_a_word_of_the_users_own_reads_is_evidence_as_any() -> None:
    class Party(BaseModel):
        party: str | None

    fleet, engine = fleet_of({"party": "Acme"}, legal=0)
    graph = graph_of(read=ask("legal", "Who signs?", schema=Party))
    result = await fleet.run(graph, Job(text="Acme signs."))
    assert (result.fields["party"].value, result.fields["party"].source) == ("Acme", "text")
    schema = engine.calls[0].schema
    assert schema is not None and "x-span" in str(schema)
    assert result.cost_usd >= Decimal(0)


@pytest.mark.parametrize("word", ["Text", "two words", "", "9lives", "a+b", None])
def test_what_is_no_lower_case_word_is_no_capability(word: Any) -> None:
    with pytest.raises(InvalidGraph, match="names no capability"):
        ask(word, "Say.")


@pytest.mark.parametrize("word", ["speech", "plant-disease", "ocr_zh", "语音"])
def test_any_lower_case_word_is_a_capability(word: str) -> None:
    assert ask(word, "Say.").capability == word


def test_reads_is_the_image_or_the_text_and_not_beside_data() -> None:
    assert ask("vision", "Look.").reads == "image"
    assert ask("speech", "Hear.").reads == "text"
    wrong: Any = "images"
    with pytest.raises(InvalidGraph, match=r"reads='images'.*Did you mean 'image'\?"):
        ask("speech", "Look.", reads=wrong)
    with pytest.raises(InvalidGraph, match="Leave one out"):
        ask("text", "Write.", reads="text", data=lambda state: "facts")


def test_regions_are_marked_by_any_model_that_reads_the_image() -> None:
    assert ask("plant-disease", "Look.", schema=Leaf, reads="image", regions=True).regions
    with pytest.raises(InvalidGraph, match="regions=True"):
        ask("plant-disease", "Look.", schema=Leaf, regions=True)


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("Say what is {colour}.", ["colour"]),
        ("颜色是{colour}吗", ["colour"]),
        ("Write {language} of {langage}.", ["langage"]),
        ("Write in {language}.", []),
        ('Answer {"a": {"b": 1}} or {}.', []),
        (r"Put it in \boxed{answer}, as x_{i} and \frac{a}{b}, ${HOME}.", []),
        ("The template {{colour}}.", []),
    ],
)
def test_a_word_left_in_braces_is_found_and_json_and_latex_are_not(
    prompt: str, names: list[str]
) -> None:
    assert unfilled(prompt) == names


@pytest.mark.parametrize("prompt", ["{{colour}} in {language}", "plain", '{"a": 1}'])
def test_a_prompt_is_filled_once_and_double_braces_are_sent_as_single_ones(prompt: str) -> None:
    assert filled(prompt, "zh") == prompt.replace("{{colour}}", "{colour}").replace(
        "{language}", "zh"
    )


@pytest.mark.parametrize("text", ["{colour}", "{language}", "{{x}}", "a {b} c {d}", "{ }"])
def test_an_escaped_text_is_sent_as_it_stands(text: str) -> None:
    assert unfilled(escaped(text)) == [] and filled(escaped(text), "zh") == text


def as_uri(photo: Image.Image) -> str:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
