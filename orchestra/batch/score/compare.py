"""Compares two batches on the same known answers, row by row; it knows no model and no folder.

Over the rows that stand in both and have a true value: a row is right when its answer is; a row
without an answer is wrong. The difference of the shares has the 95% interval of Agresti and Min
(2005) for paired proportions; McNemar's exact test (1947) tells how often chance alone would part
the rows that differ so unevenly. A winner is named only when both leave chance behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orchestra.core.errors import InvalidTable
from orchestra.core.job import Result
from orchestra.core.stats import Interval, bootstrap, mcnemar, paired_interval
from orchestra.core.values import folded
from orchestra.quality.readings import said

CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class Side:
    """One batch over the rows compared; seconds are of a row, beside others as it ran."""

    name: str
    right: int
    answered: int
    accuracy: float
    cost_usd: float
    seconds_p50: float
    seconds_p95: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """B against A: `difference` is B's share of right rows less A's.

    What a row of B costs and takes more than the same row of A, on average, has a 95% interval of
    the paired bootstrap. Neither makes a winner.
    """

    field: str
    rows: int
    a: Side
    b: Side
    only_a_right: int
    only_b_right: int
    difference: float
    interval: Interval
    p_value: float
    cost_difference_usd: float
    cost_interval: Interval
    seconds_difference: float
    seconds_interval: Interval
    winner: Literal["a", "b"] | None

    def public(self) -> dict[str, Any]:
        """As printed by `compare --json`."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"field {self.field}, {self.rows} rows in both"]
        lines += [
            f"{letter}  {side.name}: {side.accuracy:.3f} right ({side.right}), "
            f"{side.answered} answered, ${side.cost_usd:f}, {side.seconds_p50:.3f} s a row "
            f"(95% within {side.seconds_p95:.3f} s)"
            for letter, side in (("A", self.a), ("B", self.b))
        ]
        low, high = self.interval
        lines.append(
            f"B - A  {self.difference:+.3f} [{low:+.3f}, {high:+.3f}]  right only in A "
            f"{self.only_a_right}, only in B {self.only_b_right}, McNemar p {self.p_value:.4f}"
        )
        low, high = self.seconds_interval
        lines.append(f"time   {self.seconds_difference:+.4f} s a row [{low:+.4f}, {high:+.4f}]")
        low, high = self.cost_interval
        lines.append(f"spend  {self.cost_difference_usd:+.7f} $ a row [{low:+.7f}, {high:+.7f}]")
        if self.winner is None:
            return "\n".join([*lines, "no winner: the difference is within noise"])
        return "\n".join([*lines, f"{self.winner.upper()} is better"])


def compare(
    a: tuple[str, Iterable[tuple[str, Result]]],
    b: tuple[str, Iterable[tuple[str, Result]]],
    truths: Mapping[str, str],
    field: str,
) -> Comparison:
    """Compare the batches `a` and `b` (name, and results by row id) on the true values by id.

    Raises `InvalidTable` when no row with a true value stands in both, or none has the field.
    """
    results = {"a": _by_id(a[1]), "b": _by_id(b[1])}
    ids = [
        row_id
        for row_id, true in truths.items()
        if folded(true) and row_id in results["a"] and row_id in results["b"]
    ]
    if not ids:
        raise InvalidTable(
            f"No row with a true value of {field!r} stands in both batches. Compare batches of "
            "the same table, and name its id with --id-column."
        )
    for letter, name in (("a", a[0]), ("b", b[0])):
        if not any(field in results[letter][row_id].fields for row_id in ids):
            raise InvalidTable(f"The batch {name!r} has no field {field!r}. Name one with --field.")
    rights = {
        letter: [said(rows[row_id].fields.get(field)) == folded(truths[row_id]) for row_id in ids]
        for letter, rows in results.items()
    }
    only_a = sum(x and not y for x, y in zip(rights["a"], rights["b"], strict=True))
    only_b = sum(y and not x for x, y in zip(rights["a"], rights["b"], strict=True))
    interval, chance = paired_interval(only_a, only_b, len(ids)), mcnemar(only_a, only_b)
    pairs = [(results["a"][row_id], results["b"][row_id]) for row_id in ids]
    costs = [float(b.cost_usd - a.cost_usd) for a, b in pairs]
    seconds = [b.seconds - a.seconds for a, b in pairs]
    is_clear = chance < CHANCE and not interval[0] <= 0 <= interval[1]
    return Comparison(
        field=field,
        rows=len(ids),
        a=_side(a[0], [results["a"][row_id] for row_id in ids], rights["a"], field),
        b=_side(b[0], [results["b"][row_id] for row_id in ids], rights["b"], field),
        only_a_right=only_a,
        only_b_right=only_b,
        difference=(only_b - only_a) / len(ids),
        interval=interval,
        p_value=chance,
        cost_difference_usd=math.fsum(costs) / len(ids),
        cost_interval=bootstrap(costs),
        seconds_difference=math.fsum(seconds) / len(ids),
        seconds_interval=bootstrap(seconds),
        winner=("b" if only_b > only_a else "a") if is_clear else None,
    )


def _by_id(rows: Iterable[tuple[str, Result]]) -> dict[str, Result]:
    """Results by row id; where an id stands twice its first row counts."""
    found: dict[str, Result] = {}
    for row_id, result in rows:
        found.setdefault(row_id.strip(), result)
    return found


def _side(name: str, results: list[Result], rights: list[bool], field: str) -> Side:
    answered = sum(said(result.fields.get(field)) is not None for result in results)
    cost = float(sum(result.cost_usd for result in results))
    times = sorted(result.seconds for result in results)
    return Side(
        name,
        sum(rights),
        answered,
        sum(rights) / len(rights),
        cost,
        seconds_p50=times[len(times) // 2],
        seconds_p95=times[min(len(times) - 1, math.ceil(0.95 * len(times)) - 1)],
    )
