"""State, outcomes, the merge node, and finding the run a node belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.combine.merge import MergeRules
from orchestra.core.ask import CURRENT_RUN, After, Ask, Said, run_of
from orchestra.core.errors import InvalidGraph
from orchestra.core.job import CallRecord, Field, Job
from orchestra.core.place import Place
from orchestra.core.state import (
    OUTCOME_CHARS,
    Context,
    JobState,
    Outcome,
    fields_of,
    json_of,
    keep_all,
    outcome_json,
    outcomes_of,
)
from orchestra.graph.merge import merge

UPDATE = st.none() | st.dictionaries(st.sampled_from("abc"), st.integers())


@given(left=UPDATE, right=UPDATE)
def test_joining_an_update_twice_changes_nothing(left: Any, right: Any) -> None:
    once = keep_all(left, right)
    assert keep_all(once, right) == once
    assert set(once) == set(left or {}) | set(right or {})


@given(one=UPDATE, other=UPDATE)
def test_updates_of_different_nodes_may_come_in_any_order(one: Any, other: Any) -> None:
    apart = {f"other {key}": value for key, value in (other or {}).items()}
    assert keep_all(keep_all({}, one), apart) == keep_all(keep_all({}, apart), one)


def test_outcomes_and_fields_come_back_from_json_as_they_were() -> None:
    outcome = Outcome(fields={"colour": Field(value="red", source="photo", confidence=0.5)})
    state = json.loads(json.dumps({"outcomes": {"look": outcome.model_dump(mode="json")}}))
    assert outcomes_of(state) == {"look": outcome}
    assert fields_of(JobState(job={})) == {} and outcomes_of(JobState(job={})) == {}


def state_of(**outcomes: Outcome) -> JobState:
    dumped = {node: outcome.model_dump(mode="json") for node, outcome in outcomes.items()}
    return {"job": {}, "outcomes": dumped}


def saying(value: str, source: str) -> Outcome:
    return Outcome(fields={"colour": Field.model_validate({"value": value, "source": source})})


async def test_the_merge_node_joins_the_nodes_it_names_and_no_other() -> None:
    state = state_of(
        look=saying("red", "photo"), read=saying("blue", "text"), other=saying("green", "text")
    )
    fields = fields_of(JobState(**await merge("look", "read", prefer="text")(state)))
    assert fields["colour"].value == "blue"
    assert [entry.value for entry in fields["colour"].alternatives] == ["red"]


async def test_a_skipped_or_absent_node_adds_nothing() -> None:
    state = state_of(look=Outcome(skipped="the job has no image"), read=saying("blue", "text"))
    fields = fields_of(JobState(**await merge("look", "read", "never_ran")(state)))
    assert (fields["colour"].value, fields["colour"].source) == ("blue", "text")


def test_merge_without_nodes_is_refused_and_rules_say_more_than_prefer() -> None:
    with pytest.raises(InvalidGraph, match="joins no nodes"):
        merge()
    assert merge("a", rules=MergeRules(prefer="text")).rules.prefer == "text"


class Run:
    job = Job()

    async def ask(self, place: Place, ask: Ask, state: JobState) -> tuple[str, Outcome]:
        return place.node, Outcome()

    async def ask_again(self, place: Place, ask: Ask, after: After, state: JobState) -> Said:
        return Said({}, None)

    def fail(self, node: str, error: Exception) -> None:
        raise error

    def outcomes(self, state: JobState) -> dict[str, Outcome]:
        return {}

    async def settle(
        self, names: Sequence[str], nodes: Sequence[str], state: JobState
    ) -> dict[str, Outcome]:
        return {}


async def test_a_node_finds_the_run_under_way_whatever_its_context_is() -> None:
    run = Run()
    before = CURRENT_RUN.set(run)
    try:
        assert await run_of(Context()) is run
        assert await run_of({"fleet": "mini"}) is run
        assert await run_of(object()) is run
    finally:
        CURRENT_RUN.reset(before)


def test_what_was_written_is_read_back_without_being_validated_again() -> None:
    call = CallRecord(
        node="look", model="m", instruction="Look.", raw="{}", cost_usd=Decimal("0.000001")
    )
    outcome = Outcome(fields={"colour": Field(value="red", source="text")}, call=call)
    raw = outcome_json(outcome)
    assert outcomes_of({"outcomes": {"look": raw}})["look"] is outcome
    copied = json.loads(json.dumps(raw))
    assert outcomes_of({"outcomes": {"look": copied}})["look"] == outcome


@pytest.mark.parametrize("place", ["fields", "call", "notes"])
def test_an_outcome_that_was_changed_is_read_again(place: str) -> None:
    call = CallRecord(node="look", model="m", instruction="Look.", raw="{}")
    raw = outcome_json(Outcome(fields={"colour": Field(value="red", source="text")}, call=call))
    change = {"fields": ("colour", {"value": "blue"}), "call": ("model", "n"), "notes": None}[place]
    if change is None:
        raw["notes"] = ["changed"]
    else:
        raw[place][change[0]] = change[1]
    assert outcomes_of({"outcomes": {"look": raw}})["look"] == Outcome.model_validate(raw)


@pytest.mark.parametrize("value", [(1, 2), [Decimal(1)], {"made": (1,)}, datetime(2026, 1, 2)])
def test_a_value_that_json_changes_is_read_as_json_has_it(value: object) -> None:
    raw = json_of({"a": Field(value=value, source="derived")})
    assert fields_of({"fields": raw})["a"].value == raw["a"]["value"]
    assert type(fields_of({"fields": raw})["a"].value) is type(raw["a"]["value"])


def test_a_long_answer_is_not_held_beyond_its_run() -> None:
    call = CallRecord(node="look", model="m", instruction="Look.", raw="x" * (OUTCOME_CHARS + 1))
    raw = outcome_json(Outcome(answer="x", call=call))
    read = outcomes_of({"outcomes": {"look": raw}})["look"]
    assert read == outcomes_of({"outcomes": {"look": raw}})["look"]
    assert read is not outcomes_of({"outcomes": {"look": raw}})["look"]
