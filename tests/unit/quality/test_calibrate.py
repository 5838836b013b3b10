"""Calibration on real numbers: what `vl` said of 296 photos it had not seen, and how sure it was.

`answers.csv` was recorded by a batch over the validation photos of the public grocery set; a photo
that stands in several rows has one number.
"""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestra.core.errors import InvalidLabels, InvalidPolicy, InvalidRecipe, UsageError
from orchestra.core.job import CallRecord, Field, Result
from orchestra.quality.calibrate import Fitted, calibrate
from orchestra.quality.curve import choose, fit
from orchestra.quality.held_out import Answers, calibration_error, judge
from orchestra.quality.policy import Policy, load_policy, parse_policy, save_policy
from orchestra.quality.promise import least_rows, lowest_proven, selective, tail
from orchestra.quality.readings import Truth, Truths
from orchestra.quality.report import picture, text_of_fit

FILE = Path(__file__).with_name("answers.csv")


def recorded() -> list[dict[str, str]]:
    return list(csv.DictReader(FILE.read_text("utf-8").splitlines()))


def answers(rows: list[dict[str, str]] | None = None) -> Answers:
    rows = recorded() if rows is None else rows
    true = [row["true"] for row in rows]
    return Answers(
        np.array([float(row["confidence"]) for row in rows]),
        np.array([float(row["said"] == row["true"]) for row in rows]),
        np.ones(len(rows)),
        np.array([int(row["photo"]) for row in rows]),
        np.array([true.count(row["said"]) / len(rows) for row in rows]),
    )


def shuffled(seed: int) -> list[dict[str, str]]:
    """The same answers with the true values of others."""
    rows = recorded()
    order = np.random.default_rng(seed).permutation(len(rows))
    return [row | {"true": rows[at]["true"]} for row, at in zip(rows, order, strict=True)]


# Curves


def test_real_confidences_tell_right_from_wrong_and_are_mended() -> None:
    found = judge(answers())
    assert found.refuses is None and found.method != "rate"
    assert found.gain[0] > 0
    assert found.ece_after < found.ece_before
    heights = [knot[1] for knot in found.knots]
    assert heights == sorted(heights)
    assert all(low <= p <= high for _, p, low, high in found.knots)


@pytest.mark.parametrize("seed", range(8))
def test_with_shuffled_labels_no_gain_is_claimed(seed: int) -> None:
    found = judge(answers(shuffled(seed)))
    assert found.refuses is not None
    assert "no gain beyond noise on 408 rows" in found.refuses
    assert found.method == "rate"
    assert len({knot[1] for knot in found.knots}) == 1


def test_a_confidence_that_only_follows_common_values_has_learnt_nothing() -> None:
    """Right by chance: the common value half of the time, the others rarely."""
    rng = np.random.default_rng(0)
    chance = np.where(rng.uniform(0, 1, 400) < 0.5, 0.5, 0.05)
    right = (rng.uniform(0, 1, 400) < chance).astype(float)
    sure = np.clip(chance + rng.normal(0, 0.02, 400), 0.01, 0.99)
    judged = Answers(sure, right, np.ones(400), np.arange(400), chance)
    refuses = judge(judged).refuses
    assert refuses is not None and "beside how common the value is" in refuses
    assert judge(replace(judged, chance=None)).refuses is None


def test_a_few_rows_of_real_labels_are_too_few_to_claim_anything() -> None:
    found = judge(answers(recorded()[:15]))
    assert found.refuses is not None and "too few: 15 judged answers" in found.refuses


def test_copies_of_a_few_photos_are_not_taken_for_evidence() -> None:
    few = recorded()[:10]
    found = judge(answers(few * 40))
    assert found.refuses is not None and "10 different contents" in found.refuses
    assert answers(few * 40).effective == pytest.approx(10)


def test_answers_that_are_all_right_leave_nothing_to_tell_apart() -> None:
    whole = answers()
    found = judge(replace(whole, right=np.ones(len(whole))))
    assert found.refuses is not None and "all 408 judged answers are right" in found.refuses
    assert found.knots[0][2] < 0.99  # 296 photos prove no certainty


def test_confidences_that_run_backwards_are_not_followed() -> None:
    whole = answers()
    back = fit("platt", 1 - whole.confidence, whole.right, whole.weight)
    asked = np.array([0.1, 0.9])
    assert back(asked)[0] == pytest.approx(back(asked)[1])
    steps = fit("isotonic", 1 - whole.confidence, whole.right, whole.weight)
    assert steps(asked)[0] <= steps(asked)[1]


def test_isotonic_is_only_tried_where_there_are_rows_for_it() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0, 1, 60)
    right = (sure > 0.5).astype(float)
    assert choose(sure, right, np.ones(60), np.arange(60)) == "platt"


def test_the_calibration_error_of_a_perfect_forecast_is_small() -> None:
    rng = np.random.default_rng(1)
    sure = rng.uniform(0, 1, 20_000)
    right = (rng.uniform(0, 1, 20_000) < sure).astype(float)
    judged = Answers(sure, right, np.ones(20_000), np.arange(20_000))
    assert calibration_error(sure, judged) < 0.01
    assert calibration_error(1 - sure, judged) > 0.3


# Promises


def test_the_binomial_tail_is_exact() -> None:
    assert tail(29, 29, 0.9) == pytest.approx(0.9**29)
    assert tail(0, 10, 0.9) == 1.0
    assert tail(2, 3, 0.5) == pytest.approx(0.5)
    assert least_rows(0.9, 0.05) == 29
    assert tail(5, 5, 1.0) == 1.0


def test_a_threshold_fitted_on_one_half_keeps_its_target_on_the_other() -> None:
    rows = recorded()
    photos = sorted({row["photo"] for row in rows})
    kept = 0
    for seed in range(20):
        mine = set(np.random.default_rng(seed).permutation(photos)[: len(photos) // 2])
        one = answers([row for row in rows if row["photo"] in mine])
        other = answers([row for row in rows if row["photo"] not in mine])
        found = selective(one, 0.9)
        if found is None:
            kept += 1
            continue
        held = other.part(other.confidence >= found.threshold)
        assert len(held) > 20
        kept += held.share >= 0.9 - 1.96 * math.sqrt(0.09 / held.effective)
    assert kept >= 19


def test_shuffled_labels_keep_no_promise() -> None:
    assert all(selective(answers(shuffled(seed)), 0.8) is None for seed in range(8))


def test_thresholds_that_break_their_promise_are_rarely_returned() -> None:
    """Answers are right as often as their confidence, so a threshold t keeps (1 + t) / 2."""
    broken = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sure = rng.uniform(0, 1, 150)
        right = (rng.uniform(0, 1, 150) < sure).astype(float)
        found = selective(Answers(sure, right, np.ones(150), np.arange(150)), 0.85)
        broken += found is not None and (1 + found.threshold) / 2 < 0.85
    assert broken <= 20  # at most 5% by the method; 10 are expected at most


def test_a_walk_ends_at_the_first_threshold_that_is_not_proven() -> None:
    proven = {5.0, 4.0, 2.0}
    assert lowest_proven([5.0, 4.0, 3.0, 2.0, 1.0], lambda t: t in proven) == 4.0
    assert lowest_proven([3.0, 1.0], lambda t: False) is None


# Policies


def result(row: dict[str, str], said: str, sure: float, model: str, cost: str) -> Result:
    field = Field(value=said, source="photo", confidence=sure, model=model, prompt_hash="p")
    call = CallRecord(
        node="look",
        model=model,
        instruction="Say.",
        data=row["photo"],
        confidence={"category": sure},
        prompt_hash="p",
        cost_usd=Decimal(cost),
    )
    return Result(status="complete", fields={"category": field}, calls=(call,))


def contradicted(one: Result) -> Result:
    field = one.fields["category"].model_copy(update={"contradiction": True})
    return one.model_copy(update={"fields": {"category": field}})


def fitted(rows: list[dict[str, str]], clashes: bool = False, **options: Any) -> Fitted:
    """A policy of `vl` on these rows, and of a dearer model that is right nearly always.

    With `clashes` the text contradicts each photo that `vl` misread, and every tenth other one.
    """
    rng = np.random.default_rng(7)
    small = {
        str(at): result(row, row["said"], float(row["confidence"]), "vl", "0.001")
        for at, row in enumerate(rows)
    }
    if clashes:
        for at, row in enumerate(rows):
            if row["said"] != row["true"] or at % 10 == 0:
                small[str(at)] = contradicted(small[str(at)])
    good = rng.uniform(0, 1, len(rows)) < 0.97
    big = {
        str(at): result(row, row["true"] if good[at] else "?", 0.9, "big", "0.010")
        for at, row in enumerate(rows)
    }
    truths = {str(at): Truth({"category": row["true"]}) for at, row in enumerate(rows)}
    models = {"vl": "aaaa", "big": "bbbb"}
    known = Truths(truths, ("id", "category"))
    return calibrate([small, big], known, fleet="two", models=models, **options)


def test_a_cascade_asks_the_better_model_only_where_the_cheap_one_is_unsure() -> None:
    found = fitted(recorded(), target=0.88)
    (cascade,) = found.policy.cascades
    assert cascade.models == ("vl", "big")
    rule = cascade.fields["category"]
    assert rule.ask == "unsure" and rule.promised == 0.88
    assert rule.right is not None and rule.right.share >= 0.88
    assert 0 < cascade.escalated < 0.6
    assert rule.is_due(rule.min_confidence - 0.01) and rule.is_due(None)
    assert not rule.is_due(rule.min_confidence)
    higher = fitted(recorded(), target=0.92).policy.cascades[0]
    assert higher.escalated > cascade.escalated


def test_a_spend_sets_how_often_the_better_model_is_asked() -> None:
    little, much = (fitted(recorded(), spend_usd=usd).policy for usd in (0.003, 0.009))
    assert 0 < little.cascades[0].escalated <= 0.2 < much.cascades[0].escalated <= 0.8
    assert little.cascades[0].fields["category"].promised is None
    assert fitted(recorded(), spend_usd=0.0005).policy.cascades == ()


def test_contradictions_are_settled_where_labels_show_that_the_second_model_helps() -> None:
    settled = fitted(recorded(), target=0.88, clashes=True).policy.cascades[0]
    assert settled.contradictions == ("category",) and settled.settles("category")
    assert not settled.settles("colour")
    without = fitted(recorded(), target=0.88).policy.cascades[0]
    assert without.contradictions == () and without.escalated < settled.escalated


def test_with_shuffled_labels_a_policy_promises_nothing_and_says_why() -> None:
    rows = shuffled(3)
    found = fitted(rows, target=0.9)
    assert ("look", "vl", "category") not in found.proven
    assert any("no gain beyond noise on 408 rows" in line for line in found.refused)
    curve = next(one for one in found.policy.calibration if one.model == "vl")
    assert curve.refuses is not None and curve.method == "rate"
    assert all(
        rule.ask != "unsure" for one in found.policy.cascades for rule in one.fields.values()
    )


def test_a_proven_threshold_stands_with_its_curve_and_nowhere_without_a_target() -> None:
    found = fitted(recorded(), target=0.88)
    least = {(one.node, one.model, one.field): one.least for one in found.policy.calibration}
    assert found.proven
    for place, value in least.items():
        proven = found.proven.get(place)
        assert value == (None if proven is None else pytest.approx(proven.threshold, abs=1e-6))
    assert all(one.least is None for one in fitted(recorded()).policy.calibration)


@pytest.mark.parametrize("least", [0.4, 0.7, 0.9])
def test_a_policy_knows_in_what_share_of_rows_a_model_is_less_sure_than_that(least: float) -> None:
    policy = fitted(recorded()).policy
    curve = next(one for one in policy.calibration if one.model == "vl")
    likely = [curve.probability(float(row["confidence"]))[1] for row in recorded()]
    alone = policy.model_copy(update={"calibration": (curve,)})
    share = sum(each < least for each in likely) / len(likely)
    assert 0 < share < 1
    assert alone.unsure("look", ("category",), least) == pytest.approx(share, abs=0.03)
    assert alone.unsure("look", ("category", "unknown"), least) is None


def test_a_policy_is_written_and_read_back_and_says_which_models_it_is_of(tmp_path: Path) -> None:
    policy = fitted(recorded(), target=0.88).policy
    for name in ("policy.yaml", "policy.json"):
        save_policy(policy, tmp_path / name)
        again = load_policy(tmp_path / name)
        assert again == policy and again.fingerprint == policy.fingerprint
    policy.check({"vl": "aaaa", "big": "bbbb", "other": "x"}, "two")
    with pytest.raises(InvalidPolicy, match="'three' has another model 'vl': its fingerprint is c"):
        policy.check({"vl": "cccc", "big": "bbbb"}, "three")
    with pytest.raises(InvalidPolicy, match="has no model 'big'"):
        policy.check({"vl": "aaaa"}, "three")


def test_a_policy_of_another_version_or_without_content_is_refused() -> None:
    with pytest.raises(InvalidPolicy, match="version 9"):
        parse_policy({"version": 9}, origin="p.yaml")
    with pytest.raises(InvalidRecipe, match="neither fields nor cascades"):
        parse_policy({"version": 1}, origin="p.yaml")
    with pytest.raises(InvalidRecipe, match="nothing of node 'look'"):
        fields = {"a": {"order": ["look"], "min_confidence": {"read": 0.5}}}
        parse_policy({"fields": fields}, origin="p.yaml")


def test_probabilities_are_joined_by_lines_and_hold_beyond_the_ends() -> None:
    policy = fitted(recorded()).policy
    curve = next(one for one in policy.calibration if one.model == "vl")
    first, last = curve.knots[0], curve.knots[-1]
    assert curve.probability(0.0)[1:] == first[1:]
    assert curve.probability(1.0)[1:] == last[1:]
    one, two = curve.knots[3], curve.knots[4]
    middle = curve.probability((one[0] + two[0]) / 2)[1]
    assert middle == pytest.approx((one[1] + two[1]) / 2)
    assert policy.probability("look", "nobody", "category", 0.5) is None
    assert policy.probability("look", "vl", "category", None) is None
    quality = policy.quality("look", "vl")
    assert quality is not None and quality.low < quality.share < quality.high


def test_labels_that_judge_nothing_and_two_aims_are_refused() -> None:
    rows = recorded()
    known = Truths({"x": Truth({"category": "Apple"})}, ("id", "category"))
    one = {"1": result(rows[0], "Apple", 0.9, "vl", "0.001")}
    with pytest.raises(InvalidLabels, match="No labelled row has an answer"):
        calibrate([one], known, fleet="two", models={"vl": "a"})
    with pytest.raises(UsageError, match="two aims"):
        fitted(rows, target=0.9, spend_usd=0.1)
    with pytest.raises(UsageError, match=r"target quality 1\.5"):
        fitted(rows, target=1.5)


def test_the_report_holds_the_table_the_curves_and_what_is_not_claimed() -> None:
    found = fitted(recorded(), target=0.88)
    told = text_of_fit(found)
    assert "category   408  0.8" in told and "thresholds that keep 0.88" in told
    assert "look: vl, then big" in told and "not claimed:" in told
    drawn = picture(found)
    assert drawn.startswith("<svg") and drawn.count("<g ") == 2 and "look / vl / category" in drawn


def test_a_policy_needs_fields_to_be_replayed() -> None:
    from orchestra.batch.score.replay import replay

    policy = Policy(calibration=fitted(recorded()).policy.calibration)
    with pytest.raises(InvalidRecipe, match="no fields, which a replay runs"):
        replay([("1", result(recorded()[0], "Apple", 0.9, "vl", "0.001"))], policy)
