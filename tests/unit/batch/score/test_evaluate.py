"""Evaluation: the join, the definitions of the scores, and their intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import pytest

from orchestra.batch.score.evaluate import Evaluation, evaluate
from orchestra.core.errors import InvalidTable
from orchestra.core.job import Field, Result
from orchestra.core.stats import wilson
from orchestra.quality.readings import Truth, Truths


def result(value: object, name: str = "category") -> Result:
    source = "none" if value is None else "photo"
    return Result(status="complete", fields={name: Field(value=value, source=source)})


def known(truths: Mapping[str, str]) -> Truths:
    rows = {row_id: Truth({"category": value}) for row_id, value in truths.items()}
    return Truths(rows, ("id", "category"))


def score(pairs: Iterable[tuple[object, str]]) -> Evaluation:
    """Score (answer, truth) pairs whose ids agree."""
    listed = list(enumerate(pairs))
    answers = [(str(n), result(answer)) for n, (answer, _) in listed]
    return evaluate(answers, known({str(n): truth for n, (_, truth) in listed}), "category")


def test_scores_follow_their_definitions() -> None:
    found = score(
        [("Apple", "Apple")] * 6
        + [("Pear", "Apple"), (None, "Apple")]
        + [("Pear", "Pear"), ("Apple", "Pear")]
    )
    assert (found.rows, found.answered, found.classes) == (10, 9, 2)
    assert found.coverage == 0.9
    assert found.accuracy == pytest.approx(7 / 9)
    assert found.macro_accuracy == pytest.approx((6 / 7 + 1 / 2) / 2)
    assert (found.baseline, found.baseline_value) == (0.8, "Apple")


def test_case_and_white_space_do_not_count() -> None:
    found = score([(" golden  DELICIOUS\n", "Golden Delicious"), ("Straße", "STRASSE")])
    assert found.accuracy == 1.0


def test_composed_and_decomposed_letters_are_equal() -> None:
    assert score([("cafe\u0301", "caf\u00e9")]).accuracy == 1.0


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        (["a", "b"], '["a","b"]', True),
        (["a", "b"], '["B", "a"]', True),
        ({"name": "Acme", "country": "Italy"}, '{"country": "italy", "name": "ACME"}', True),
        ({"name": "Acme", "country": None}, '{"name": "Acme"}', True),
        ({"name": "Acme"}, '{"name": "Acme", "country": "Italy"}', False),
        (["a"], '["a","b"]', False),
        ("[sic] red", "[SIC]  red", True),
    ],
)
def test_lists_and_objects_are_compared_by_what_they_hold(
    answer: object, truth: str, right: bool
) -> None:
    assert score([(answer, truth)]).accuracy == float(right)


def test_abstained_missing_and_blank_answers_count_as_not_answered() -> None:
    answers = [("1", result(None)), ("2", result("  ")), ("3", Result(status="failed"))]
    found = evaluate(answers, known(dict.fromkeys("123", "Apple")), "category")
    assert (found.rows, found.coverage) == (3, 0.0)
    assert (found.accuracy, found.accuracy_interval) == (None, None)
    assert (found.macro_accuracy, found.macro_accuracy_interval) == (None, None)


def test_what_a_waiting_row_has_so_far_is_not_its_answer() -> None:
    waits = result("Apple").model_copy(update={"status": "waiting"})
    found = evaluate(
        [("1", waits), ("2", result("Apple"))], known({"1": "Apple", "2": "Apple"}), "category"
    )
    assert (found.rows, found.answered, found.coverage) == (2, 1, 0.5)


def test_rows_without_a_true_value_are_left_out() -> None:
    assert score([("Apple", "Apple"), ("Apple", " ")]).rows == 1


def test_ids_on_one_side_only_are_reported() -> None:
    answers = [(" A ", result("x")), ("B", result("x")), ("C", result("x"))]
    found = evaluate(answers, known({"A": "x", "D": "x"}), "category")
    assert found.rows == 1
    assert (found.unmatched.answers, found.unmatched.truth) == (2, 1)
    assert found.unmatched.examples == ("B", "C", "D")


def test_first_row_of_an_id_counts() -> None:
    answers = [("A", result("x")), ("A", result("wrong"))]
    found = evaluate(answers, known({"A": "x"}), "category")
    assert (found.rows, found.accuracy) == (1, 1.0)


def test_nothing_in_common_names_both_sides_and_the_cure() -> None:
    with pytest.raises(InvalidTable) as caught:
        evaluate([("1", result("x"))], known({"SKU1": "x"}), "category")
    for part in ("'1'", "'SKU1'", "--id-column"):
        assert part in str(caught.value)


def test_empty_sides_are_an_error() -> None:
    with pytest.raises(InvalidTable):
        evaluate([], known({"1": "x"}), "category")


def test_unknown_field_is_an_error_on_either_side() -> None:
    with pytest.raises(InvalidTable, match="'category'"):
        evaluate([], known({}), "categori")
    answers = [("1", result("x", "colour"))]
    with pytest.raises(InvalidTable, match="it has 'colour'"):
        evaluate(answers, known({"1": "x"}), "category")


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (500, 1000, 0.4691, 0.5309),
    ],
)
def test_wilson_interval_has_its_published_values(
    right: int, total: int, low: float, high: float
) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=1e-4)


def test_macro_interval_holds_the_score_repeats_and_narrows_with_rows() -> None:
    def pairs(times: int) -> list[tuple[object, str]]:
        return [("a", "a"), ("a", "a"), ("b", "a"), ("b", "b"), ("a", "b")] * times

    widths = []
    for times in (4, 40, 400):
        found = score(pairs(times))
        assert found.macro_accuracy_interval is not None
        low, high = found.macro_accuracy_interval
        assert found.macro_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
        assert low < (2 / 3 + 1 / 2) / 2 < high
        assert score(pairs(times)) == found
        widths.append(high - low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]
    # Standard error of two means of 1200 and 800 rows, halved, over +-1.96.
    error = 0.5 * (2 / 9 / 1200 + 1 / 4 / 800) ** 0.5
    assert widths[2] == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_evaluation_is_json() -> None:
    found = json.loads(json.dumps(asdict(score([("x", "x")]))))
    assert {"rows", "coverage", "accuracy", "macro_accuracy", "baseline"} <= found.keys()
    assert found["accuracy_interval"] == pytest.approx([0.2065, 1.0], abs=1e-4)
