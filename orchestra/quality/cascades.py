"""Cascades of two models at a node, fitted from rows that both were asked about; pure.

The first answers, and the second is asked what the first was unsure of, or what photo and text
contradict each other on. Where the labels do not show that this helps, it is not done.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestra.core.stats import paired_interval, wilson
from orchestra.quality.curve import Floats
from orchestra.quality.held_out import Answers, JudgedFit
from orchestra.quality.policy import Accuracy, Calibration, Cascade, Escalation, as_share, mean
from orchestra.quality.promise import RISK, STARTS, STEPS, Proven, is_proven, lowest_proven
from orchestra.quality.readings import Data, Place

CUTS = 50  # probabilities tried for a spend


def cascades(
    data: Data,
    fits: Mapping[Place, JudgedFit],
    curves: Mapping[Place, Calibration],
    target: float | None,
    spend_usd: float | None,
) -> Iterator[Cascade]:
    """The cascade of every node that has two models, by a target or else a spend a row."""
    for node in dict.fromkeys(place[0] for place in data.judged):
        pair = _pair(node, data, curves)
        if pair is None or (target is None and spend_usd is None):
            continue
        shared = [n for n in data.fields(node, pair[0]) if (node, pair[1], n) in data.judged]
        two = {name: _Two.of(node, pair, name, data) for name in shared}
        two = {name: one for name, one in two.items() if len(one.cheap)}
        if target is not None:
            fields = {
                name: _for_target(one, target, fits[node, pair[0], name].refuses)
                for name, one in two.items()
            }
        else:
            fields = _for_spend(node, pair, two, data, curves, spend_usd or 0.0)
        settled = tuple(name for name, one in two.items() if one.lead(one.clash)[0] > 0)
        if settled or any(one.ask != "never" for one in fields.values()):
            yield _cascade(node, pair, fields, settled, data)


def _pair(node: str, data: Data, curves: Mapping[Place, Calibration]) -> tuple[str, str] | None:
    """The cheapest model of a node and the one most often right, where they are two."""
    models = data.models(node)
    cheap = models[0]
    quality = {
        model: mean([curves[node, model, name].right for name in data.fields(node, model)]).share
        for model in models
    }
    best = max(models, key=lambda model: (quality[model], -data.costs.get((node, model), 0.0)))
    return None if best == cheap else (cheap, best)


@dataclass(frozen=True, slots=True)
class _Two:
    """Judged rows that the cheap model answered, with what the better one says of them."""

    cheap: Answers
    right: Floats
    answered: Floats
    clash: NDArray[np.bool_]

    @classmethod
    def of(cls, node: str, pair: tuple[str, str], name: str, data: Data) -> _Two:
        """The rows that both models were asked about."""
        one, other = (data.judged[node, model, name] for model in pair)
        first, second = (data.recorded[node, model, name] for model in pair)
        clashing = {row_id for row_id, reading in first.items() if reading.clash}
        places = {row_id: at for at, row_id in enumerate(other.ids)}
        kept = np.array([row_id in second for row_id in one.ids], dtype=bool)
        at = [places.get(row_id, -1) for row_id in one.ids if row_id in second]
        right = [float(other.answers.right[place]) if place >= 0 else 0.0 for place in at]
        return cls(
            one.answers.part(kept),
            np.array(right, dtype=float),
            np.array([place >= 0 for place in at], dtype=float),
            np.array([row_id in clashing for row_id in one.ids if row_id in second], dtype=bool),
        )

    def rights(self, threshold: float) -> Floats:
        """Which answers are right where those under `threshold` go on; 1 or 0.

        Where the better model does not answer, the cheap answer stands.
        """
        escalated = (self.cheap.confidence < threshold) & (self.answered > 0)
        return np.where(escalated, self.right, self.cheap.right)

    def at(self, threshold: float) -> Proven:
        """What the cascade at `threshold` comes to, without a promise."""
        cheap = self.cheap
        share = float(np.average(self.rights(threshold), weights=cheap.weight))
        kept = float(np.average(cheap.confidence >= threshold, weights=cheap.weight))
        return Proven(threshold, Accuracy.of(share, cheap.effective, len(cheap)), kept)

    def lowest(self, target: float) -> Proven | None:
        """The lowest threshold that leaves the whole at `target`, or None where none is proven.

        The walk begins with every answer escalated.
        """
        cheap = self.cheap
        places = np.unique(np.quantile(cheap.confidence, np.linspace(0, 1, STEPS)))
        thresholds = [math.inf, *sorted((float(place) for place in places), reverse=True)]
        rows = cheap.effective

        def proves(threshold: float) -> bool:
            share = float(np.average(self.rights(threshold), weights=cheap.weight))
            return is_proven(share, rows, target, RISK / STARTS)

        found = lowest_proven(thresholds, proves)
        return None if found is None else self.at(found)

    def lead(self, kept: NDArray[np.bool_] | None = None) -> tuple[float, float]:
        """95% interval of what always asking the better model gains (Agresti and Min 2005).

        Of the rows `kept`, or of all. Copies and weights shrink the counts to the effective
        number of rows.
        """
        mixed, cheap = self.rights(math.inf), self.cheap
        if kept is not None:
            mixed, cheap = mixed[kept], cheap.part(kept)
        rows = cheap.effective
        if not rows:
            return paired_interval(0, 0, 0)
        lost = float(np.average((cheap.right > mixed), weights=cheap.weight)) * rows
        won = float(np.average((mixed > cheap.right), weights=cheap.weight)) * rows
        return paired_interval(lost, won, rows)


def _for_target(two: _Two, target: float, refuses: str | None) -> Escalation:
    found = two.lowest(target) if refuses is None else None
    if found is not None and not math.isinf(found.threshold):
        if found.threshold <= float(two.cheap.confidence.min()):
            return _escalation("never", found, target, "the first model alone keeps the target")
        return _escalation("unsure", found, target, "the lowest threshold that keeps the target")
    low, high = two.lead()
    lead = f"the second model's lead is {low:+.3f} to {high:+.3f}"
    why = f"{refuses or f'no threshold is proven to keep {target:g}'}; {lead}"
    if low <= 0:
        return _escalation("never", two.at(0.0), None, why)
    return _escalation("always", two.at(math.inf), None if found is None else target, why)


def _escalation(ask: str, found: Proven, promised: float | None, why: str) -> Escalation:
    threshold = as_share(found.threshold) if ask == "unsure" else 0.0
    return Escalation.model_validate(
        dict(ask=ask, min_confidence=threshold, promised=promised, right=found.right, why=why)
    )


def _for_spend(
    node: str,
    pair: tuple[str, str],
    two: Mapping[str, _Two],
    data: Data,
    curves: Mapping[Place, Calibration],
    spend_usd: float,
) -> dict[str, Escalation]:
    """One probability for all fields, as high as the spend allows, by each field's own curve."""
    usable = {name: curves[node, pair[0], name] for name in two}
    usable = {name: curve for name, curve in usable.items() if curve.refuses is None}
    costs = [data.costs.get((node, model), 0.0) for model in pair]
    cut = 0.0
    for tried in np.linspace(0, 1, CUTS + 1):
        least = {name: _confidence_at(curve, float(tried)) for name, curve in usable.items()}
        share, rows = _escalated(node, pair[0], least, data)
        _, high = wilson(share * rows, rows) or (0.0, 1.0)
        if costs[0] + high * costs[1] <= spend_usd:
            cut = float(tried)
    found: dict[str, Escalation] = {}
    for name, one in two.items():
        if name not in usable or cut == 0.0:
            refuses = curves[node, pair[0], name].refuses
            why = refuses or f"${spend_usd:f} a row leaves no room for a second model"
            found[name] = _escalation("never", one.at(0.0), None, why)
            continue
        reached = one.at(_confidence_at(usable[name], cut))
        why = (
            f"asked where the first is right with less than {cut:.2f}, within ${spend_usd:f} a row"
        )
        found[name] = _escalation("unsure", reached, None, why)
    return found


def _confidence_at(curve: Calibration, probability: float) -> float:
    """The lowest confidence whose probability reaches `probability`; 1 where none does."""
    for place in np.linspace(0, 1, 1001):
        if curve.probability(float(place))[1] >= probability:
            return float(place)
    return 1.0


def _escalated(
    node: str, model: str, least: Mapping[str, float], data: Data, settled: Sequence[str] = ()
) -> tuple[float, int]:
    """The share of all recorded rows that go on, and the number of rows.

    They have a field under its threshold, or a contradiction on one of `settled`.
    """
    rows: dict[str, bool] = {}
    for name in {**least, **dict.fromkeys(settled)}:
        for row_id, reading in data.recorded[node, model, name].items():
            due = (reading.confidence or 0.0) < least.get(name, 0.0)
            due = reading.value is not None and (due or (reading.clash and name in settled))
            rows[row_id] = rows.get(row_id, False) or due
    return (sum(rows.values()) / len(rows), len(rows)) if rows else (0.0, 0)


def _cascade(
    node: str,
    pair: tuple[str, str],
    fields: Mapping[str, Escalation],
    settled: tuple[str, ...],
    data: Data,
) -> Cascade:
    always = 2.0  # over every confidence
    least = {
        name: always if one.ask == "always" else one.min_confidence
        for name, one in fields.items()
        if one.ask != "never"
    }
    share, _ = _escalated(node, pair[0], least, data, settled)
    known = [one.right for one in fields.values() if one.right is not None]
    return Cascade(
        node=node,
        models=pair,
        fields=dict(fields),
        escalated=as_share(share),
        right=mean(known) if known else None,
        contradictions=settled,
    )
