"""A product's photos one after the other: the main one first, others for what it leaves open."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from orchestra import Budget, Context, Job, JobState, ask, cascade, each_photo, in_turn
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.errors import AnswerInvalid, InvalidGraph, OrchestraError
from tests.photo_files import encoded, noisy
from tests.scripted import scripted_fleet

COLOURS = ("red", "green", "blue")
Shown = Mapping[str, tuple[Any, float]]  # what a photo shows, and how surely


class Facts(BaseModel):
    kind: str | None
    colour: str | None


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Three photos, each of one colour."""
    paths = [tmp_path / f"{colour}.png" for colour in COLOURS]
    for path in paths:
        Image.new("RGB", (40, 40), path.stem).save(path)
    return [str(path) for path in paths]


def colour_of(call: Call) -> str:
    """Which of the photos a call looks at."""
    (photo,) = call.images
    red, green, blue = photo.getpixel((20, 20))  # type: ignore[misc]
    return COLOURS[max(range(3), key=(red, green, blue).__getitem__)]


def looking(**shown: Shown | OrchestraError) -> Callable[[Call], Reply | OrchestraError]:
    """A model that says of each photo what `shown` has under its colour, of what it is asked."""

    def answer(call: Call) -> Reply | OrchestraError:
        told = shown.get(colour_of(call), {})
        if isinstance(told, OrchestraError):
            return told
        wanted = (call.schema or {})["properties"]
        values = {name: told[name][0] if name in told else None for name in wanted}
        sure = {name: told[name][1] for name in wanted if name in told}
        return Reply(json.dumps(values), values, sure, Usage(50, 10, 1))

    return answer


def graph(most: int = 3, least: float = 0.5) -> StateGraph[JobState, Context]:
    made = StateGraph(JobState, context_schema=Context)
    look = ask("vision", "What is shown?", schema=Facts)
    made.add_node("look", in_turn(look, most=most, least=least))
    made.add_edge(START, "look")
    made.add_edge("look", END)
    return made


async def test_a_main_photo_that_shows_all_is_the_only_one_looked_at(photos: list[str]) -> None:
    fleet, engines = scripted_fleet(vision=looking(red={"kind": ("cup", 1), "colour": ("red", 1)}))
    async with fleet:
        result = await fleet.run(graph, Job(images=photos))
    assert [colour_of(call) for call in engines["vl"].calls] == ["red"]
    assert (result.status, result.fields["kind"].value) == ("complete", "cup")
    assert result.plan["nodes"][0]["visits"] == 3
    assert result.plan["nodes"][0]["photos"] == 1
    assert 0 < result.cost_usd < Decimal(str(result.plan["total"]["cost_usd"]))
    assert result.notes == ()


async def test_the_next_photo_is_asked_for_what_is_open_alone(photos: list[str]) -> None:
    vision = looking(red={"kind": ("cup", 0.9)}, blue={"kind": ("jug", 1), "colour": ("blue", 0.9)})
    fleet, engines = scripted_fleet(vision=vision)
    async with fleet:
        result = await fleet.run(graph, Job(images=photos, roles=["main", "detail", "additional"]))
    calls = engines["vl"].calls
    # A detail is looked at after other photos of the product.
    assert [(colour_of(call), sorted((call.schema or {})["properties"])) for call in calls] == [
        ("red", ["colour", "kind"]),
        ("blue", ["colour"]),
    ]
    kind, colour = result.fields["kind"], result.fields["colour"]
    assert (kind.value, kind.evidence[0].image) == ("cup", result.images[0])
    assert (colour.value, colour.evidence[0].image) == ("blue", result.images[2])
    assert colour.note == "photo 3 of 3 (additional) shows it"
    assert result.cost_usd <= Decimal(str(result.plan["total"]["cost_usd"]))


async def test_a_sure_answer_of_a_later_photo_stands_before_an_unsure_one(
    photos: list[str],
) -> None:
    vision = looking(
        red={"kind": ("cup", 1), "colour": ("red", 0.3)},
        green={"colour": ("green", 0.4)},
        blue={"colour": ("blue", 0.8)},
    )
    fleet, _ = scripted_fleet(vision=vision)
    async with fleet:
        result = await fleet.run(graph, Job(images=photos))
    colour = result.fields["colour"]
    assert (colour.value, colour.note) == ("blue", "photo 3 of 3 shows it")
    assert {other.value for other in colour.alternatives} == {"red", "green"}


async def test_answers_that_are_all_unsure_stand_in_the_order_of_the_photos(
    photos: list[str],
) -> None:
    vision = looking(**{name: {"kind": ("cup", 1), "colour": (name, 0.3)} for name in COLOURS})
    fleet, _ = scripted_fleet(vision=vision)
    async with fleet:
        colour = (await fleet.run(graph, Job(images=photos))).fields["colour"]
    assert (colour.value, [other.value for other in colour.alternatives]) == (
        "red",
        ["green", "blue"],
    )


async def test_photos_of_variants_and_swatches_are_not_looked_at(photos: list[str]) -> None:
    vision = looking(**{name: {"kind": ("cup", 1)} for name in COLOURS})
    fleet, engines = scripted_fleet(vision=vision)
    async with fleet:
        await fleet.run(graph, Job(images=photos, roles=["swatch", "main", "variant"]))
    assert [colour_of(call) for call in engines["vl"].calls] == ["green"]


async def test_photos_beyond_the_bound_are_told_where_something_is_open(
    photos: list[str],
) -> None:
    fleet, engines = scripted_fleet(vision=looking(red={"kind": ("cup", 1)}))
    async with fleet:
        result = await fleet.run(lambda: graph(most=2), Job(images=photos))
    assert len(engines["vl"].calls) == 2
    assert result.notes == (
        "colour: 1 of 3 photos were not looked at, as the plan holds 2 a product",
    )


async def test_a_budget_for_one_photo_looks_at_the_main_one(photos: list[str]) -> None:
    fleet, engines = scripted_fleet(vision=looking(red={"kind": ("cup", 1)}))
    async with fleet:
        one = fleet.plan(graph, Job(images=photos[:1]))
        budget = Budget(tokens=one.tokens)
        planned = fleet.plan(graph, Job(images=photos, budget=budget))
        result = await fleet.run(graph, Job(images=photos, budget=budget))
    assert planned.nodes[0].visits == 1
    assert len(engines["vl"].calls) == 1
    assert "2 of 3 photos were not looked at" in result.notes[0]


async def test_a_later_photo_that_fails_costs_nothing_of_the_first(photos: list[str]) -> None:
    vision = looking(red={"kind": ("cup", 1)}, green=AnswerInvalid("Nonsense."), blue={})
    fleet, engines = scripted_fleet(vision=vision)
    async with fleet:
        result = await fleet.run(graph, Job(images=photos))
    assert (result.status, result.fields["kind"].value) == ("complete", "cup")
    assert result.errors == ()
    assert "photo 2 of 3 was looked at in vain (AnswerInvalid: Nonsense.)" in result.notes
    assert len(engines["vl"].calls) == 3


async def test_a_missing_photo_never_costs_the_others(photos: list[str]) -> None:
    fleet, engines = scripted_fleet(vision=looking(green={"kind": ("cup", 1)}))
    job = Job(images=["gone.jpg", *photos[1:]], roles=["main", "additional", "swatch"])
    async with fleet:
        result = await fleet.run(graph, job)
    assert result.status == "partial"
    assert [error.type for error in result.errors] == ["ImageNotFound"]
    assert (len(result.images), result.roles) == (2, ("additional", "swatch"))
    assert result.fields["kind"].value == "cup"
    assert [colour_of(call) for call in engines["vl"].calls] == ["green"]


async def test_what_was_mended_in_a_photo_stands_on_the_result(
    tmp_path: Path, photos: list[str]
) -> None:
    (tmp_path / "cut.jpg").write_bytes(encoded(noisy(), "JPEG")[:-2])
    fleet, _ = scripted_fleet(vision=looking(red={"kind": ("cup", 1), "colour": ("red", 1)}))
    async with fleet:
        job = Job(images=[photos[0], str(tmp_path / "cut.jpg")])
        result = await fleet.run(graph, job)
    (note,) = result.notes
    assert note.startswith("photo 2 of 2 '") and "cut.jpg" in note
    assert note.endswith("it lacks its end marker; all its pixels are there")


async def test_a_cascade_goes_through_the_photos_for_what_the_text_leaves_open(
    photos: list[str],
) -> None:
    def build() -> StateGraph[JobState, Context]:
        made = StateGraph(JobState, context_schema=Context)
        look = in_turn(ask("vision", "What is shown?", schema=Facts), most=2)
        made.add_node("read", ask("text", "What does it say?", schema=Facts))
        made.add_node("look", cascade(look, after="read"))
        made.add_edge(START, "read")
        made.add_edge("read", "look")
        made.add_edge("look", END)
        return made

    fleet, engines = scripted_fleet(
        lambda call: {"kind": "cup", "colour": None},
        looking(green={"kind": ("jug", 1), "colour": ("green", 1)}),
    )
    async with fleet:
        result = await fleet.run(build, Job(text="A cup.", images=photos))
    assert [list((call.schema or {})["properties"]) for call in engines["vl"].calls] == [
        ["colour"],
        ["colour"],
    ]
    assert (result.fields["kind"].value, result.fields["colour"].value) == ("cup", "green")


async def test_in_a_fan_out_each_branch_has_one_photo(photos: list[str]) -> None:
    def build() -> StateGraph[JobState, Context]:
        made = StateGraph(JobState, context_schema=Context)
        made.add_node("look", in_turn(ask("vision", "What is shown?", schema=Facts)))
        made.add_conditional_edges(START, each_photo("look"))
        made.add_edge("look", END)
        return made

    fleet, engines = scripted_fleet(vision=looking(red={"kind": ("cup", 1)}))
    async with fleet:
        result = await fleet.run(build, Job(images=photos))
    assert len(engines["vl"].calls) == 3
    assert result.plan["nodes"][0]["visits"] == 3


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: in_turn(ask("vision", "What is this?")), "without a schema"),
        (lambda: in_turn(ask("text", "What is this?", schema=Facts)), "reads no photo"),
        (lambda: in_turn(ask("vision", "Look.", schema=Facts), most=0), "most=0"),
        (lambda: in_turn(ask("vision", "Look.", schema=Facts), least=1.5), "least=1.5"),
    ],
)
def test_what_cannot_be_gone_through_is_refused(made: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidGraph, match=said):
        made()
