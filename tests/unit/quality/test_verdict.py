"""What a policy promises of an answer, and what it sends to review."""

from __future__ import annotations

import pytest

from orchestra.batch.output.summary import Promise, promise_lines
from orchestra.combine.merge import MergeRules, merge_readings
from orchestra.core.job import Field, Job, Result
from orchestra.core.state import Outcome
from orchestra.graph.assembly import assemble
from orchestra.graph.escalation import with_probability
from orchestra.graph.intake import Intake
from orchestra.graph.progress import Progress
from orchestra.quality.policy import Accuracy, Calibration, Cascade, Escalation, Policy
from orchestra.quality.verdict import Verdict, verdict

RIGHT = Accuracy(share=0.8, low=0.7, high=0.9, rows=100)


def curve(model: str = "vl", least: float | None = 0.8) -> Calibration:
    """As often right as the model says."""
    return Calibration(
        node="look",
        model=model,
        field="colour",
        prompt="p",
        method="platt",
        right=RIGHT,
        covered=1.0,
        knots=((0.0, 0.0, 0.0, 1.0), (1.0, 1.0, 0.0, 1.0)),
        gain=(0.1, 0.2, 0.3),
        ece_before=0.2,
        ece_after=0.1,
        least=least,
    )


def policy(least: float | None = 0.8) -> Policy:
    return Policy(target_quality=0.85, calibration=(curve(least=least),))


def said(sure: float | None, model: str = "vl", prompt: str = "p") -> Field:
    return Field(value="red", source="photo", confidence=sure, model=model, prompt_hash=prompt)


def judged(chosen: Policy, field: Field, *, is_cascade: bool = False) -> Verdict | None:
    return verdict(chosen, "look", "colour", field, is_cascade=is_cascade)


def test_an_answer_from_the_threshold_on_is_promised_and_one_under_it_is_in_doubt() -> None:
    assert judged(policy(), said(0.8)) == Verdict(promised=0.85)
    doubt = Verdict(doubt="calibrated 0.62 < 0.80 promised 0.85")
    assert judged(policy(), said(0.62)) == doubt


@pytest.mark.parametrize(
    "field", [said(None), said(0.2, "r1"), said(0.2, prompt="q"), Field(confidence=0.2, model="vl")]
)
def test_of_an_answer_it_does_not_know_a_policy_says_nothing(field: Field) -> None:
    assert judged(policy(), field) is None


def test_without_a_proven_threshold_nothing_is_promised_or_doubted() -> None:
    assert judged(policy(least=None), said(0.1)) is None


def test_a_cascade_promises_both_models_together_and_doubts_a_first_left_without_a_second() -> None:
    rule = Escalation(ask="unsure", min_confidence=0.5, promised=0.9)
    pair = Cascade(node="look", models=("vl", "v3"), fields={"colour": rule}, escalated=0.2)
    curves = (curve(), curve("v3", least=None))
    chosen = Policy(target_quality=0.9, cascades=(pair,), calibration=curves)
    assert judged(chosen, said(0.6), is_cascade=True) == Verdict(promised=0.9)
    assert judged(chosen, said(0.1, "v3", "narrow"), is_cascade=True) == Verdict(promised=0.9)
    left = judged(chosen, said(0.4), is_cascade=True)
    assert left == Verdict(doubt="calibrated 0.40 < 0.50 promised 0.9")
    alone = judged(chosen, said(0.6))  # the plan had no room for the second
    assert alone is not None and alone.doubt is not None


def test_a_promised_answer_is_not_dropped_for_the_recipes_bound_and_an_unknown_one_is() -> None:
    rules = MergeRules(least_photo_confidence=0.95)
    known = with_probability(policy(), "look", Outcome(fields={"colour": said(0.9)}))
    assert merge_readings([known.fields], rules)["colour"].value == "red"
    assert not merge_readings([{"colour": said(0.9)}], rules)["colour"].answered


def test_a_doubt_is_lifted_where_the_other_side_is_promised_the_same_value() -> None:
    doubted = said(0.5).model_copy(update={"doubt": "calibrated 0.50 < 0.80 promised 0.85"})
    text = Field(value="red", source="text", confidence=0.9, promised=0.9)
    joined = merge_readings([{"colour": doubted}, {"colour": text}])["colour"]
    assert (joined.source, joined.promised, joined.doubt) == ("both", 0.9, None)


@pytest.mark.parametrize(("sure", "status"), [(0.9, "complete"), (0.5, "review")])
def test_a_row_in_doubt_goes_to_review_and_is_counted(sure: float, status: str) -> None:
    known = with_probability(policy(), "look", Outcome(fields={"colour": said(sure)}))
    state = {"outcomes": {"look": known.model_dump(mode="json")}}
    result = assemble(state, Intake(Job(text="x")), None, Progress())
    assert result.status == status
    kept = Promise()
    kept.add(result)
    found = kept.public()
    assert found is not None
    assert found["rows_let_through"] == (status == "complete")
    assert found["rows_in_doubt"] == (status == "review")
    lines = promise_lines(found, 1)
    assert lines[0].startswith("1 of 1" if status == "complete" else "0 of 1")
    assert ("at least 85%" in lines[1]) == (status == "complete")


def test_a_batch_without_a_policy_promises_nothing() -> None:
    kept = Promise()
    kept.add(Result(status="complete", fields={"colour": said(0.1)}))
    assert kept.public() is None
