"""What is learnt from labelled texts: what it claims, what it refuses to claim, and its errors."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from orchestra.core.errors import InvalidLabels
from orchestra.quality.learned.columns import ReadTexts
from orchestra.quality.learned.fit import Learnt, folds_of, learn, scored, split, suspect_groups
from tests.unit.quality.learned.test_cues import problems as word_problems

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


def fit(
    texts: list[str],
    right: dict[str, list[float]],
    groups: list[str] | None = None,
    *,
    trees: int = 15,
    seed: int = 0,
) -> Learnt:
    return learn(scored(texts, right, None, groups), trees=trees, seed=seed)


@pytest.fixture(scope="module")
def found() -> Learnt:
    return fit(*labels())


def estimates(found: Learnt, *texts: str) -> Any:
    return found.learner.estimate(ReadTexts.of(texts, None))[0]


def test_texts_that_the_small_model_gets_wrong_are_found(found: Learnt) -> None:
    easy, hard = estimates(
        found,
        "The island 7 is here, what is the sum?",
        f"The island 9 is here, {HARD_EXTRA * 3}what is the sum?",
    )
    assert easy[0] > 0.7 > 0.45 > hard[0]
    assert min(easy[1], hard[1]) > 0.7


def test_a_gain_that_is_there_is_claimed_with_its_interval(found: Learnt) -> None:
    known = found.evidence
    assert known.refuses is None
    assert known.best == "big"
    assert known.lift.low > 0
    assert known.skill["small"].low > 0
    assert known.skill["big"].low < 0.02  # right or wrong by a coin that no text tells of
    assert (known.texts, known.groups) == (240, 12)


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_labels_claim_no_gain_and_say_so(seed: int) -> None:
    texts, right, groups = labels(seed=seed)
    random.Random(seed).shuffle(texts)
    refuses = fit(texts, right, groups, trees=8, seed=seed).evidence.refuses
    assert refuses is not None
    assert "no gain beyond noise on 240 texts" in refuses
    assert "label more rows" in refuses


def test_two_models_that_are_best_on_different_texts_beat_either() -> None:
    texts, right, groups = labels(480)
    hard = [HARD_EXTRA in text for text in texts]
    right["big"] = [float(one) for one in hard]  # a specialist that fails on easy texts
    known = fit(texts, right, groups).evidence
    assert known.gain.low > 0.2
    assert known.refuses is None


def test_of_what_is_far_from_the_labels_only_the_mean_rates_are_known(found: Learnt) -> None:
    options = "\nA. 1\nB. 2\nC. 3\nD. 4"
    texts = [f"What is the sum?{options}", f"{HARD_EXTRA}what is the sum?{options}"]
    read = ReadTexts.of(texts, None)
    shares, near = found.learner.estimate(read)
    _, right, _ = labels()
    assert near.tolist() == [0, 0]  # no labelled text had options
    assert shares[0] == pytest.approx([np.mean(right["small"]), np.mean(right["big"])], abs=0.02)
    few, many = found.learner.gains(read)
    assert few < many  # and texts are ordered by their length


def test_word_problems_after_labels_with_options_are_ordered_just_by_their_length() -> None:
    texts, right, groups = labels(120)
    chosen = fit([f"{text}\nA. 1\nB. 2\nC. 3" for text in texts], right, groups, trees=5)
    _, problems = word_problems()
    gains = chosen.learner.gains(ReadTexts.of(problems, None))
    lengths = np.array([len(problem) for problem in problems])
    assert (np.diff(gains[np.argsort(lengths, kind="stable")]) >= -1e-12).all()


def test_a_model_that_is_always_right_is_no_skill() -> None:
    texts, right, groups = labels(60)
    always = fit(texts, {**right, "big": [1.0] * 60}, groups, trees=5)
    assert always.evidence.skill["big"].value == pytest.approx(0, abs=1e-3)


def test_a_group_that_is_graded_below_guessing_is_left_out_and_named() -> None:
    texts, right, groups = labels(480)
    in_group = [group == "group 3" for group in groups]
    unparsed = [0.0 if inside else big for inside, big in zip(in_group, right["big"], strict=True)]
    graded = {**right, "big": unparsed}
    options = [f"{text}\nA. 1\nB. 2\nC. 3\nD. 4" for text in texts]
    assert fit(options, graded, groups, trees=5).evidence.left_out == ("group 3",)
    for honest in (scored(options, right, None, groups), scored(texts, graded, None, groups)):
        assert suspect_groups(honest) == []  # nothing is below guessing; there is no guessing


def test_a_fold_never_trains_on_its_groups_nor_on_their_texts_elsewhere() -> None:
    texts, right, groups = labels(60)
    texts[1] = texts[0]  # the same text in two groups
    data = scored(texts, right, None, groups)
    fold, tested = folds_of(data, 5, seed=0), []
    for held in np.unique(fold):
        test, train = split(data, fold, int(held), np.arange(60))
        assert not set(data.groups[train]) & set(data.groups[test])
        assert not set(data.texts[train]) & set(data.texts[test])
        tested += test.tolist()
    assert sorted(tested) == list(range(60))


def test_without_groups_each_text_is_its_own() -> None:
    texts, right, _ = labels(60)
    assert fit([*texts[:59], texts[0]], right, trees=3).evidence.groups == 59


def test_vectors_tell_what_form_does_not() -> None:
    draw = random.Random(1)
    texts = [f"{draw.choice(NOUNS)} {number:03}" for number in range(300)]
    odd = [hash_of(text) for text in texts]
    right = {"small": [float(not one) for one in odd], "big": [float(one) for one in odd]}

    def vectors(some: Any) -> Any:
        angle = np.array([0.2 + 1.2 * hash_of(text) for text in some])
        return np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)

    blind = learn(scored(texts, right, None), trees=8).evidence
    seeing = learn(scored(texts, right, vectors), trees=8).evidence
    assert blind.refuses is not None
    assert seeing.gain.low > 0.3


def hash_of(text: str) -> bool:
    """A property of the text that its form does not show."""
    return random.Random(text).random() < 0.5


TEXTS, RIGHT, GROUPS = labels(50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": TEXTS[:5]}, r"^5 texts are labelled, and 40"),
        ({"scores": {}}, r"^No model has scores: \{\}"),
        ({"scores": {"small": RIGHT["small"][:29]}}, "29 labels of small for 50 texts"),
        ({"groups": GROUPS[:3]}, "3 groups for 50 texts"),
        ({"groups": ["one"] * 50}, "fall into 1 groups"),
        ({"scores": {"small": [2.0, *RIGHT["small"][1:]]}}, "2.0 is no label of 'small'"),
        ({"scores": {"small": [float("nan"), *RIGHT["small"][1:]]}}, "nan is no label"),
    ],
)
def test_labels_that_nothing_can_be_learnt_from(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"texts": TEXTS, "scores": RIGHT, "groups": GROUPS} | changes
    with pytest.raises(InvalidLabels, match=message):
        scored(given["texts"], given["scores"], None, given["groups"])
