"""Answers of branches as lists: each value once, with what it rests on."""

from __future__ import annotations

from typing import Any

from orchestra.combine.branches import Branch
from orchestra.combine.gather import gather_branches
from orchestra.core.job import Evidence, Field


def seen(value: Any, confidence: float | None = 0.9, photo: str = "a", **more: Any) -> Field:
    proof = Evidence(kind="image", image=photo, box=(0.0, 0.0, 1.0, 1.0))
    base: dict[str, Any] = {"source": "photo", "confidence": confidence, "evidence": (proof,)}
    return Field(value=value, **(base | more))


def gathered(*fields: Field) -> Field:
    branches = [Branch(f"look[{at}]", {"f": field}) for at, field in enumerate(fields)]
    return gather_branches(branches)["f"]


def test_values_stand_in_branch_order_once_with_the_evidence_of_all() -> None:
    found = gathered(seen("red", 0.9, "a"), seen("blue", 0.6, "b"), seen("Red", 0.8, "c"))
    assert (found.value, found.source, found.confidence) == (["red", "blue"], "photo", 0.6)
    assert [proof.image for proof in found.evidence] == ["a", "b", "c"]


def test_a_list_adds_its_items() -> None:
    assert gathered(seen(["red", "blue"]), seen(["blue", "green"])).value == [
        "red",
        "blue",
        "green",
    ]


def test_what_a_branch_left_open_is_noted() -> None:
    found = gathered(seen("red"), Field(note="the photo does not show it"))
    assert found.value == ["red"]
    assert found.note == "look[1]: the photo does not show it"


def test_a_field_that_all_left_open_abstains() -> None:
    found = gathered(Field(note="not shown"), Field())
    assert not found.answered
    assert found.note == "look[0]: not shown; look[1]: left open"


def test_a_branch_that_failed_is_noted_at_each_field() -> None:
    branches = [Branch("look[0]", {"f": seen("red")}), Branch("look[1]", silent="failed (Timeout)")]
    assert gather_branches(branches)["f"].note == "look[1]: failed (Timeout)"


def test_an_unknown_confidence_makes_that_of_the_whole_unknown() -> None:
    assert gathered(seen("red"), seen("blue", None)).confidence is None


def test_models_of_branches_are_all_named() -> None:
    found = gathered(seen("red", model="vl"), seen("blue", model="eye"), seen("red", model="vl"))
    assert found.model == "vl, eye"


def test_sides_of_two_kinds_come_from_both() -> None:
    assert gathered(seen("red"), seen("blue", source="text")).source == "both"
    assert gathered(seen("red"), seen("blue", source="derived")).source == "derived"


def test_a_doubt_of_any_branch_stays() -> None:
    assert gathered(seen("red"), seen("blue", doubt="too unsure")).doubt == "too unsure"


def test_a_long_fan_out_has_a_short_note() -> None:
    note = gathered(*[Field(note="open")] * 9).note or ""
    assert note.endswith("; and 3 more") and note.count(";") == 6
