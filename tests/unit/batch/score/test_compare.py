"""Two batches on one gold set: paired differences, and no winner within noise."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orchestra.batch.score.compare import Comparison, compare
from orchestra.core.errors import InvalidTable
from orchestra.core.job import Field, Result
from orchestra.core.stats import mcnemar, paired_interval


def result(value: str | None, name: str = "colour") -> Result:
    source = "none" if value is None else "photo"
    fields = {name: Field(value=value, source=source)}
    return Result(status="complete", fields=fields, cost_usd=Decimal("0.001"))


def compared(both: int, only_a: int, only_b: int, neither: int) -> Comparison:
    """Rows of which so many are right in both, in A alone, in B alone, and in neither."""
    kinds = [("red", "red")] * both + [("red", "blue")] * only_a + [("blue", "red")] * only_b
    kinds += [(None, "blue")] * neither
    a = [(str(n), result(first)) for n, (first, _) in enumerate(kinds)]
    b = [(str(n), result(second)) for n, (_, second) in enumerate(kinds)]
    return compare(("A", a), ("B", b), {str(n): "Red" for n in range(len(kinds))}, "colour")


def test_the_difference_is_of_the_same_rows() -> None:
    found = compared(50, 5, 25, 20)
    assert (found.rows, found.a.right, found.b.right) == (100, 55, 75)
    assert found.difference == pytest.approx(0.20)
    assert found.interval[0] < 0.20 < found.interval[1]
    assert (found.a.answered, found.b.answered) == (80, 100)
    assert found.b.cost_usd == pytest.approx(0.1)


def test_a_clear_difference_has_a_winner_on_either_side() -> None:
    assert compared(50, 5, 25, 20).winner == "b"
    assert compared(50, 25, 5, 20).winner == "a"


@pytest.mark.parametrize("cells", [(50, 5, 8, 37), (90, 0, 5, 5), (3, 0, 0, 7), (0, 1, 3, 0)])
def test_a_difference_within_noise_has_no_winner(cells: tuple[int, int, int, int]) -> None:
    found = compared(*cells)
    assert found.winner is None
    assert "no winner: the difference is within noise" in str(found)


def test_mcnemars_exact_test_has_its_published_values() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 6) == pytest.approx(0.03125)  # 2 * 0.5**6
    assert mcnemar(5, 15) == pytest.approx(0.041389, abs=1e-6)


def test_an_interval_covers_what_nothing_differs_in() -> None:
    low, high = paired_interval(0, 0, 10)
    assert low < 0 < high


def test_batches_without_a_common_row_or_the_field_are_refused() -> None:
    a, b = [("1", result("red"))], [("2", result("red"))]
    with pytest.raises(InvalidTable, match="stands in both"):
        compare(("A", a), ("B", b), {"1": "red", "2": "red"}, "colour")
    with pytest.raises(InvalidTable, match=r"'A' has no field 'size'"):
        compare(("A", a), ("B", a), {"1": "red"}, "size")
