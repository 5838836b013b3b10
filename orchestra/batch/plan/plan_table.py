"""Plans a batch: scans its table, runs a small sample, and allocates the budget over all rows.

Without `dry` the sample is run for real: its calls stand in the batch's own book, count towards
its budget, and are not paid again by the batch that follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.plan.draft import Draft
from orchestra.batch.plan.forecast import Forecaster, Rates
from orchestra.batch.plan.kinds import Scan
from orchestra.batch.plan.quote import BatchPlan
from orchestra.batch.plan.quoting import quoted
from orchestra.batch.plan.sample import Sample, run_sample
from orchestra.batch.plan.ways import Evidence
from orchestra.batch.plan.worth import Gold, Judge
from orchestra.batch.progress import Progress, Silent
from orchestra.batch.request import Request
from orchestra.batch.row_run import RowOptions, RowRun, row_budget
from orchestra.batch.tables.row import Row
from orchestra.batch.tables.table import resolve_columns
from orchestra.book.ledger import LocalLedger
from orchestra.core.errors import BudgetExceeded, InvalidBudget, InvalidTable
from orchestra.core.job import Budget
from orchestra.core.money import limit_micro
from orchestra.fleet.opened import OpenFleet
from orchestra.routing.introspect import GraphView, view
from orchestra.routing.prices import Prices
from orchestra.routing.routes import Route, routes

DEFAULT_SAMPLE = 30
MOST_OF_TABLE = 5  # a sample is a fifth of the table at most, or two rows of each kind
SAMPLE_SHARE = 0.2  # of the budget, for the sample along the fullest route, which is kept
EXPLORE_SHARE = 0.1  # of the budget, for trying other routes on it
MARKED_AS_NONE = "failed"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a plan is asked for; an absent limit does not bind.

    `deadline_s` is for the whole batch, on `hosts` like this one if that many are given. `gold`
    are columns of true values by field, `fields` those that count (none: all).
    """

    budget: Budget = field(default_factory=Budget)
    deadline_s: float | None = None
    hosts: int | None = None
    sample: int = DEFAULT_SAMPLE
    seed: int = 0
    gold: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    limit: int | None = None
    judge: Judge | None = None


async def plan_table(
    fleet: OpenFleet,
    request: Request,
    wish: Wish,
    *,
    folder: Folder | None,
    in_flight: int,
    progress: Progress | None = None,
) -> BatchPlan:
    """The plan of a batch. Its sample runs in `folder`; without one nothing is run or spent.

    Raises `InvalidTable` when no row can be used or the whole sample fails, `InvalidBudget` for
    a wish that is none, `BudgetExceeded` when the cap does not hold the sample, and what loading
    the models raises.
    """
    check_wish(wish, request)
    seen = view(request.graph)
    scan = Scan.of(_rows(request, wish.limit), request.columns, request.base, wish.gold)
    if folder is not None:
        scan.finished = folder.book.finished_ordinals()
    kinds = scan.by_kind()
    if not kinds and scan.finished:
        raise InvalidTable(
            f"Every row of {request.table.path.name!r} that can be used is finished in "
            f"{str(folder and folder.path)!r}: nothing is left to plan. Give --out a new folder."
        )
    if not kinds:
        raise InvalidTable(
            f"No row of {request.table.path.name!r} can be used: of {len(scan)} rows none has a "
            f"text in {', '.join(request.columns.text) or 'a text column'} or a photo that "
            "exists. Name other columns, or give --images the photos' folder."
        )
    ways = _routes(seen, fleet, wish, scan, kinds)
    planning = _Planning(fleet, request, wish, seen, scan, kinds, ways)
    if folder is not None:
        await planning.run_sample(folder, in_flight, progress or Silent())
    return planning.quote()


def check_wish(wish: Wish, request: Request) -> None:
    """Raise `InvalidBudget` or `InvalidTable` for what cannot be planned."""
    if wish.sample < 1:
        raise InvalidBudget(f"sample={wish.sample!r} is not a number of rows; give 1 or more.")
    if wish.deadline_s is not None and wish.deadline_s <= 0:
        raise InvalidBudget(f"deadline={wish.deadline_s!r} s leaves no time. Give more, as in 2h.")
    if wish.hosts is not None and wish.hosts < 1:
        raise InvalidBudget(f"hosts={wish.hosts!r} is not a number of hosts; give 1 or more.")
    resolve_columns(request.table.columns, list(wish.gold.values()), [], "gold")
    read = [*request.columns.text, request.columns.image]
    for name, column in wish.gold.items():
        if column in read:
            raise InvalidTable(
                f"The true values of {name!r} stand in {column!r}, which the models read. Leave "
                "it out of --text-columns, or name another column in --gold."
            )


def _rows(request: Request, limit: int | None) -> islice[Row]:
    return islice(request.table.rows(), limit)


def _routes(
    seen: GraphView, fleet: OpenFleet, wish: Wish, scan: Scan, kinds: Mapping[str, Sequence[int]]
) -> dict[str, list[Route]]:
    """Routes of each kind, those of its longest text: they must do for all of its rows."""
    found: dict[str, list[Route]] = {}
    for kind, ordinals in kinds.items():
        longest = max((scan.shape(at) for at in ordinals), key=lambda shape: shape.text_bytes)
        limits = row_budget(wish.budget)
        found[kind] = routes(
            seen, longest.job, fleet.file, limits, fleet.policy, wish.fields or tuple(wish.gold)
        )
    return found


@dataclass(slots=True)
class _Planning:
    """A plan in the making."""

    fleet: OpenFleet
    request: Request
    wish: Wish
    view: GraphView
    scan: Scan
    kinds: dict[str, list[int]]
    ways: dict[str, list[Route]]
    sample: Sample = field(default_factory=Sample)
    drawn: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _micro_before: int = 0

    @property
    def fullest(self) -> dict[str, Route]:
        """The planner's own route of each kind."""
        return {kind: ways[0] for kind, ways in self.ways.items()}

    @property
    def cap_micro(self) -> int | None:
        """The budget of the batch."""
        cost = self.wish.budget.cost_usd
        return None if cost is None else limit_micro(cost)

    async def run_sample(self, folder: Folder, in_flight: int, progress: Progress) -> None:
        """Draw rows and run them along the fullest route, then along others if they are cheap.

        Two rows of each kind come first: what they cost says how many more the budget allows.
        """
        ledger = LocalLedger(folder.book)
        fleet = self.fleet.scoped(ledger, folder.images)
        options = RowOptions(
            self.request.identity,
            self.wish.budget,
            self.request.language or "auto",
            self.request.base,
        )
        rows = RowRun(fleet, ledger, self.request.graph, self.request.columns, options)
        folder.open_account(self.wish.budget)
        self._micro_before = folder.book.spent(BATCH_ACCOUNT).cost_micro
        progress.start(None, 0)
        with ExitStack() as stack:
            stack.callback(progress.stop)
            await self._try(rows, self._draw(1), self.fullest, in_flight, progress)
            more = self._draw(self._affordable())
            if more:
                await self._try(rows, more, self.fullest, in_flight, progress)
            self._check(self.sample)
            count = sum(map(len, self.drawn.values()))
            if count < min(self.wish.sample, len(self.scan)):
                self.notes.append(
                    f"the sample has {count} rows: table or budget are too small for more"
                )
            for place in range(1, max(len(ways) for ways in self.ways.values())):
                other = {kind: ways[place] for kind, ways in self.ways.items() if place < len(ways)}
                if not self._is_cheap(other):
                    self.notes.append(
                        "not tried, as it would take too much of the budget: "
                        + "; ".join(sorted({route.name for route in other.values()}))
                    )
                    continue
                try:
                    await self._try(rows, self.drawn, other, in_flight, progress)
                except BudgetExceeded:
                    break  # what was tried has to do

    async def _try(
        self,
        rows: RowRun,
        drawn: Mapping[str, Sequence[Row]],
        routes: Mapping[str, Route],
        in_flight: int,
        progress: Progress,
    ) -> None:
        for model in {model: None for route in routes.values() for model in route.asked}:
            await self.fleet.client(model).prepare()
        got = await run_sample(rows, drawn, routes, in_flight=in_flight, progress=progress)
        self.sample.add(got)

    def _draw(self, wanted: int) -> dict[str, list[Row]]:
        """Rows of the sample that are not drawn yet; with a seed, a larger one holds a smaller."""
        known = {row.ordinal for rows in self.drawn.values() for row in rows}
        drawn = self.scan.draw(wanted, self.wish.seed)
        chosen = {at: kind for kind, some in drawn.items() for at in some if at not in known}
        new: dict[str, list[Row]] = {kind: [] for kind in drawn}
        for row in _rows(self.request, max(chosen, default=0)):
            if row.ordinal in chosen:
                new[chosen[row.ordinal]].append(row)
        for kind, rows in new.items():
            self.drawn.setdefault(kind, []).extend(rows)
        return {kind: rows for kind, rows in new.items() if rows}

    def _affordable(self) -> int:
        """Rows of the sample: fewer where the table or the budget is small."""
        wanted = min(self.wish.sample, max(1, len(self.scan) // MOST_OF_TABLE))
        cap = self.cap_micro
        while cap is not None and wanted > 1:
            drawn = self.scan.draw(wanted, self.wish.seed)
            more = self._cost(self.fullest, drawn)
            if self.sample.spent_micro + more <= cap * SAMPLE_SHARE:
                break
            wanted = wanted * 4 // 5
        return wanted

    def _cost(self, routes: Mapping[str, Route], drawn: Mapping[str, Sequence[int]]) -> float:
        """Expected micro-dollars of rows along routes, beside what the sample has called for."""
        wanted = {at: routes[kind] for kind, some in drawn.items() if kind in routes for at in some}
        forecaster = self.forecaster()
        tried = [(row.ordinal, row.route) for row in self.sample.seen]
        return forecaster.load(lambda ordinal, _: wanted.get(ordinal), tried).cost_micro

    def forecaster(self) -> Forecaster:
        """Predictions as far as the sample goes."""
        rates = Rates.of(self.view, self.sample.seen)
        return Forecaster(self.scan, Prices(self.view, self.fleet.file, self.fleet.policy), rates)

    def _is_cheap(self, routes: Mapping[str, Route]) -> bool:
        cap = self.cap_micro
        drawn = {kind: [row.ordinal for row in rows] for kind, rows in self.drawn.items()}
        more = self._cost(routes, drawn)
        if cap is None:
            return more == 0  # nothing is to be spared, so nothing is spent on finding out how
        first = sum(
            call.cost_micro
            for row in self.sample.seen
            if row.route == self.fullest[row.kind]
            for call in row.calls
            if not call.reused
        )
        return self.sample.spent_micro - first + more <= cap * EXPLORE_SHARE

    def _check(self, first: Sample) -> None:
        """A sample without a usable row is an error that says what is wrong with the first."""
        failed = [row for row in first.seen if row.result.status == MARKED_AS_NONE]
        if len(failed) == len(first.seen):
            told = next((error for row in failed for error in row.result.errors), None)
            why = (
                "none has an answer" if told is None else f"the first: {told.type}: {told.message}"
            )
            raise InvalidTable(
                f"All {len(failed)} sampled rows of {self.request.table.path.name!r} failed, so "
                f"nothing can be said of the others ({why}). Mend the table or its columns, and "
                "plan again."
            )
        if len(failed) * 2 > len(first.seen):
            self.notes.append(f"{len(failed)} of {len(first.seen)} sampled rows failed")

    def quote(self) -> BatchPlan:
        """The plan from what is known by now."""
        judge = self.wish.judge or (Gold(self.wish.gold) if self.wish.gold else None)
        rows = {row.ordinal: row for some in self.drawn.values() for row in some}
        evidence = Evidence.of(self.sample.seen, rows, self.fullest, judge, self.wish.fields)
        return quoted(
            Draft(
                request=self.request,
                fleet=self.fleet.file,
                view=self.view,
                scan=self.scan,
                kinds=self.kinds,
                ways=self.ways,
                sample=self.sample,
                evidence=evidence,
                forecaster=self.forecaster(),
                cap_micro=self.cap_micro,
                micro_before=self._micro_before,
                deadline_s=self.wish.deadline_s,
                hosts=self.wish.hosts,
                seed=self.wish.seed,
                gold=self.wish.gold,
                fields=self.wish.fields,
                is_judged=judge is not None,
                notes=self.notes,
            )
        )
