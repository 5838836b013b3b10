"""Runs another policy over a batch's recorded calls, without calling a model.

A policy says for each field in which order the graph's nodes are asked and how sure an answer has
to be: a cascade. What a node would have answered is what it did answer; a node that the policy no
longer reaches is not paid for. It knows no folder and no terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from orchestra.core.errors import InvalidRecipe, InvalidTable
from orchestra.core.job import CallRecord, Field, Result
from orchestra.core.stats import Interval, wilson
from orchestra.core.values import folded, text_of
from orchestra.quality.policy import FieldPolicy, Gate, Policy
from orchestra.quality.readings import said, said_by


@dataclass(frozen=True, slots=True)
class Replayed:
    """One field under a policy, beside what was recorded; accuracy needs true values."""

    field: str
    rows: int
    coverage: float
    recorded_coverage: float
    changed: int
    accuracy: float | None
    accuracy_interval: Interval | None
    recorded_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Replay:
    """A batch under a policy: its fields, its cost, and what of the gate it misses."""

    fields: tuple[Replayed, ...]
    rows: int
    cost_usd: float
    recorded_cost_usd: float
    missed: tuple[str, ...]

    def public(self) -> dict[str, Any]:
        """As printed by `replay --json`."""
        return asdict(self) | {"passed": not self.missed}


def replay(
    results: Iterable[tuple[str, Result]],
    policy: Policy,
    truths: Mapping[str, Mapping[str, str]] | None = None,
    decided: Iterable[tuple[str, Result]] | None = None,
) -> Replay:
    """`results` (by row id) under `policy`; `truths` are true values by id and field.

    What is recorded is what people `decided` of the same rows, where that is given.

    Raises `InvalidTable` for a batch without rows, or a gate of accuracy without true values;
    `InvalidRecipe` for a node that no row has called.
    """
    rows = list(results)
    if not rows:
        raise InvalidTable("The batch has no finished row. Run it before replaying it.")
    if not policy.fields:
        raise InvalidRecipe(
            "The policy has no fields, which a replay runs. Fit one for a target: "
            "`orchestra calibrate OUT --target-quality 0.9`, or write fields: by hand."
        )
    _check_nodes(rows, policy)
    if policy.gate.min_accuracy is not None and truths is None:
        raise InvalidTable("The gate's min_accuracy needs true values. Give --truth a table.")
    cost = Decimal(0)
    answers: dict[str, list[str | None]] = {name: [] for name in policy.fields}
    for _, result in rows:
        reached: set[int] = set()
        for name, rule in policy.fields.items():
            answers[name].append(_answer(name, rule, result, reached))
        cost += sum((result.calls[at].cost_usd for at in reached), Decimal(0))
    recorded = rows if decided is None else list(decided)
    scored = tuple(_replayed(name, answers[name], recorded, truths or {}) for name in policy.fields)
    recorded_cost = sum((result.cost_usd for _, result in rows), Decimal(0))
    missed = tuple(_missed(policy.gate, scored, cost / len(rows)))
    return Replay(scored, len(rows), float(cost), float(recorded_cost), missed)


def _check_nodes(rows: list[tuple[str, Result]], policy: Policy) -> None:
    called = {call.node for _, result in rows for call in result.calls}
    for name, rule in policy.fields.items():
        for node in rule.order:
            if node not in called:
                raise InvalidRecipe(
                    f"The policy of {name!r} asks node {node!r}, which no row has called (called "
                    f"were: {', '.join(sorted(map(repr, called)))}). A replay knows only what was "
                    "answered."
                )


def _answer(name: str, rule: FieldPolicy, result: Result, reached: set[int]) -> str | None:
    """The value that stands, as it is compared; `reached` collects the calls it needed."""
    for node in rule.order:
        for at, call in enumerate(result.calls):
            if call.node != node:
                continue
            reached.add(at)
            value, sure = _said(call, name, result.fields.get(name))
            if value is not None and (sure if sure is not None else 0.0) >= rule.least(node):
                return value
    return None


def _said(call: CallRecord, name: str, joined: Field | None) -> tuple[str | None, float | None]:
    """What the call says of a field, as the graph read it, and how sure it is."""
    value = text_of(said_by(call, name, joined or Field()))
    return None if value in (None, "", "[]") else folded(value), call.confidence.get(name)


def _replayed(
    name: str,
    answers: list[str | None],
    rows: list[tuple[str, Result]],
    truths: Mapping[str, Mapping[str, str]],
) -> Replayed:
    """A field's answers beside those of its rows' results."""
    recorded = [said(result.fields.get(name)) for _, result in rows]
    true = [folded(truths.get(row_id.strip(), {}).get(name, "")) for row_id, _ in rows]
    right, total = _right(answers, true)
    right_before, total_before = _right(recorded, true)
    return Replayed(
        field=name,
        rows=len(rows),
        coverage=_answered(answers) / len(rows),
        recorded_coverage=_answered(recorded) / len(rows),
        changed=sum((a or "") != (r or "") for a, r in zip(answers, recorded, strict=True)),
        accuracy=right / total if total else None,
        accuracy_interval=wilson(right, total),
        recorded_accuracy=right_before / total_before if total_before else None,
    )


def _answered(answers: list[str | None]) -> int:
    return sum(answer is not None for answer in answers)


def _right(answers: list[str | None], true: list[str]) -> tuple[int, int]:
    """How many answers are right, of those that can be judged."""
    judged = [a == t for a, t in zip(answers, true, strict=True) if t and a is not None]
    return sum(judged), len(judged)


def _missed(gate: Gate, scored: Iterable[Replayed], cost_per_row: Decimal) -> Iterable[str]:
    for one in scored:
        if gate.min_accuracy is not None and (one.accuracy or 0.0) < gate.min_accuracy:
            reached = "no answered row" if one.accuracy is None else f"{one.accuracy:.3f}"
            yield f"{one.field}: accuracy {reached} is under {gate.min_accuracy:g}"
        if gate.min_coverage is not None and one.coverage < gate.min_coverage:
            yield f"{one.field}: coverage {one.coverage:.3f} is under {gate.min_coverage:g}"
    most = gate.max_cost_usd_per_row
    if most is not None and cost_per_row > most:
        yield f"cost ${float(cost_per_row):.6f} a row is over ${most:f}"
