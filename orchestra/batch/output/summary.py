"""What a batch came to: its rows counted, what a policy promises of them, its plan beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from orchestra.batch.output.rows import OVER_BUDGET, PENDING, REJECTED, OutputRow
from orchestra.batch.parked import WAITING
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.worth import Gold, right_of
from orchestra.book.messages import Overrun
from orchestra.core.job import Result
from orchestra.core.money import usd
from orchestra.core.stats import Estimate
from orchestra.core.values import dollars, duration
from orchestra.core.view.notebook import bar, folded_away, head, line, table, view
from orchestra.core.view.result import counts

STATUSES = ("complete", "partial", "review", WAITING, "failed", REJECTED)
ELSEWHERE = "ran_on_cluster"  # in a book's meta, once rows of it have run on one
NOT_COMPARED = "quoted for one host with its models loaded, and this ran on a cluster"


@dataclass(slots=True)
class Summary:
    """What a batch came to, as in summary.json. `pending` rows have not been run.

    `table` says how many of its rows were kept from tables before, and what became of the others.
    `rejected` are the rows that a person rejected, and `decided` those that somebody decided of.

    `waiting` rows have asked a person, and go on with `orchestra resume`. Of the pending
    `over_budget` were left so that others could be served; `quote` is the plan's figures beside the
    actual ones. `duplicates` counts groups of rows that say or show the same. `promise` is what a
    policy promises of the rows that are let through. `cached` calls were answered by a cache,
    which saved `saved_usd`. Of `cost_usd` nobody reported `presumed_usd`, and
    `overruns` lay beyond the worst case of their calls.
    """

    rows: int = 0
    complete: int = 0
    partial: int = 0
    review: int = 0
    waiting: int = 0
    failed: int = 0
    rejected: int = 0
    pending: int = 0
    over_budget: int = 0
    decided: int = 0
    contradictions: int = 0
    reused: int = 0
    cached: int = 0
    saved_usd: Decimal = Decimal(0)
    cost_usd: Decimal = Decimal(0)
    presumed_usd: Decimal = Decimal(0)
    overruns: tuple[Overrun, ...] = ()
    tokens: int = 0
    seconds: float = 0.0
    plan_mix: dict[str, int] = field(default_factory=dict)
    fleet: str = ""
    snapshot: str = ""
    stopped: str = ""
    table: dict[str, Any] | None = None
    quote: dict[str, Any] | None = None
    duplicates: Mapping[str, Any] | None = None
    promise: dict[str, Any] | None = None
    files: dict[str, str] = field(default_factory=dict)

    def add(self, entry: OutputRow) -> None:
        """Count one more row in."""
        self.rows += 1
        status = PENDING if entry.result is None else entry.status
        setattr(self, status, getattr(self, status) + 1)
        self.over_budget += entry.status == OVER_BUDGET
        self.decided += entry.standing is not None
        if entry.result is not None:
            self.contradictions += entry.result.contradictions
            self.reused += entry.result.reused
            self.cached += entry.result.cached
            self.saved_usd += entry.result.saved_usd

    def __repr__(self) -> str:
        stopped = f"\n  stopped: {self.stopped}" * bool(self.stopped)
        return f"Summary({', '.join(self._facts())}){stopped}"

    def _repr_html_(self) -> str:
        promised = promise_lines(self.promise, self.rows) if self.promise else []
        return view(
            head("Batch", self._facts()),
            bar(self.counts()),
            table(("status", "rows"), [(s, str(n)) for s, n in self.counts().items() if n], (1,)),
            line("stopped", self.stopped) if self.stopped else None,
            *(line("policy", text) for text in promised),
            _quote_table(self.quote) if self.quote else None,
            folded_away("plan", [(mix, str(rows)) for mix, rows in self.plan_mix.items()]),
            *(line(name, path) for name, path in self.files.items()),
        )

    def _facts(self) -> list[str]:
        facts = [
            f"{self.rows} rows: {counts(self.counts())}",
            dollars(self.cost_usd),
            duration(self.seconds),
        ]
        if self.contradictions:
            facts.append(f"{self.contradictions} contradictions")
        if self.cached:
            facts.append(f"{self.cached} calls from the cache (saved {dollars(self.saved_usd)})")
        return facts

    @property
    def overrun_usd(self) -> Decimal:
        """What servers charged beyond the worst case of their calls."""
        return usd(sum(overrun.cost_micro for overrun in self.overruns))

    def counts(self) -> dict[str, int]:
        """Rows by status."""
        return {name: getattr(self, name) for name in (*STATUSES, PENDING)}

    def public(self) -> dict[str, Any]:
        """As it stands in summary.json."""
        return asdict(self) | {
            "cost_usd": float(self.cost_usd),
            "presumed_usd": float(self.presumed_usd),
            "overrun_usd": float(self.overrun_usd),
            "overruns": [overrun.public() for overrun in self.overruns],
            "saved_usd": float(self.saved_usd),
        }


def _quote_table(quote: Mapping[str, Any]) -> Markup:
    """What was planned beside what it came to."""
    rows = [
        (
            name,
            f"{one['quoted']:.6g}",
            f"{one['interval'][0]:.6g} to {one['interval'][1]:.6g}",
            f"{one['actual']:.6g}",
            {True: "within", False: "outside", None: "not compared"}[one["within"]],
        )
        for name, one in quote.items()
    ]
    return table(("planned", "value", "interval", "actual", ""), rows, numbers=(1, 2, 3))


@dataclass(slots=True)
class Promise:
    """Counts rows, and the answers to each field: promised, in doubt, or of nothing known."""

    rows: int = 0
    in_doubt: int = 0
    qualities: set[float] = field(default_factory=set)
    fields: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """One more row. It is let through when it is complete."""
        self.rows += result.status == "complete"
        self.in_doubt += any(one.doubt for one in result.fields.values())
        for name, one in result.fields.items():
            if not one.answered or one.source == "derived":
                continue
            how = "in_doubt" if one.doubt else "unknown" if one.promised is None else "promised"
            self.fields.setdefault(name, Counter())[how] += 1
            if one.promised is not None:
                self.qualities.add(one.promised)

    def public(self) -> dict[str, Any] | None:
        """As in summary.json; None where no policy promised or doubted anything.

        `quality` is the least share that is promised of the answers counted as promised.
        """
        if not self.qualities and not self.in_doubt:
            return None
        kinds = ("promised", "in_doubt", "unknown")
        return {
            "quality": min(self.qualities, default=None),
            "rows_let_through": self.rows,
            "rows_in_doubt": self.in_doubt,
            "fields": {name: {kind: n[kind] for kind in kinds} for name, n in self.fields.items()},
        }


def promise_lines(promise: Mapping[str, Any], rows: int) -> list[str]:
    """The promise as it is printed, with the fields of which nothing is promised."""
    quality = promise["quality"]
    silent = [name for name, count in promise["fields"].items() if not count["promised"]]
    kept = [name for name in promise["fields"] if name not in silent]
    lines = [
        f"{promise['rows_let_through']} of {rows} rows are let through, "
        f"{promise['rows_in_doubt']} are for review under a calibrated threshold"
    ]
    if quality is not None:
        lines.append(f"promised: at least {quality:.0%} of the answers right, in {', '.join(kept)}")
    if silent:
        lines.append(f"nothing promised: {', '.join(silent)} (the recipe's own bounds stand)")
    return lines


def beside(
    plan: BatchPlan,
    rows: Iterable[OutputRow],
    cost_usd: float,
    seconds: float,
    *,
    is_elsewhere: bool = False,
) -> dict[str, Any]:
    """Each figure of the plan beside the actual one; a row without a result is not right.

    A figure that was not planned, or has no true values, is left out. The time of a batch
    `is_elsewhere`, on a cluster whose hosts start and load first, is not compared with the plan.
    """
    found: dict[str, Any] = {}
    if plan.spend is not None:
        found["spend_usd"] = _beside(plan.spend, cost_usd)
    if plan.seconds is not None:
        found["seconds"] = _beside(plan.seconds, seconds)
        if is_elsewhere:
            found["seconds"] |= {"within": None, "why": NOT_COMPARED}
    actual = _right(plan, rows) if plan.gold else None
    if plan.quality is not None and actual is not None:
        found["quality"] = _beside(plan.quality, actual)
    return found


def _beside(planned: Estimate, actual: float) -> dict[str, Any]:
    return {
        "quoted": planned.value,
        "interval": [planned.low, planned.high],
        "actual": actual,
        "within": planned.holds(actual),
    }


def _right(plan: BatchPlan, rows: Iterable[OutputRow]) -> float | None:
    """The share of rows with a true value that are right."""
    judge = Gold(plan.gold)
    judged = (right_of(judge(one.row, one.outcome), plan.fields) for one in rows)
    rights = [right for right in judged if right is not None]
    return sum(rights) / len(rights) if rights else None
