"""A policy fitted to labels: what it claims, what it refuses to claim, and what it rejects."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest

from benchmarks.learned import Policy, fit
from benchmarks.learned.fit import labelled_rows
from benchmarks.learned.held_out import split, suspect_groups
from orchestra.core.errors import InvalidLabels, InvalidPolicy

NOUNS = ("apple", "bridge", "carpet", "dragon", "engine", "forest", "garden", "island")
HARD_EXTRA = "and each of the 12 others costs 30 percent more than half of the first, "


def labels(count: int = 240, seed: int = 0) -> tuple[list[str], dict[str, list[float]], list[str]]:
    """Texts of 12 groups, half of them of many steps, on which `small` is mostly wrong."""
    draw = random.Random(seed)
    texts, groups, small, big = [], [], [], []
    for number in range(count):
        hard = draw.random() < 0.5
        extra = HARD_EXTRA * draw.randint(2, 4) if hard else ""
        texts.append(f"The {draw.choice(NOUNS)} {number} is here, {extra}what is the sum?")
        groups.append(f"group {number % 12}")
        small.append(float(draw.random() < (0.2 if hard else 0.9)))
        big.append(float(draw.random() < 0.9))
    return texts, {"small": small, "big": big}, groups


@pytest.fixture(scope="module")
def policy() -> Policy:
    texts, right, groups = labels()
    return fit(texts, right, groups, trees=20)


def test_a_policy_finds_the_texts_that_the_small_model_gets_wrong(policy: Policy) -> None:
    easy = policy.predict("The lamp is here, what is the sum?")
    hard = policy.predict(f"The lamp is here, {HARD_EXTRA * 3}what is the sum?")
    assert easy.right["small"] > 0.7 > 0.45 > hard.right["small"]
    assert min(easy.right["big"], hard.right["big"]) > 0.7
    assert easy.covered and hard.covered


def test_a_gain_that_is_there_is_claimed_with_its_interval(policy: Policy) -> None:
    assert policy.refuses is None
    routing = policy.evidence.routing
    assert routing is not None
    assert routing.apgr.low > 0.5
    assert policy.knows("small")
    assert not policy.knows("big")  # right or wrong by a coin that no text tells of
    assert (policy.evidence.texts, policy.evidence.groups) == (240, 12)


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_labels_claim_no_gain_and_say_so(seed: int) -> None:
    texts, right, groups = labels(seed=seed)
    random.Random(seed).shuffle(texts)
    shuffled = fit(texts, right, groups, trees=10, seed=seed)
    assert shuffled.refuses is not None
    assert "within noise" in shuffled.refuses
    assert "Label more texts" in shuffled.refuses
    assert not shuffled.knows("small")


def test_gains_rank_like_the_probabilities(policy: Policy) -> None:
    texts, _, _ = labels(20, seed=5)
    gains = policy.gains(texts)
    rights = [policy.predict(text).right for text in texts]
    assert gains == pytest.approx([right["big"] - right["small"] for right in rights])
    assert policy.gains(texts, "big", "small") == pytest.approx(-gains)


def test_a_form_that_the_labels_did_not_cover_is_ranked_by_workload(policy: Policy) -> None:
    options = "\nA. 1\nB. 2\nC. 3\nD. 4"
    texts = ["What is the sum?" + options, HARD_EXTRA + "what is the sum?" + options]
    few, many = policy.gains(texts)
    assert few < many
    estimate = policy.predict(texts[0])
    assert not estimate.covered
    _, right, _ = labels()
    assert estimate.right["small"] == pytest.approx(np.mean(right["small"]), abs=0.02)


def test_one_model_has_probabilities_and_nothing_to_route() -> None:
    texts, right, groups = labels()
    single = fit(texts, {"small": right["small"]}, groups, trees=10)
    assert single.evidence.routing is None
    assert single.refuses is not None
    assert single.knows("small")


def test_a_model_that_is_always_right_is_no_skill() -> None:
    texts, right, groups = labels(60)
    always = fit(texts, {**right, "big": [1.0] * 60}, groups, trees=5)
    assert always.evidence.skill["big"].value == 0
    assert not always.knows("big")


def test_a_group_that_is_graded_below_guessing_is_left_out_and_named() -> None:
    texts, right, groups = labels(480)
    in_group = [group == "group 3" for group in groups]
    unparsed = [0.0 if inside else big for inside, big in zip(in_group, right["big"], strict=True)]
    graded = {**right, "big": unparsed}
    options = [f"{text}\nA. 1\nB. 2\nC. 3\nD. 4" for text in texts]
    assert fit(options, graded, groups, trees=5).evidence.left_out == ("group 3",)
    for honest in (labelled_rows(options, right, groups), labelled_rows(texts, graded, groups)):
        assert suspect_groups(honest[0]) == []  # nothing is below guessing; there is no guessing


def test_a_fold_never_trains_on_its_groups_nor_on_their_texts_elsewhere() -> None:
    texts, right, groups = labels(60)
    texts[1] = texts[0]  # the same text in two groups
    labelled, _ = labelled_rows(texts, right, groups)
    tested = []
    for train, test in split(labelled, 5, seed=0):
        assert not set(labelled.groups[train]) & set(labelled.groups[test])
        assert not set(labelled.texts[train]) & set(labelled.texts[test])
        tested += test.tolist()
    assert sorted(tested) == list(range(60))


def test_without_groups_each_text_is_its_own() -> None:
    texts, right, _ = labels(60)
    assert fit([*texts[:59], texts[0]], right, trees=3).evidence.groups == 59


def test_a_policy_names_the_models_it_knows(policy: Policy) -> None:
    with pytest.raises(InvalidPolicy, match=r"'huge' \(it knows: 'small', 'big'\)"):
        policy.gains(["a"], "small", "huge")


TEXTS, RIGHT, GROUPS = labels(30)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": TEXTS[:5]}, r"^5 texts are labelled, and 20"),
        ({"right": {}}, r"^No model has labels: \{\}"),
        ({"right": {"small": RIGHT["small"][:29]}}, "29 labels of small for 30 texts"),
        ({"groups": GROUPS[:3]}, "3 groups for 30 texts"),
        ({"groups": ["one"] * 30}, "fall into 1 groups"),
        ({"right": {"small": [2.0, *RIGHT["small"][1:]]}}, "2.0 is no label of 'small'"),
        ({"right": {"small": [float("nan"), *RIGHT["small"][1:]]}}, "nan is no label"),
    ],
)
def test_labels_that_nothing_can_be_learnt_from(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"texts": TEXTS, "right": RIGHT, "groups": GROUPS} | changes
    with pytest.raises(InvalidLabels, match=message):
        fit(**given)


def test_a_policy_is_frozen(policy: Policy) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.depth = 1  # pyright: ignore[reportAttributeAccessIssue]
