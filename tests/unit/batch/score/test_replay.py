"""Another policy over recorded calls: what would have been answered, and paid, and the gate."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from orchestra.batch.score.replay import Replay, replay
from orchestra.core.errors import InvalidRecipe, InvalidTable
from orchestra.core.job import CallRecord, Field, Result
from orchestra.quality.policy import Policy, parse_policy


def call(node: str, value: str | None, sure: float | None, cost: str) -> CallRecord:
    return CallRecord(
        node=node,
        model=node,
        instruction="Say.",
        raw=json.dumps({"colour": value}),
        said={} if value is None else {"colour": value},
        confidence={} if sure is None else {"colour": sure},
        cost_usd=Decimal(cost),
    )


def row(read: tuple[str | None, float | None], look: tuple[str | None, float | None]) -> Result:
    """The text model is cheap, the vision model dear; the photo's reading was taken."""
    calls = (call("read", *read, "0.001"), call("look", *look, "0.010"))
    field = Field(value=look[0], source="none" if look[0] is None else "photo")
    return Result(
        status="complete", fields={"colour": field}, calls=calls, cost_usd=Decimal("0.011")
    )


ROWS = [
    ("1", row(("red", 0.9), ("red", 0.8))),
    ("2", row(("blue", 0.3), ("green", 0.9))),
    ("3", row((None, None), ("white", None))),
]
TRUTHS = {"1": {"colour": "Red"}, "2": {"colour": "green"}, "3": {"colour": "black"}}


def policy(order: list[str], least: float = 0.0, **gate: Any) -> Policy:
    raw = {"fields": {"colour": {"order": order, "min_confidence": least}}, "gate": gate}
    return parse_policy(raw, origin="new.yaml")


def replayed(*asked: Any, **gate: Any) -> Replay:
    return replay(ROWS, policy(*asked, **gate), TRUTHS)


def test_a_cascade_pays_only_for_the_nodes_it_reaches() -> None:
    found = replayed(["read", "look"], 0.5)
    # row 1 stops at read; rows 2 and 3 go on to look; row 3's look says no confidence
    assert found.cost_usd == pytest.approx(0.001 + 0.011 + 0.011)
    assert found.recorded_cost_usd == pytest.approx(0.033)
    colour = found.fields[0]
    assert (colour.coverage, colour.accuracy) == (pytest.approx(2 / 3), 1.0)
    assert colour.recorded_accuracy == pytest.approx(2 / 3)
    assert colour.changed == 1


def test_a_choice_in_another_form_is_what_the_batch_read() -> None:
    made = call("read", "REDS", 0.9, "0.001").model_copy(update={"said": {"colour": "red"}})
    # Two models agreed, and the other's reading stands.
    field = Field(value="red", source="both", model="look", prompt_hash="q")
    result = Result(status="complete", fields={"colour": field}, calls=(made,))
    colour = replay([("1", result)], policy(["read"]), TRUTHS).fields[0]
    assert (colour.changed, colour.accuracy) == (0, 1.0)


def test_what_the_batch_read_without_evidence_is_no_answer() -> None:
    made = call("read", "red", 0.9, "0.001").model_copy(update={"said": {}})
    field = Field(note="the text does not say it", model="read", prompt_hash="p")
    result = Result(status="complete", fields={"colour": field}, calls=(made,))
    colour = replay([("1", result)], policy(["read"]), TRUTHS).fields[0]
    assert (colour.coverage, colour.changed, colour.accuracy) == (0.0, 0, None)


def test_what_people_decided_is_what_is_recorded() -> None:
    rows = [(row_id, result) for row_id, result in ROWS[:2]]
    fixed = rows[1][1].model_copy(
        update={"fields": {"colour": Field(value="blue", source="person")}}
    )
    found = replay(rows, policy(["look"]), {"2": {"colour": "blue"}}, [rows[0], ("2", fixed)])
    colour = found.fields[0]
    assert (colour.accuracy, colour.recorded_accuracy, colour.changed) == (0.0, 1.0, 1)


def test_without_a_threshold_every_first_answer_stands() -> None:
    colour = replayed(["read", "look"]).fields[0]
    assert (colour.coverage, colour.changed) == (1.0, 1)
    assert colour.accuracy == pytest.approx(1 / 3)


def test_a_gate_names_each_bound_that_is_missed() -> None:
    found = replayed(
        ["read"], 0.5, min_accuracy=0.9, min_coverage=0.5, max_cost_usd_per_row="0.0001"
    )
    assert [miss.split(" is ")[0] for miss in found.missed] == [
        "colour: coverage 0.333",
        "cost $0.001000 a row",
    ]
    assert found.public()["passed"] is False
    assert replayed(["look"], min_accuracy=0.6).missed == ()


def test_true_values_are_needed_only_for_a_gate_of_accuracy() -> None:
    assert replay(ROWS, policy(["look"])).fields[0].accuracy is None
    with pytest.raises(InvalidTable, match="--truth"):
        replay(ROWS, policy(["look"], min_accuracy=0.5))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"fields": {}}, "fields"),
        ({"fields": {"colour": {"order": []}}}, "order"),
        ({"fields": {"colour": {"order": ["look"], "min_confidence": 2}}}, "min_confidence"),
        ({"fields": {"colour": {"order": ["look"]}}, "gates": {}}, "gates"),
        (None, "the file"),
    ],
)
def test_a_policy_that_does_not_validate_names_the_place(raw: Any, said: str) -> None:
    with pytest.raises(InvalidRecipe, match=said):
        parse_policy(raw, origin="new.yaml")


def test_a_node_that_was_never_called_cannot_be_replayed() -> None:
    with pytest.raises(InvalidRecipe, match=r"'hear'.*'look', 'read'"):
        replay(ROWS, policy(["hear"]))


def test_a_batch_without_rows_is_refused() -> None:
    with pytest.raises(InvalidTable, match="no finished row"):
        replay([], policy(["look"]))
