"""Says how likely each model answers a text well, and how sure that is; it does not learn.

A text of a form that the labels did not cover (without options where all had some, or the reverse)
gets the models' mean rates, and is ranked by a prior, its workload, instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.learned.cues import NAMES, matrix
from benchmarks.learned.curve import Floats, Interval, RoutingScore
from benchmarks.learned.forest import Forest
from orchestra.core.errors import InvalidPolicy

Form = Literal["options", "open"]
OPTIONS, WORKLOAD = NAMES.index("option_count"), NAMES.index("workload")
LEAST_SHARE = 0.02  # of the labelled texts, for a form to count as covered


@dataclass(frozen=True, slots=True)
class Estimate:
    """The probability that each model is right, and whether the labels covered such texts."""

    right: Mapping[str, float]
    covered: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on groups that the trees had not seen, with 95% intervals over groups.

    `skill` is the share of the squared error of each model's mean rate that the estimates remove;
    `routing` is how well the first model's calls are passed to the last one (None for one model);
    `left_out` names the groups whose labels were not believed.
    """

    texts: int
    groups: int
    skill: Mapping[str, Interval]
    routing: RoutingScore | None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Fitted trees with what is known about them; `models` stand cheapest first."""

    models: tuple[str, ...]
    forest: Forest
    depth: int
    covered: frozenset[Form]
    spread: float
    evidence: Evidence

    @property
    def refuses(self) -> str | None:
        """Why no gain from routing may be claimed; None where its interval lies above zero."""
        routing = self.evidence.routing
        if routing is None:
            return f"There is one model only, {self.models[0]!r}: nothing to route between."
        if routing.lift.low > 0:
            return None
        return (
            f"Routing between {self.models[0]!r} and {self.models[-1]!r} by these "
            f"{self.evidence.texts} labels gains {routing.lift} in mean accuracy on held-out "
            "groups, which is within noise. Label more texts, or keep to one model."
        )

    def knows(self, model: str) -> bool:
        """Whether its estimates beat the model's mean rate by more than noise."""
        self._place(model)
        return self.evidence.skill[model].low > 0

    def predict(self, text: str) -> Estimate:
        """The probabilities for one text, as fitted: look at `refuses` and `knows`, too."""
        table = matrix([text])
        (covered,) = self.covers(table)
        (right,) = self.forest.predict(table, self.depth if covered else 0)
        return Estimate(dict(zip(self.models, right.tolist(), strict=True)), bool(covered))

    def gains(
        self, texts: Sequence[str], weak: str | None = None, strong: str | None = None
    ) -> Floats:
        """How much likelier `strong` (the last model) is right than `weak` (the first), each text.

        Of a form that is not covered, a usual text gains the mean, and one with more workload more.
        """
        first = self._place(self.models[0] if weak is None else weak)
        last = self._place(self.models[-1] if strong is None else strong)
        table = matrix(texts)
        known, mean = (self.forest.predict(table, depth) for depth in (self.depth, 0))
        gain = known[:, last] - known[:, first]
        prior = mean[:, last] - mean[:, first] + self.spread * table[:, WORKLOAD]
        return np.where(self.covers(table), gain, prior)

    def covers(self, table: Floats) -> NDArray[np.bool_]:
        """Whether the labels held enough texts of each row's form; `table` is `matrix(texts)`."""
        has_options = ~np.isnan(table[:, OPTIONS])
        return np.where(has_options, "options" in self.covered, "open" in self.covered)

    def _place(self, model: str) -> int:
        if model not in self.models:
            raise InvalidPolicy(
                f"The policy was not fitted for the model {model!r} (it knows: "
                f"{', '.join(map(repr, self.models))}). Fit it again with labels of that model."
            )
        return self.models.index(model)


def covered_forms(table: Floats) -> frozenset[Form]:
    """The forms that enough of the labelled texts have; `table` is `matrix(texts)`."""
    options = float(np.mean(~np.isnan(table[:, OPTIONS])))
    shares: dict[Form, float] = {"options": options, "open": 1 - options}
    return frozenset(form for form, share in shares.items() if share >= LEAST_SHARE)
