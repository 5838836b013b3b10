"""Runs another policy over a batch's recorded calls, without calling a model.

A policy says for each field in which order the graph's nodes are asked and how sure an answer has
to be: a cascade. What a node would have answered is what it did answer; a node that the policy no
longer reaches is not paid for. It knows no folder and no terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from orchestra.core.errors import InvalidRecipe, InvalidTable
from orchestra.core.job import CallRecord, Result
from orchestra.core.stats import Interval, wilson
from orchestra.core.values import folded, text_of
from orchestra.quality.policy import FieldPolicy, Gate, Policy, parse_policy

__all__ = ["FieldPolicy", "Gate", "Policy", "Replay", "Replayed", "parse_policy", "replay"]


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
) -> Replay:
    """`results` (by row id) under `policy`; `truths` are true values by id and field.

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
    answers: dict[str, list[tuple[str, str | None, str | None]]] = {n: [] for n in policy.fields}
    for row_id, result in rows:
        asked: set[int] = set()
        for name, wanted in policy.fields.items():
            answer = _answer(name, wanted, result.calls, asked)
            before = result.fields.get(name)
            recorded = text_of(before.value) if before is not None and before.answered else None
            answers[name].append((row_id, answer, recorded))
        cost += sum((result.calls[at].cost_usd for at in asked), Decimal(0))
    told = tuple(_replayed(name, answers[name], truths) for name in policy.fields)
    recorded_cost = sum((result.cost_usd for _, result in rows), Decimal(0))
    missed = tuple(_missed(policy.gate, told, cost / len(rows)))
    return Replay(told, len(rows), float(cost), float(recorded_cost), missed)


def _check_nodes(rows: list[tuple[str, Result]], policy: Policy) -> None:
    called = {call.node for _, result in rows for call in result.calls}
    for name, wanted in policy.fields.items():
        for node in wanted.order:
            if node not in called:
                raise InvalidRecipe(
                    f"The policy of {name!r} asks node {node!r}, which no row has called (called "
                    f"were: {', '.join(sorted(map(repr, called)))}). A replay knows only what was "
                    "answered."
                )


def _answer(
    name: str, wanted: FieldPolicy, calls: tuple[CallRecord, ...], asked: set[int]
) -> str | None:
    """The value that stands, as it is exported; `asked` collects the calls it needed."""
    for node in wanted.order:
        for at, call in enumerate(calls):
            if call.node != node:
                continue
            asked.add(at)
            value, sure = _said(call, name)
            if value is not None and (sure if sure is not None else 0.0) >= wanted.least(node):
                return value
    return None


def _said(call: CallRecord, name: str) -> tuple[str | None, float | None]:
    try:
        given = json.loads(call.raw or "")[name]
    except (ValueError, KeyError, TypeError):
        return None, None
    value = None if given in (None, "", []) else text_of(given)
    return value, call.confidence.get(name)


def _replayed(
    name: str,
    answers: list[tuple[str, str | None, str | None]],
    truths: Mapping[str, Mapping[str, str]] | None,
) -> Replayed:
    answered = [answer for _, answer, _ in answers if answer is not None]
    before = [recorded for _, _, recorded in answers if recorded is not None]
    right, total, right_before, total_before = 0, 0, 0, 0
    for row_id, answer, recorded in answers if truths is not None else ():
        true = folded((truths or {}).get(row_id.strip(), {}).get(name, ""))
        total += bool(true and answer is not None)
        right += bool(true and answer is not None and folded(answer) == true)
        total_before += bool(true and recorded is not None)
        right_before += bool(true and recorded is not None and folded(recorded) == true)
    return Replayed(
        field=name,
        rows=len(answers),
        coverage=len(answered) / len(answers),
        recorded_coverage=len(before) / len(answers),
        changed=sum(folded(a or "") != folded(r or "") for _, a, r in answers),
        accuracy=right / total if total else None,
        accuracy_interval=wilson(right, total),
        recorded_accuracy=right_before / total_before if total_before else None,
    )


def _missed(gate: Gate, told: Iterable[Replayed], cost_per_row: Decimal) -> Iterable[str]:
    for one in told:
        if gate.min_accuracy is not None and (one.accuracy or 0.0) < gate.min_accuracy:
            reached = "no answered row" if one.accuracy is None else f"{one.accuracy:.3f}"
            yield f"{one.field}: accuracy {reached} is under {gate.min_accuracy:g}"
        if gate.min_coverage is not None and one.coverage < gate.min_coverage:
            yield f"{one.field}: coverage {one.coverage:.3f} is under {gate.min_coverage:g}"
    most = gate.max_cost_usd_per_row
    if most is not None and cost_per_row > most:
        yield f"cost ${float(cost_per_row):.6f} a row is over ${most:f}"
