"""Surveys a table before it is planned: reads it, finds its routes, and runs a small sample.

The sample is run for real: its calls stand in the batch's own book, count towards its budget, and
are not paid again by the batch that follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from orchestra.batch.beside import texts_beside
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.plan.forecast import Forecaster
from orchestra.batch.plan.kinds import TableShape
from orchestra.batch.plan.sample import Sample, run_sample
from orchestra.batch.progress import Progress
from orchestra.batch.request import Request
from orchestra.batch.row_run import RowRun, row_budget
from orchestra.batch.tables.row import Row
from orchestra.batch.tables.table import resolve_columns
from orchestra.book.ledger import LocalLedger
from orchestra.core.errors import BudgetExceeded, InvalidBudget, InvalidTable
from orchestra.core.job import Budget
from orchestra.core.money import limit_micro
from orchestra.fleet.opened import OpenFleet
from orchestra.routing.introspect import GraphView, view
from orchestra.routing.routes import Prices, Route, routes

DEFAULT_SAMPLE = 30
MOST_OF_TABLE = 5  # a sample is a fifth of the table at most, or two rows of each kind
SAMPLE_SHARE = 0.2  # of the budget, for the sample along the fullest route, which is kept
EXPLORE_SHARE = 0.1  # of the budget, for trying other routes on it

RunAlong = Callable[[Mapping[str, Sequence[Row]], Mapping[str, Route]], Awaitable[None]]


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

    def check(self, request: Request) -> None:
        """Raise `InvalidBudget` or `InvalidTable` for what cannot be planned."""
        if self.sample < 1:
            raise InvalidBudget(f"sample={self.sample!r} is not a number of rows; give 1 or more.")
        if self.deadline_s is not None and self.deadline_s <= 0:
            raise InvalidBudget(
                f"deadline={self.deadline_s!r} s leaves no time. Give more, as in 2h."
            )
        if self.hosts is not None and self.hosts < 1:
            raise InvalidBudget(f"hosts={self.hosts!r} is not a number of hosts; give 1 or more.")
        resolve_columns(request.table.columns, list(self.gold.values()), [], "gold")
        read = [*request.spec.columns.text, *request.spec.columns.images]
        for name, column in self.gold.items():
            if column in read:
                raise InvalidTable(
                    f"The true values of {name!r} stand in {column!r}, which the models read. "
                    "Leave it out of --text-columns, or name another column in --gold."
                )


@dataclass(slots=True)
class Survey:
    """What is known of a table: its rows by kind, their routes, and a sample as far as it goes."""

    fleet: OpenFleet
    request: Request
    wish: Wish
    view: GraphView
    table: TableShape
    kinds: dict[str, list[int]]
    routes: dict[str, list[Route]]  # of each kind, the planner's own first
    sample: Sample = field(default_factory=Sample)
    notes: list[str] = field(default_factory=list)
    _micro_before: int = 0

    @classmethod
    def of(cls, fleet: OpenFleet, request: Request, wish: Wish, folder: Folder | None) -> Survey:
        """Read the table. Raises `InvalidTable` when no row is left that can be used."""
        rows = islice(request.table.rows(), wish.limit)
        columns, base = request.spec.columns, request.spec.base
        table = TableShape.of(rows, columns, base, wish.gold, fleet.reader.expect)
        if folder is not None:
            table.finished = folder.book.finished_ordinals()
        kinds = table.by_kind()
        if not kinds and table.finished:
            raise InvalidTable(
                f"Every row of {request.table.path.name!r} that can be used is finished in "
                f"{str(folder and folder.path)!r}: nothing is left to plan. Give --out a new "
                "folder."
            )
        if not kinds:
            raise InvalidTable(
                f"No row of {request.table.path.name!r} can be used: of {len(table)} rows none has "
                f"a text in {', '.join(request.spec.columns.text) or 'a text column'} or a photo "
                "that exists. Name other columns, or give --images the photos' folder."
            )
        survey = cls(fleet, request, wish, view(request.graph), table, kinds, {})
        survey.routes = {kind: survey._routes(ordinals) for kind, ordinals in kinds.items()}
        return survey

    def _routes(self, ordinals: Sequence[int]) -> list[Route]:
        """Routes of the kind's longest text: they must do for all of its rows."""
        longest = max((self.table.shape(at) for at in ordinals), key=lambda row: row.text_bytes)
        limits, fields = row_budget(self.wish.budget), self.wish.fields or tuple(self.wish.gold)
        fleet = self.fleet
        shape = replace(longest.job, expected=self.table.expected(ordinals))
        return routes(self.view, shape, fleet.file, limits, fleet.policy, fields)

    @property
    def fullest(self) -> dict[str, Route]:
        """The planner's own route of each kind."""
        return {kind: ways[0] for kind, ways in self.routes.items()}

    @property
    def cap_micro(self) -> int | None:
        """The budget of the batch."""
        cost = self.wish.budget.cost_usd
        return None if cost is None else limit_micro(cost)

    @property
    def spent_micro(self) -> int:
        """What the batch has spent by now."""
        return self._micro_before + self.sample.spent_micro

    def forecaster(self) -> Forecaster:
        """Predictions as far as the sample goes."""
        prices = Prices(self.view, self.fleet.file, self.fleet.policy)
        return Forecaster(self.table, prices, self.sample)

    async def run_sample(self, folder: Folder, in_flight: int, progress: Progress) -> None:
        """Draw rows and run them in `folder` along the fullest route, then along cheap others.

        Raises `InvalidTable` when the whole sample fails, `ModelUnavailable` when a model is
        silent, `BudgetExceeded` when the cap does not hold the sample.
        """
        ledger = LocalLedger(folder.book)
        beside = texts_beside(self.fleet.file, self.request, folder)
        fleet = self.fleet.scoped(ledger, folder.images, beside)
        graph, spec = self.request.graph, self.request.spec
        rows = RowRun(fleet, ledger, graph, spec, self.wish.budget)
        folder.open_account(self.wish.budget)
        self._micro_before = folder.book.spent(BATCH_ACCOUNT).cost_micro

        async def run(drawn: Mapping[str, Sequence[Row]], along: Mapping[str, Route]) -> None:
            for model in {model: None for route in along.values() for model in route.asked}:
                await self.fleet.client(model).prepare()
            self.sample.add(
                await run_sample(rows, drawn, along, in_flight=in_flight, progress=progress)
            )

        progress.start(None, 0)
        try:
            await self._explore(run, await self._run_fullest(run))
        finally:
            progress.stop()

    async def _run_fullest(self, run: RunAlong) -> dict[str, list[Row]]:
        """Rows of each kind, run along its fullest route.

        Two rows of each come first: what they cost says how many more the budget allows.
        """
        drawn = self._draw(1)
        await run(drawn, self.fullest)
        known = {row.ordinal for rows in drawn.values() for row in rows}
        more = self._draw(self._affordable(), known)
        if more:
            await run(more, self.fullest)
        self._check_sample()
        count = len(self.sample.rows)
        if count < min(self.wish.sample, len(self.table)):
            self.notes.append(
                f"the sample has {count} rows: table or budget are too small for more"
            )
        return {kind: rows + more.get(kind, []) for kind, rows in drawn.items()}

    async def _explore(self, run: RunAlong, drawn: Mapping[str, Sequence[Row]]) -> None:
        """Run the same rows along other routes, where little of the budget is needed for it."""
        for place in range(1, max(map(len, self.routes.values()))):
            other = {kind: ways[place] for kind, ways in self.routes.items() if place < len(ways)}
            if not self._is_cheap(other, drawn):
                self.notes.append(
                    "not tried, as it would take too much of the budget: "
                    + "; ".join(sorted({route.name for route in other.values()}))
                )
                continue
            try:
                await run(drawn, other)
            except BudgetExceeded:
                break  # what was tried has to do

    def _draw(self, count: int, known: Collection[int] = ()) -> dict[str, list[Row]]:
        """About `count` rows but those known; with a seed, a larger draw holds a smaller one."""
        drawn = self.table.draw(count, self.wish.seed)
        chosen = {at: kind for kind, some in drawn.items() for at in some if at not in known}
        rows: dict[str, list[Row]] = {}
        for row in self._rows(chosen):
            rows.setdefault(chosen[row.ordinal], []).append(row)
        return {kind: rows[kind] for kind in drawn if kind in rows}

    def _rows(self, ordinals: Collection[int]) -> Iterator[Row]:
        read = islice(self.request.table.rows(), max(ordinals, default=0))
        return (row for row in read if row.ordinal in ordinals)

    def _affordable(self) -> int:
        """Rows of the sample: fewer where the table or the budget is small."""
        count = min(self.wish.sample, max(1, len(self.table) // MOST_OF_TABLE))
        cap = self.cap_micro
        while cap is not None and count > 1:
            more = self._cost(self.fullest, self.table.draw(count, self.wish.seed))
            if self.sample.spent_micro + more <= cap * SAMPLE_SHARE:
                break
            count = count * 4 // 5
        return count

    def _is_cheap(self, along: Mapping[str, Route], drawn: Mapping[str, Sequence[Row]]) -> bool:
        """Whether trying these routes, too, keeps within the budget's share for it."""
        more = self._cost(along, {k: [row.ordinal for row in rows] for k, rows in drawn.items()})
        cap, fullest = self.cap_micro, self.fullest
        if cap is None:
            return more == 0  # nothing is to be spared, so nothing is spent on finding out how
        kept = sum(
            call.cost_micro
            for row in self.sample.rows
            if row.route == fullest[row.kind]
            for call in row.calls
            if not call.reused
        )
        return self.sample.spent_micro - kept + more <= cap * EXPLORE_SHARE

    def _cost(self, along: Mapping[str, Route], drawn: Mapping[str, Sequence[int]]) -> float:
        """Expected micro-dollars of rows along routes, beside what the sample has called for."""
        route_at = {at: along[kind] for kind, some in drawn.items() if kind in along for at in some}
        forecaster = self.forecaster()
        return forecaster.forecast(lambda at, _: route_at.get(at), self.sample.paid).cost_micro

    def _check_sample(self) -> None:
        """A sample without a usable row is an error that says what is wrong with the first."""
        results = [row.result for row in self.sample.rows]
        failed = [result for result in results if result.status == "failed"]
        if len(failed) == len(results):
            first = next((error for result in failed for error in result.errors), None)
            why = f"the first: {first.type}: {first.message}" if first else "none has an answer"
            raise InvalidTable(
                f"All {len(failed)} sampled rows of {self.request.table.path.name!r} failed, so "
                f"nothing can be said of the others ({why}). Mend the table or its columns, and "
                "plan again."
            )
        if len(failed) * 2 > len(results):
            self.notes.append(f"{len(failed)} of {len(results)} sampled rows failed")
        beyond = [call for one in results for call in one.calls if call.overrun_usd]
        if beyond:
            models = ", ".join(sorted({call.model for call in beyond}))
            self.notes.append(
                f"the sample cost ${sum(call.overrun_usd for call in beyond):f} above the bounds "
                f"of its calls: the server of {models} ignores max_tokens, or its card is wrong"
            )
