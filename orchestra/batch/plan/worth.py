"""What a route's answers are worth beside those of the fullest route, as a sample tells.

A field with a true value counts by whether it is right. Another one counts as kept when
it says what the fullest route says: that is no measure of quality, and is never shown as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from orchestra.batch.plan.sample import SampledRow
from orchestra.batch.tables.row import Row
from orchestra.combine.match import MATCH
from orchestra.core.card import FleetFile
from orchestra.core.job import Result
from orchestra.core.values import folded
from orchestra.quality.learned.expected import Expectations
from orchestra.quality.readings import said
from orchestra.routing.introspect import GraphView
from orchestra.routing.routes import Route

SERVED = 0.05  # of a row's worth, for any answer at all
PRIOR_ROWS = 0.5  # of all kinds, added to what few rows of one kind say
UNKNOWN_QUALITY = 0.5
CHECKED = 3  # fields that a photo compared with its text is worth as much as


@dataclass(frozen=True, slots=True)
class Gold:
    """Judges by the true values in the table's own columns, by field. An empty cell says nothing;
    a field that was not answered is not right."""

    columns: Mapping[str, str]

    def __call__(self, row: Row, result: Result) -> Mapping[str, float]:
        """1 or 0 for each field with a true value."""
        truths = {name: folded(row.values.get(at) or "") for name, at in self.columns.items()}
        return {
            name: float(said(result.fields.get(name)) == truth)
            for name, truth in truths.items()
            if truth
        }


def worth_of(
    result: Result, fullest: Result, judged: Mapping[str, float], fields: Sequence[str]
) -> float:
    """The worth of one row's answers, 0 to 1. `fields` are those that count; none means all.

    Written parts are not compared: two texts may say the same. Whether photo and text were compared
    counts in any case, as `CHECKED` fields: who saves money on it does not hear of wrong photos.
    """
    if result.status == "failed":
        return 0.0
    counted = list(fields) or [
        name
        for name, one in fullest.fields.items()
        if name in judged or (one.answered and one.source != "derived" and name != MATCH)
    ]
    credits: list[float] = []
    if said(fullest.fields.get(MATCH)) is not None:
        compared = said(result.fields.get(MATCH)) is not None
        credits += [float(compared)] * CHECKED
    for name in counted:
        full = said(fullest.fields.get(name))
        if name in judged:
            credits.append(judged[name])
        elif full is not None:
            credits.append(float(said(result.fields.get(name)) == full))
    return SERVED + (1 - SERVED) * (fmean(credits) if credits else 0.0)


def right_of(judged: Mapping[str, float], fields: Sequence[str]) -> float | None:
    """How right a row is: the mean over the judged fields that count; None without one."""
    known = [value for name, value in judged.items() if not fields or name in fields]
    return fmean(known) if known else None


def sure_of(result: Result, fields: Sequence[str]) -> float | None:
    """Mean confidence of the answered fields that count, as the models give it."""
    known = [
        one.confidence
        for name, one in result.fields.items()
        if one.answered and one.confidence is not None and (not fields or name in fields)
    ]
    return fmean(known) if known else None


def shrunk(own: Sequence[float], pooled: Sequence[float]) -> float:
    """The mean of a few values, drawn towards that of many (0 of none)."""
    if not pooled:
        return fmean(own) if own else 0.0
    return (sum(own) + PRIOR_ROWS * fmean(pooled)) / (len(own) + PRIOR_ROWS)


def worth_unsampled(
    view: GraphView,
    fleet: FleetFile,
    route: Route,
    fullest: Route,
    expected: Expectations = (),
) -> float:
    """Worth without a sample: quality over the inputs that the fullest route reads.

    That is what is `expected` of the rows' texts where it was learnt, else what the cards say.
    """
    learned = {(one.node, one.model): one.share for one in expected}

    def reading(of: Route) -> list[tuple[str, str]]:
        return [(node, model) for node, model, _ in of.parts if view.asks[node].reads != "facts"]

    qualities: list[float] = []
    for node, model in reading(route):
        name = model.partition(">")[0]
        quality = fleet.card(name).quality.get(view.asks[node].capability)
        score = None if quality is None else quality.score
        known = UNKNOWN_QUALITY if score is None else score / 100
        qualities.append(learned.get((node, name), known))
    most = max(1, len(reading(fullest)))
    return SERVED + (1 - SERVED) * sum(qualities) / most


@dataclass(slots=True)
class Appraisal:
    """What a sample says of a kind's rows along a route: by ordinal, their worth and rightness.

    `full` are the results of each kind along its fullest route; `review` is 1 where a row came to
    need a person, else 0.
    """

    fullest: Mapping[str, Route]
    worths: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    right: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    review: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    full: dict[str, list[Result]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(
        cls,
        rows: Iterable[SampledRow],
        fullest: Mapping[str, Route],
        gold: Gold,
        fields: Sequence[str],
    ) -> Appraisal:
        """Compare each row's routes with its fullest one."""
        appraisal, rows = cls(fullest), list(rows)
        full: dict[int, Result] = {}
        for sampled in rows:
            if sampled.route == fullest[sampled.kind]:
                full[sampled.row.ordinal] = sampled.result
                appraisal.full[sampled.kind].append(sampled.result)
        for sampled in rows:
            ordinal, key = sampled.row.ordinal, (sampled.kind, sampled.route.name)
            judged = gold(sampled.row, sampled.result)
            worth = worth_of(sampled.result, full[ordinal], judged, fields)
            appraisal.worths.setdefault(key, {})[ordinal] = worth
            needs_person = float(sampled.result.status != "complete")
            appraisal.review.setdefault(key, {})[ordinal] = needs_person
            right = right_of(judged, fields)
            if right is not None:
                appraisal.right.setdefault(key, {})[ordinal] = right
        return appraisal

    def tried(self, kind: str, route: str) -> dict[int, float]:
        """The worth of the kind's rows that went along the route, by ordinal."""
        return self.worths.get((kind, route), {})

    def worth(self, kind: str, route: str, draw: Sequence[int] | None = None) -> float:
        """Worth of a route, a kind's few rows drawn towards all rows that have the same inputs.

        `draw` are ordinals that stand for the kind's rows, some of them several times.
        """
        own = self.tried(kind, route)
        values = list(own.values()) if draw is None else [own[at] for at in draw if at in own]
        like = kind.partition(",")[0]
        pooled = [
            value
            for (other, name), worths in self.worths.items()
            if name == route and other.partition(",")[0] == like
            for value in worths.values()
        ]
        return shrunk(values, pooled)

    def rights(self, kind: str, share: Sequence[tuple[Route | None, int]]) -> dict[int, float]:
        """How right each judged row of the sample is, over the routes of its kind."""
        return self._over(self.right, kind, share)

    def reviews(self, kind: str, share: Sequence[tuple[Route | None, int]]) -> dict[int, float]:
        """How likely each row of the sample needs a person, over the routes of its kind."""
        return self._over(self.review, kind, share)

    def _over(
        self,
        told: Mapping[tuple[str, str], Mapping[int, float]],
        kind: str,
        share: Sequence[tuple[Route | None, int]],
    ) -> dict[int, float]:
        count = sum(rows for _, rows in share)
        parts = [(route, rows / count) for route, rows in share if rows]
        if not parts:  # every row of the kind is in the sample, which takes the fullest route
            parts = [(self.fullest[kind], 1.0)]
        return {
            ordinal: sum(
                part * told.get((kind, route.name), {}).get(ordinal, 0.0)
                for route, part in parts
                if route is not None
            )
            for ordinal in told.get((kind, self.fullest[kind].name), ())
        }
