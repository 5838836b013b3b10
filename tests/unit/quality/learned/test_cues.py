"""What is read from a question: its options, its cues, and how much work it seems to be."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from orchestra.quality.learned.cues import NAMES, cues, matrix
from orchestra.quality.learned.exercise import read
from orchestra.quality.learned.workload import workload

CHOICE = "Which of these is NOT a metal?\nA. iron\nB. sulphur\nC. both A and B\nD. tin\nAnswer:"
PROBLEMS = Path(__file__).parent / "word_problems.tsv"


def problems() -> tuple[list[int], list[str]]:
    with PROBLEMS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [int(row["steps"]) for row in rows], [row["problem"] for row in rows]


def test_options_are_taken_from_their_lines() -> None:
    question = read(CHOICE)
    assert question.stem == "Which of these is NOT a metal?"
    assert question.options == ("iron", "sulphur", "both A and B", "tin")


def test_an_option_may_take_two_lines_and_one_may_look_like_a_mark() -> None:
    question = read("Pick.\nA. one\nmore\nB. two\nA. x\nC. three")
    assert question.options == ("one\nmore", "two\nA. x", "three")


@pytest.mark.parametrize("text", ["How many apples are left?", "A. Lincoln was born when?", ""])
def test_a_text_without_options_is_all_stem(text: str) -> None:
    assert read(text).options == ()
    assert read(text).stem == text


def test_cues_stand_in_one_order_and_options_that_are_missing_are_nan() -> None:
    table = matrix([CHOICE, "How many apples are left?", ""])
    assert table.shape == (3, len(NAMES))
    assert not np.isnan(table[0]).any()
    missing = {name for name, gone in zip(NAMES, np.isnan(table[1]), strict=True) if gone}
    assert missing == {name for name in NAMES if name.startswith("option_")}
    assert len(missing) > 10


def test_cues_see_negation_numbers_and_combined_options() -> None:
    found = cues(CHOICE)
    assert found["capital_negation"] == found["option_both"] == found["which"] == 1
    assert found["option_numeric"] == 0
    numbers = cues("How many is 3 times 4?\nA. 7\nB. 12\nC. 34\nD. 43")
    assert numbers["option_numeric"] == 1
    assert np.expm1(numbers["numbers"]) == pytest.approx(2)


def test_chinese_counts_by_character_and_ends_its_sentences() -> None:
    found = cues("红色衬衫多少钱？蓝色的呢？")
    assert np.expm1(found["words"]) == pytest.approx(11)
    assert np.expm1(found["sentences"]) == pytest.approx(2)
    assert found["ends_asking"] == 1


def test_workload_ranks_word_problems_about_as_their_steps_do() -> None:
    steps, texts = problems()
    loads = np.array([workload(read(text)) for text in texts])
    ranks = np.argsort(np.argsort(loads))
    assert np.corrcoef(ranks, steps)[0, 1] > 0.8


def test_workload_of_a_very_long_text_stays_within_what_is_usual() -> None:
    assert workload(read("Each of the 12 boxes costs 3 dollars per day. " * 500)) <= 2.5
    assert np.isfinite(workload(read("")))
