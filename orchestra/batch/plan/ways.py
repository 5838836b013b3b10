"""Turns a sample into the ways that each kind of row may be served, with cost, time and worth.

Pure; it runs nothing and allocates nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestra.batch.plan.sample import RowSeen
from orchestra.batch.plan.worth import Judge, right_of, shrunk, worth_of
from orchestra.batch.tables.row import Row
from orchestra.core.job import Result
from orchestra.routing.routes import Route


@dataclass(slots=True)
class Trials:
    """Sampled rows of one kind along one route, by ordinal."""

    worth: dict[int, float] = field(default_factory=dict)
    right: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Evidence:
    """What the sample says of worth and rightness, by kind and route."""

    trials: dict[tuple[str, str], Trials] = field(default_factory=lambda: defaultdict(Trials))
    full: dict[str, list[Result]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(
        cls,
        seen: Iterable[RowSeen],
        rows: Mapping[int, Row],
        fullest: Mapping[str, Route],
        judge: Judge | None,
        fields: Sequence[str],
    ) -> Evidence:
        """Compare each row's routes with its fullest one."""
        evidence, seen = cls(), list(seen)
        full = {row.ordinal: row.result for row in seen if row.route == fullest[row.kind]}
        for row in seen:
            judged = {} if judge is None else judge(rows[row.ordinal], row.result)
            trials = evidence.trials[row.kind, row.route.name]
            worth = worth_of(row.result, full[row.ordinal], judged, fields)
            trials.worth[row.ordinal] = worth
            right = right_of(judged, fields)
            if right is not None:
                trials.right[row.ordinal] = right
        for row in seen:
            if row.route == fullest[row.kind]:
                evidence.full[row.kind].append(row.result)
        return evidence

    def worth(self, kind: str, route: Route, draw: Sequence[int] | None = None) -> float:
        """Worth of a route, a kind's few rows drawn towards all rows that have the same inputs.

        `draw` are ordinals that stand for the kind's rows, some of them several times.
        """
        own = self.trials[kind, route.name].worth
        values = list(own.values()) if draw is None else [own[at] for at in draw if at in own]
        like = kind.partition(",")[0]
        pooled = [
            value
            for (other, name), trials in self.trials.items()
            if name == route.name and other.partition(",")[0] == like
            for value in trials.worth.values()
        ]
        return shrunk(values, pooled)

    def rights(self, kind: str, route: str) -> list[float]:
        """How right each judged row of the sample is."""
        return list(self.trials[kind, route].right.values())

    def was_tried(self, kind: str, route: Route) -> bool:
        """Whether rows of the kind went along the route."""
        return bool(self.trials[kind, route.name].worth)
