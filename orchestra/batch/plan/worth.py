"""What a route's answers are worth beside those of the fullest route; it knows no price.

A field that a judge can judge counts by how likely it is right. Another one counts as kept when
it says what the fullest route says: that is no measure of quality, and is never shown as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from orchestra.batch.tables.row import Row
from orchestra.core.card import FleetFile
from orchestra.core.job import Field, Result
from orchestra.core.values import folded, text_of
from orchestra.routing.introspect import GraphView
from orchestra.routing.routes import Route

SERVED = 0.05  # of a row's worth, for any answer at all
PRIOR_ROWS = 0.5  # of all kinds, added to what few rows of one kind say
UNKNOWN_QUALITY = 0.5


class Judge(Protocol):
    """Says how likely an answer is right; a policy calibrated on results may be one."""

    def __call__(self, row: Row, result: Result) -> Mapping[str, float]:
        """Probability by field, 0 to 1; a field that it cannot judge is left out."""
        ...


@dataclass(frozen=True, slots=True)
class Gold:
    """Judges by the true values in the table's own columns, by field. An empty cell says nothing;
    a field that was not answered is not right."""

    columns: Mapping[str, str]

    def __call__(self, row: Row, result: Result) -> Mapping[str, float]:
        """1 or 0 for each field with a true value."""
        truths = {name: folded(row.values.get(at) or "") for name, at in self.columns.items()}
        return {
            name: float(_said(result.fields.get(name)) == truth)
            for name, truth in truths.items()
            if truth
        }


def _said(field: Field | None) -> str | None:
    return None if field is None or not field.answered else folded(text_of(field.value) or "")


def worth_of(
    result: Result, fullest: Result, judged: Mapping[str, float], fields: Sequence[str]
) -> float:
    """The worth of one row's answers, 0 to 1. `fields` are those that count; none means all.

    Written parts are not compared: two texts may say the same.
    """
    if result.status == "failed":
        return 0.0
    counted = list(fields) or [
        name
        for name, field in fullest.fields.items()
        if name in judged or (field.answered and field.source != "derived")
    ]
    credits: list[float] = []
    for name in counted:
        said = _said(fullest.fields.get(name))
        if name in judged:
            credits.append(judged[name])
        elif said is not None:
            credits.append(float(_said(result.fields.get(name)) == said))
    return SERVED + (1 - SERVED) * (fmean(credits) if credits else 0.0)


def right_of(judged: Mapping[str, float], fields: Sequence[str]) -> float | None:
    """How right a row is: the mean over the judged fields that count; None without one."""
    known = [value for name, value in judged.items() if not fields or name in fields]
    return fmean(known) if known else None


def sure_of(result: Result, fields: Sequence[str]) -> float | None:
    """Mean confidence of the answered fields that count, as the models give it."""
    known = [
        field.confidence
        for name, field in result.fields.items()
        if field.answered and field.confidence is not None and (not fields or name in fields)
    ]
    return fmean(known) if known else None


def shrunk(own: Sequence[float], pooled: Sequence[float]) -> float:
    """The mean of a few values, drawn towards that of many (0 of none)."""
    if not pooled:
        return fmean(own) if own else 0.0
    return (sum(own) + PRIOR_ROWS * fmean(pooled)) / (len(own) + PRIOR_ROWS)


def worth_by_cards(view: GraphView, fleet: FleetFile, route: Route, fullest: Route) -> float:
    """Worth without a sample: card quality over the inputs that the fullest route reads."""

    def reading(of: Route) -> list[tuple[str, str]]:
        return [(node, model) for node, model, _ in of.parts if view.asks[node].reads != "facts"]

    qualities: list[float] = []
    for node, model in reading(route):
        quality = fleet.card(model.partition(">")[0]).quality.get(view.asks[node].capability)
        score = None if quality is None else quality.score
        qualities.append(UNKNOWN_QUALITY if score is None else score / 100)
    most = max(1, len(reading(fullest)))
    return SERVED + (1 - SERVED) * sum(qualities) / most
