"""What was learnt as it stands in a policy: the same after a round trip, refused where damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestra.core.errors import InvalidRecipe
from orchestra.quality.learned.arrays import packed, unpacked
from orchestra.quality.learned.columns import ReadTexts
from orchestra.quality.learned.cues import CUES_VERSION
from orchestra.quality.learned.fit import Learnt
from orchestra.quality.learned.text_quality import TextQuality
from orchestra.quality.policy import Policy, load_policy, parse_policy, save_policy
from orchestra.quality.reader import TextReader
from orchestra.quality.texts import NamedEncoder
from tests.unit.quality.learned.test_fit import HARD_EXTRA, fit, labels

EASY = "The island 7 is here, what is the sum?"
HARD = f"The island 9 is here, {HARD_EXTRA * 3}what is the sum?"


@pytest.fixture(scope="module")
def found() -> Learnt:
    return fit(*labels(120), trees=8)


@pytest.fixture(scope="module")
def kept(found: Learnt) -> TextQuality:
    return TextQuality.of(found, ("small", "big"), "read", "p", "")


def test_what_was_learnt_is_the_same_after_a_round_trip(
    found: Learnt, kept: TextQuality, tmp_path: Path
) -> None:
    policy = Policy(fleet="two", learned=(kept,))
    texts, _, _ = labels(20, seed=9)
    read = ReadTexts.of(texts, None)
    for name in ("policy.yaml", "policy.json"):
        save_policy(policy, tmp_path / name)
        again = load_policy(tmp_path / name)
        assert again == policy and again.fingerprint == policy.fingerprint
        estimates, near = again.learned[0].learner.estimate(read)
        own, own_near = found.learner.estimate(read)
        assert estimates == pytest.approx(own, abs=2e-3)  # leaves are kept in half precision
        assert near == pytest.approx(own_near, abs=1e-2)


def test_a_policys_fingerprint_is_of_the_arrays_too(kept: TextQuality) -> None:
    arrays = unpacked(kept.arrays)
    other = kept.model_copy(update={"arrays": packed(arrays | {"rates": arrays["rates"] / 2})})
    prints = {Policy(learned=(one,)).fingerprint for one in (kept, other)}
    assert len(prints) == 2


def test_each_text_has_its_own_expectation_with_an_interval(kept: TextQuality) -> None:
    (easy, hard) = kept.expected([EASY, HARD], None)
    assert [one.model for one in easy] == ["small", "big"]
    assert easy[0].share > hard[0].share + 0.2
    assert all(one.low <= one.share <= one.high for one in (*easy, *hard))
    assert easy[0].rows == 120


def test_nothing_is_expected_of_a_text_that_is_far_from_all_that_was_labelled(
    kept: TextQuality,
) -> None:
    (other,) = kept.expected(["Which?\nA. this\nB. that\nC. both\nD. none"], None)
    assert other == ()


def test_a_reader_says_nothing_where_the_gain_is_within_noise(kept: TextQuality) -> None:
    refused = kept.model_copy(update={"refuses": "no gain beyond noise"})
    assert TextReader(Policy(learned=(refused,)), lambda name: None).of(EASY) == ()
    assert TextReader(Policy(learned=(kept,)), lambda name: None).of(EASY) != ()
    assert TextReader(None, lambda name: None).of(EASY) == ()


def test_a_reader_asks_for_the_encoder_that_the_policy_names(kept: TextQuality) -> None:
    asked: list[str] = []

    def find(name: str) -> NamedEncoder | None:
        asked.append(name)
        return None

    TextReader(Policy(learned=(kept,)), find).of(EASY)
    assert asked == [""]


def change(kept: TextQuality, by: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    arrays = unpacked(kept.arrays)
    by(arrays)
    return {"learned": [kept.model_dump(mode="json") | {"arrays": packed(arrays)}]}


def circle(arrays: dict[str, Any]) -> None:
    arrays["left"] = np.where(arrays["left"] >= 0, 0, arrays["left"]).astype(np.int32)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (circle, "left holds values that no learner has"),
        (lambda arrays: arrays.pop("roots"), "the arrays lack 'roots'"),
        (lambda arrays: arrays.update(rates=np.ones(3)), r"rates has the shape \(3,\)"),
        (lambda arrays: arrays.update(value=arrays["value"] + 5), "value holds values"),
        (lambda arrays: arrays.update(spread=arrays["spread"] * 0), "spread holds values"),
        (lambda arrays: arrays.update(roots=arrays["roots"] + 10**6), "roots holds values"),
    ],
)
def test_a_damaged_part_is_refused_with_what_is_wrong(
    kept: TextQuality, by: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(InvalidRecipe, match=message):
        parse_policy(change(kept, by), origin="p.yaml")


def test_cues_of_another_version_say_how_to_fit_again(kept: TextQuality) -> None:
    raw = {"learned": [kept.model_dump(mode="json") | {"cues": CUES_VERSION + 1}]}
    with pytest.raises(InvalidRecipe, match="fit it again with `orchestra calibrate`"):
        parse_policy(raw, origin="p.yaml")


def test_objects_and_what_is_no_archive_are_never_read() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        unpacked(packed({"a": np.array([{}], dtype=object)}))
    with pytest.raises(ValueError, match="cannot be read"):
        unpacked("bm8gYXJjaGl2ZQ==")
    with pytest.raises(ValueError, match="cannot be read"):
        unpacked("not base64!")
