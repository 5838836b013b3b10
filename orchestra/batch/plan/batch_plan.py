"""A batch's plan as it is saved and printed: kinds of rows, their routes, and what it will come to.

It knows no model and no table; the batch that runs it holds itself to the same identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestra.batch.mismatch import differences
from orchestra.batch.plan.kinds import Kinds
from orchestra.core.errors import InvalidPlan
from orchestra.core.files.atomic import write_text
from orchestra.core.job import Word, first_problem
from orchestra.core.stats import Estimate
from orchestra.core.values import duration
from orchestra.core.view.notebook import folded_away, head, line, table, view

VERSION = 1
HEAD = ("kind", "rows", "route", "takes it", "$ a row", "worth", "right", "complete", "sure")
TAKES = 3  # of `HEAD`


class WayPlan(Word):
    """One route of a kind: rows that take it, and of one row its cost, time and worth.

    `right` is the share of right answers in `tried` rows, None where nothing judged them.
    """

    route: str
    rows: int
    cost_usd: float
    seconds: float
    worth: float
    tried: int = 0
    right: float | None = None


class KindPlan(Word):
    """Rows that are alike. The first way is the fullest; `left` rows are over budget.

    `fresh` is the share of their texts and photos that no row before them has.
    """

    name: str
    rows: int
    sampled: int
    left: int
    ways: tuple[WayPlan, ...]
    complete: Estimate | None = None
    confidence: float | None = None
    fresh: float = 1.0


class More(Word):
    """What more money or time would buy: worth and rows, or hosts that are not needed."""

    worth: float = 0.0
    quality: float | None = None
    rows: int = 0
    hosts: int = 0

    def __str__(self) -> str:
        gains: list[str] = []
        if self.rows:
            gains.append(f"{self.rows} more rows served")
        if self.worth > 0.0005:
            gains.append(f"{self.worth:+.1%} of the answers' worth")
        if self.quality is not None and abs(self.quality) > 0.0005:
            gains.append(f"{self.quality:+.1%} right")
        if self.hosts:
            gains.append(f"{self.hosts} fewer hosts")
        return ", ".join(gains) or "nothing more"


class BatchPlan(Word):
    """A plan for one table. Money in dollars, time in seconds on one host like this one.

    `worth` is the mean over all rows, as the routes were chosen by it; `spend` counts the sample.
    An estimate that is None is unknown. `review` is how many rows will need a person, and `unseen`
    how many of the `photos` no model looks at.
    """

    version: int = VERSION
    table: str
    rows: int
    unusable: int
    identity: Mapping[str, str]
    fleet: str
    snapshot: str
    cost_usd: float | None
    deadline_s: float | None
    hosts_given: int | None
    seed: int
    gold: Mapping[str, str] = {}
    fields: tuple[str, ...] = ()
    edges: Kinds
    kinds: tuple[KindPlan, ...]
    sampled: tuple[int, ...] = ()
    is_full: bool
    full_usd: float
    at_most_usd: float
    reserve_usd: float
    spent_usd: float
    sample_usd: float
    sample_s: float
    spend: Estimate | None
    seconds: Estimate | None
    quality: Estimate | None
    review: Estimate | None = None
    photos: int = 0
    unseen: int = 0
    worth: float
    expected_usd: float
    work_s: float
    hosts: int | None
    replicas: Mapping[str, int] = {}
    next_dollar: More | None = None
    next_hour: More | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of_json(cls, text: str, *, origin: str) -> BatchPlan:
        """A plan from its JSON. Raises `InvalidPlan`."""
        try:
            plan = cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidPlan(
                f"{origin} is not a plan of a batch: {first_problem(error, cls)}. Make one with "
                "`orchestra plan TABLE --save plan.json`."
            ) from error
        if plan.version != VERSION:
            raise InvalidPlan(
                f"{origin} is a plan of version {plan.version!r}; this release reads {VERSION}. "
                "Plan it again with `orchestra plan`."
            )
        return plan

    @property
    def left(self) -> int:
        """Rows that are over budget."""
        return sum(kind.left for kind in self.kinds)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    def check(self, identity: Mapping[str, str]) -> None:
        """Raise `InvalidPlan` unless it is a plan of the batch that `identity` describes."""
        known = {name: value for name, value in identity.items() if name in self.identity}
        if differing := differences(self.identity, known):
            raise InvalidPlan(
                f"The plan was made for another batch: {'; '.join(differing)}. Plan it again with "
                "`orchestra plan`."
            )

    def check_snapshot(self, snapshot: str) -> None:
        """Raise `InvalidPlan` unless its models' prices and figures are those of `snapshot`."""
        if self.snapshot != snapshot:
            raise InvalidPlan(
                f"The plan was made at other prices, latencies or limits of the fleet's models: "
                f"its snapshot is {self.snapshot}, the fleet's {snapshot}. Plan it again with "
                "`orchestra plan`."
            )

    def public(self) -> dict[str, Any]:
        """As printed by `plan --json`, and saved."""
        return self.model_dump(mode="json")

    def __repr__(self) -> str:
        figures = dict(_figures(self))
        left = f", {self.left} over budget" * bool(self.left)
        return (
            f"BatchPlan({Path(self.table).name}: {self.rows} rows{left}, {self.fleet})\n"
            f"  spend {figures['money']}\n  time {figures['time']}"
        )

    def _repr_html_(self) -> str:
        facts = [f"{self.rows} rows", f"{self.unusable} unusable" * bool(self.unusable), self.fleet]
        taken, others = [], []
        for kind in self.kinds:
            ways = _kind_rows(kind)
            taken += [row for row in ways if row[TAKES] != "0"]
            others += [(kind.name, row[2], f"${row[4]} a row") for row in ways if row[TAKES] == "0"]
        more = {"one more dollar": self.next_dollar, "one more hour": self.next_hour}
        return view(
            head(Path(self.table).name, [*facts, f"budget: {_limits(self)}"]),
            table(HEAD, taken, numbers=(1, TAKES, 4, 5)),
            *(line(label, text) for label, text in _figures(self)),
            *(line(label, str(gain)) for label, gain in more.items() if gain is not None),
            *(line("note", note) for note in self.notes),
            folded_away("routes that no row takes", others),
        )

    def __str__(self) -> str:
        """The answer in five lines, then what it rests on; `routes` has the routes."""
        sample = "none (dry): prices and quality are those of the cards"
        if self.sampled:
            sample = (
                f"{len(self.sampled)} rows: {money(self.sample_usd)} in "
                f"{duration(self.sample_s)}, counted in the batch's book"
            )
        lines = [
            *(f"{label:<9} {text}" for label, text in _answer(self)),
            "",
            f"table     {Path(self.table).name}: {self.rows} rows, fleet {self.fleet}, "
            f"budget: {_limits(self)}",
            f"sample    {sample}",
            *(f"note      {note}" for note in self.notes),
        ]
        if self.next_dollar is not None:
            lines.append(f"one more dollar  {self.next_dollar}")
        if self.next_hour is not None:
            lines.append(f"one more hour    {self.next_hour}")
        return "\n".join(lines)

    def routes(self) -> str:
        """Routes by kind of row, with what a row costs and is worth along each."""
        return "\n".join([*_kind_lines(self), "", *(f"{a:<8}  {b}" for a, b in _beyond(self))])


def load_plan(path: Path) -> BatchPlan:
    """Read a saved plan. Raises `InvalidPlan` for a file that is missing or is none."""
    try:
        return BatchPlan.of_json(path.read_text(encoding="utf-8"), origin=str(path))
    except (OSError, UnicodeDecodeError) as cause:
        raise InvalidPlan(
            f"The plan {str(path)!r} cannot be read ({cause}). Give the file that "
            "`orchestra plan TABLE --save` wrote."
        ) from cause


def _limits(plan: BatchPlan) -> str:
    limits = [] if plan.cost_usd is None else [f"cost_usd={plan.cost_usd:f}".rstrip("0")]
    limits += [] if plan.deadline_s is None else [f"deadline={duration(plan.deadline_s)}"]
    limits += [] if plan.hosts_given is None else [f"hosts={plan.hosts_given}"]
    return ", ".join(limits) or "no limits"


def _kind_lines(plan: BatchPlan) -> list[str]:
    rows = [HEAD, *(row for kind in plan.kinds for row in _kind_rows(kind))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _kind_rows(kind: KindPlan) -> list[tuple[str, ...]]:
    complete = "" if kind.complete is None else _percent(kind.complete)
    sure = "" if kind.confidence is None else f"{kind.confidence:.2f}"
    rows: list[tuple[str, ...]] = []
    for place, way in enumerate(kind.ways):
        right = "" if way.right is None else f"{way.right:.0%} of {way.tried}"
        head = (kind.name, str(kind.rows)) if place == 0 else ("", "")
        tail = (complete, sure) if place == 0 else ("", "")
        cost, worth = f"{way.cost_usd:.8f}", f"{way.worth:.2f}"
        rows.append((*head, way.route, str(way.rows), cost, worth, right, *tail))
    if kind.left:
        rows.append(("", "", "over budget", str(kind.left), "", "", "", "", ""))
    return rows


def _figures(plan: BatchPlan) -> Iterator[tuple[str, str]]:
    """What the batch will come to, each figure with its label."""
    yield from _answer(plan)
    yield from _beyond(plan)


def _answer(plan: BatchPlan) -> Iterator[tuple[str, str]]:
    """What who pays asks first: money, time, work for people, quality, and what is left out."""
    spend = f"{money(plan.expected_usd)} by the cards"
    time = f"{duration(plan.work_s)} by the cards, one call at a time on one host"
    if plan.spend is not None:
        low, high = money(plan.spend.low), money(plan.spend.high)
        spend, time = f"{money(plan.spend.value)} [{low}, {high}]", _time(plan.seconds)
    if plan.hosts is not None:
        time += f"; {plan.hosts} such hosts for the deadline"
    yield "money", f"{spend}; at most {money(plan.at_most_usd)}, guaranteed"
    yield "time", time
    yield "review", _review(plan)
    yield "quality", _quality(plan)
    yield "left out", "; ".join(_left_out(plan)) or "nothing: every row is served"


def _beyond(plan: BatchPlan) -> Iterator[tuple[str, str]]:
    """What the routes were chosen by, and what they need to run."""
    whole = "the whole table fits"
    if not plan.is_full:
        whole = f"in full it would be {money(plan.full_usd)}"
    yield "worth", f"{plan.worth:.3f} of 1 a row; {whole}"
    if plan.hosts is not None:
        yield "replicas", ", ".join(f"{model} {count}" for model, count in plan.replicas.items())


def _review(plan: BatchPlan) -> str:
    if plan.review is None:
        return "unknown: no sample was run"
    low, value, high = (round(one) for one in plan.review.interval)
    return f"{value} of {plan.rows} rows for a person [{low}, {high}]"


def _left_out(plan: BatchPlan) -> Iterator[str]:
    if plan.left:
        yield f"rows over budget: {plan.left} (the whole table: {money(plan.full_usd)})"
    if plan.unusable:
        yield f"unusable rows: {plan.unusable} (no text, and no photo that is there)"
    if plan.unseen:
        yield (
            f"photos not looked at: {plan.unseen} of {plan.photos}, so nobody tells whether they "
            "show what their texts sell"
        )


def _quality(plan: BatchPlan) -> str:
    if plan.quality is not None:
        pairs = ", ".join(f"{name}={column}" for name, column in plan.gold.items())
        return f"{_percent(plan.quality)} of the usable rows right, by {pairs}"
    if plan.gold:
        return "unknown: a kind has no sampled row with a true value"
    return "unknown (give a column of true values: --gold category=true_category)"


def _time(seconds: Estimate | None) -> str:
    if seconds is None:
        return "unknown"
    low, high = duration(seconds.low), duration(seconds.high)
    return f"{duration(seconds.value)} [{low}, {high}] on one host like this one"


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"


def money(usd: float) -> str:
    """Dollars with as many places as are needed."""
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.6f}"
