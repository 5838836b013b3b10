"""Plans a table by its survey: which route each kind of row takes, and what that will come to."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from statistics import fmean

from orchestra.batch.folder import PLAN, Folder
from orchestra.batch.plan.allocation import (
    Allotment,
    Group,
    Shares,
    Turns,
    Way,
    allocate,
    shares_of,
)
from orchestra.batch.plan.batch_plan import BatchPlan, KindPlan, More, WayPlan
from orchestra.batch.plan.forecast import Forecast, RouteOf
from orchestra.batch.plan.kinds import Expect, TableShape, fresh_of
from orchestra.batch.plan.survey import Survey, Wish
from orchestra.batch.plan.worth import Appraisal, Gold, sure_of, worth_unsampled
from orchestra.batch.progress import Progress
from orchestra.batch.request import Request
from orchestra.core.errors import BudgetExceeded, InvalidTable
from orchestra.core.identity import snapshot
from orchestra.core.job import Budget
from orchestra.core.money import MICRO_PER_USD, limit_micro
from orchestra.core.stats import Estimate, Right, share_of, wilson
from orchestra.fleet.opened import OpenFleet
from orchestra.routing.routes import Route

HOUR_S = 3600.0
MOST_RESERVE = 0.05  # of the budget, kept so that the last rows can be reserved
ROUNDS = 6  # until what is allocated agrees with what is forecast
RESAMPLES = 200  # of the sampled rows, to find how much the chosen routes are flattered
NO_LIMIT_MICRO = 1e15


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
    wish.check(request)
    survey = Survey.of(fleet, request, wish, folder)
    if folder is not None:
        await survey.run_sample(folder, in_flight, progress or Progress())
    return plan_of(survey)


async def plan_where_tight(
    fleet: OpenFleet,
    request: Request,
    wish: Wish,
    folder: Folder,
    in_flight: int,
    progress: Progress | None,
) -> BatchPlan | None:
    """A plan from a sample; None when the budget is sure to do for all rows, or for no sample.

    Raises as `plan_table` does.
    """
    if wish.budget.cost_usd is None:
        return None
    progress = progress or Progress()
    try:
        sure = await plan_table(fleet, request, wish, folder=None, in_flight=in_flight)
    except InvalidTable:
        return None  # rows that all fail cost nothing, and the batch says why
    if sure.is_full and sure.at_most_usd < float(wish.budget.cost_usd):
        return None
    progress.say("The budget may not do for all rows, so a sample is run to plan by.")
    try:
        return await plan_table(
            fleet, request, wish, folder=folder, in_flight=in_flight, progress=progress
        )
    except BudgetExceeded:
        progress.say("The budget does not hold a sample: rows are run in the table's order.")
        return None


def followed_plan(given: BatchPlan | None, folder: Folder, fleet: OpenFleet) -> BatchPlan | None:
    """The plan given, else the one that the batch in `folder` was started with.

    Raises `InvalidPlan` for a new plan of other prices. A batch goes on with the plan it was
    started with whatever its models cost since: its cap holds at today's prices.
    """
    text = folder.book.meta(PLAN)
    origin = f"The book of {str(folder.path)!r}"
    kept = None if text is None else BatchPlan.of_json(text, origin=origin)
    if given is not None and given != kept:
        given.check_snapshot(snapshot(fleet.file))
    return given or kept


def allotment_of(
    plan: BatchPlan | None,
    request: Request,
    folder: Folder,
    budget: Budget,
    limit: int | None,
    again: Collection[int] = (),
    expect: Expect | None = None,
) -> Allotment | None:
    """Routes by the plan, which is kept for a resume; None without a plan or a cap.

    The rows `again` are to be run though they are finished. `expect` says what is expected of a
    row's text, as it did when the plan was made.
    """
    if plan is None:
        return None
    folder.book.set_meta(PLAN, plan.model_dump_json())
    if budget.cost_usd is None:
        return None
    rows = islice(request.table.rows(), limit)
    table = TableShape.of(rows, request.spec.columns, request.spec.base, expect=expect)
    table.finished = folder.book.finished_ordinals() - set(again)
    return Allotment(plan, table, limit_micro(budget.cost_usd))


def plan_of(survey: Survey) -> BatchPlan:
    """The plan that follows from what is known of a table. Pure."""
    return _Planner(survey).plan()


class _Planner:
    """Shares a budget out over the kinds of rows of a survey."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.wish = wish = survey.wish
        self.kinds = survey.kinds
        self.fullest = survey.fullest
        rows = survey.sample.rows
        self.appraisal = Appraisal.of(rows, self.fullest, Gold(wish.gold), wish.fields)
        self.forecaster = survey.forecaster()
        self.sampled = {sampled.row.ordinal for sampled in rows}
        self.groups = [self._group(kind) for kind in self.kinds]
        cap, self.reserve = survey.cap_micro, self._reserve()
        self.room = None if cap is None else cap - survey.spent_micro
        self.left = math.inf if self.room is None else max(0.0, self.room - self.reserve)

    def plan(self) -> BatchPlan:
        """Everything along the fullest route where that fits, else the best that does."""
        full: Shares = {g.name: [(self.fullest[g.name], g.rows)] for g in self.groups}
        whole = self._forecast(full)
        high, limit_s = self._spend(full, whole).high, self._limit_s()
        fits = limit_s is None or whole.work_s * self.forecaster.pace[0] <= limit_s
        if high <= self.left and fits:
            return self._plan(full, whole, whole, is_full=True)
        budget = high if math.isinf(self.left) else self.left
        return self._plan(*self._allocated(budget, limit_s), whole, is_full=False)

    def _plan(
        self, shares: Shares, forecast: Forecast, whole: Forecast, *, is_full: bool
    ) -> BatchPlan:
        survey, wish, cap = self.survey, self.wish, self.survey.cap_micro
        before = survey.spent_micro
        seconds = self.forecaster.seconds(forecast, _counts(shares))
        spend, hosts = self._spend(shares, forecast), self._hosts(seconds)
        at_most = before + self.forecaster.at_most(self._along(shares))
        photos, unseen = self._photos(shares)
        usable = len(survey.table.finished) + sum(map(len, self.kinds.values()))
        return BatchPlan(
            table=str(survey.request.table.path),
            rows=len(survey.table),
            unusable=len(survey.table) - usable,
            identity=survey.request.spec.identity,
            fleet=survey.fleet.file.name,
            snapshot=snapshot(survey.fleet.file),
            cost_usd=None if cap is None else cap / MICRO_PER_USD,
            deadline_s=wish.deadline_s,
            hosts_given=wish.hosts,
            seed=wish.seed,
            gold=wish.gold,
            fields=tuple(wish.fields),
            edges=survey.table.kinds,
            kinds=tuple(self._kind(group, shares) for group in self.groups),
            sampled=tuple(sorted(self.sampled)),
            is_full=is_full,
            full_usd=(before + whole.cost_micro) / MICRO_PER_USD,
            at_most_usd=min(at_most, cap or at_most) / MICRO_PER_USD,
            reserve_usd=self.reserve / MICRO_PER_USD,
            spent_usd=before / MICRO_PER_USD,
            sample_usd=survey.sample.spent_micro / MICRO_PER_USD,
            sample_s=survey.sample.seconds,
            spend=_in_dollars(before, spend) if self.sampled else None,
            seconds=seconds,
            quality=self._quality(shares, is_full) if self.wish.gold else None,
            review=self._review(shares) if self.sampled else None,
            photos=photos,
            unseen=unseen,
            worth=self._worth(shares),
            expected_usd=(before + forecast.cost_micro) / MICRO_PER_USD,
            work_s=forecast.work_s,
            hosts=hosts,
            replicas=self._replicas(forecast, seconds),
            next_dollar=self._next_dollar(shares, is_full),
            next_hour=self._next_hour(shares, seconds, hosts, whole, is_full),
            notes=tuple(survey.notes),
        )

    def _photos(self, shares: Shares) -> tuple[int, int]:
        """Photos of rows to be paid, and how many of them no model looks at within the budget."""
        asks = self.survey.view.asks

        def looks(route: Route) -> bool:
            return any(asks[node].reads == "image" for node, *_ in route.parts)

        seen = [kind for kind in shares if looks(self.fullest[kind])]
        left = [(route, rows) for kind in seen for route, rows in shares[kind]]
        unseen = sum(rows for route, rows in left if route is not None and not looks(route))
        return sum(len(self.kinds[kind]) for kind in seen), unseen

    def _group(self, kind: str) -> Group:
        """The kind's rows that are still to be paid, and the ways that the plan may choose: with a
        sample, those that were tried."""
        rest = [ordinal for ordinal in self.kinds[kind] if ordinal not in self.sampled]
        ways: list[Way] = []
        for route in self.survey.routes[kind]:
            if self.sampled and not self.appraisal.tried(kind, route.name):
                continue
            cost, work = self.forecaster.typical(kind, route, rest or self.kinds[kind])
            seconds = work * self.forecaster.pace[0]
            ways.append(Way(route.name, cost, self._worth_of(kind, route), seconds))
        return Group(kind, len(rest), tuple(ways))

    def _worth_of(self, kind: str, route: Route) -> float:
        if self.sampled:
            return self.appraisal.worth(kind, route.name)
        survey = self.survey
        expected = survey.table.expected(self.kinds[kind])
        return worth_unsampled(survey.view, survey.fleet.file, route, self.fullest[kind], expected)

    def _reserve(self) -> float:
        """A row's ceiling: what has to be free for the last row to be admitted."""
        cap, shape = self.survey.cap_micro, self.survey.table.shape
        if cap is None:
            return 0.0
        most = max(
            self.forecaster.ceiling(self.fullest[kind], shape(ordinals[0]))
            for kind, ordinals in self.kinds.items()
        )
        return min(most, MOST_RESERVE * cap)

    def _limit_s(self) -> float | None:
        """Seconds of one host within the deadline, with room for a pace slower than measured."""
        if self.wish.deadline_s is None or self.wish.hosts is None:
            return None
        error = self.forecaster.pace[1]
        return self.wish.deadline_s * self.wish.hosts / (1 + (error if math.isfinite(error) else 0))

    def _along(self, shares: Shares) -> RouteOf:
        """Each row's route: rows of the sample take the fullest, which is paid."""
        turns = {kind: Turns(share) for kind, share in shares.items()}

        def route_of(ordinal: int, kind: str) -> Route | None:
            if ordinal in self.sampled:
                return self.fullest[kind]
            if ordinal in self.survey.table.finished or kind not in turns:
                return None
            return turns[kind].next()

        return route_of

    def _forecast(self, shares: Shares, *, merges: bool = False) -> Forecast:
        """What the batch still has to call for."""
        paid = self.survey.sample.paid
        return self.forecaster.forecast(self._along(shares), paid, merges=merges)

    def _spend(self, shares: Shares, forecast: Forecast) -> Estimate:
        merged = self._forecast(shares, merges=True)
        return self.forecaster.spend(forecast, merged, _counts(shares), self.room)

    def _allocated(self, budget: float, limit_s: float | None) -> tuple[Shares, Forecast]:
        """An allocation whose forecast fits; as repeated calls cost nothing, it may be less."""
        cap, best = budget, None
        for _ in range(ROUNDS):
            allocation = allocate(self.groups, cap, limit_s)
            shares = shares_of(allocation)
            cost = (forecast := self._forecast(shares)).cost_micro
            if cost <= budget and (best is None or cost >= best[1].cost_micro):
                best = (shares, forecast)
            if cost <= 0 or allocation.cost_micro <= 0:
                break
            if cost <= budget and cap * budget / cost <= cap * 1.005:
                break
            cap *= budget / cost
        if best is None:
            shares = shares_of(allocate(self.groups, budget, limit_s))
            best = (shares, self._forecast(shares))
        return best

    def _kind(self, group: Group, shares: Shares) -> KindPlan:
        kind, judged = group.name, self.appraisal.right
        served = {route.name: rows for route, rows in shares[kind] if route is not None}
        sampled = len(self.kinds[kind]) - group.rows
        served[self.fullest[kind].name] = served.get(self.fullest[kind].name, 0) + sampled
        ways = tuple(
            WayPlan(
                route=way.name,
                rows=served.get(way.name, 0),
                cost_usd=way.cost_micro / MICRO_PER_USD,
                seconds=way.seconds,
                worth=way.worth,
                tried=len(self.appraisal.tried(kind, way.name)),
                right=fmean(rights.values()) if (rights := judged.get((kind, way.name))) else None,
            )
            for way in group.ways
        )
        results = self.appraisal.full.get(kind, [])
        sure = [c for result in results if (c := sure_of(result, self.wish.fields)) is not None]
        done = sum(result.status == "complete" for result in results)
        interval = wilson(done, len(results))
        return KindPlan(
            name=kind,
            rows=len(self.kinds[kind]),
            sampled=sampled,
            left=len(self.kinds[kind]) - sum(served.values()),
            ways=ways,
            complete=interval
            and Estimate(low=interval[0], value=done / len(results), high=interval[1]),
            confidence=fmean(sure) if sure else None,
            fresh=fresh_of([self.survey.table.shape(at) for at in self.kinds[kind]]),
        )

    def _worth(self, shares: Shares) -> float:
        """Mean over all usable rows; those of the sample have the fullest route's."""
        total = worth = 0.0
        for group in self.groups:
            by_route = {way.name: way.worth for way in group.ways}
            count = len(self.kinds[group.name])
            total += count
            worth += sum(by_route[r.name] * rows for r, rows in shares[group.name] if r is not None)
            worth += (count - group.rows) * by_route[self.fullest[group.name].name]
        return worth / total

    def _quality(self, shares: Shares, is_full: bool) -> Estimate | None:
        """The share of usable rows that will be right.

        Routes were chosen by the rows that judge them, which flatters them: by how much is found
        on resamples of those rows (Efron's optimism), and taken off.
        """
        rights = {kind: self.appraisal.rights(kind, shares[kind]) for kind in self.kinds}
        quality = share_of(
            [
                Right(list(rights[kind].values()), part, len(self.kinds[kind]))
                for kind, part in self._parts()
            ]
        )
        if quality is None or is_full:
            return quality
        flattered = self._optimism()
        return Estimate(
            low=max(0.0, quality.low - flattered),
            value=max(0.0, quality.value - flattered),
            high=quality.high,
        )

    def _review(self, shares: Shares) -> Estimate | None:
        """How many rows will need a person; None where a kind was not sampled."""
        share = share_of(
            [
                Right(
                    list(self.appraisal.reviews(kind, shares[kind]).values()),
                    part,
                    len(self.kinds[kind]),
                )
                for kind, part in self._parts()
            ]
        )
        return None if share is None else share.times(sum(map(len, self.kinds.values())))

    def _parts(self) -> list[tuple[str, float]]:
        """Each kind with its part of all usable rows."""
        total = sum(map(len, self.kinds.values()))
        return [(kind, len(ordinals) / total) for kind, ordinals in self.kinds.items()]

    def _optimism(self) -> float:
        """How much better routes look on the rows they are chosen by than on all that are known."""
        draw, flattery = random.Random(self.wish.seed), list[float]()
        budget, limit_s = min(self.left, NO_LIMIT_MICRO), self._limit_s()
        for _ in range(RESAMPLES):
            picks = {kind: self._resample(kind, draw) for kind in self.kinds}
            groups = [self._judged_by(group, picks[group.name]) for group in self.groups]
            shares = shares_of(allocate(groups, budget, limit_s))
            gap = 0.0
            for kind, part in self._parts():
                rights = self.appraisal.rights(kind, shares[kind])
                seen = [rights[ordinal] for ordinal in picks[kind] if ordinal in rights]
                if seen:
                    gap += part * (fmean(seen) - fmean(rights.values()))
            flattery.append(gap)
        return max(0.0, fmean(flattery))

    def _resample(self, kind: str, draw: random.Random) -> list[int]:
        ordinals = list(self.appraisal.tried(kind, self.fullest[kind].name))
        return draw.choices(ordinals, k=len(ordinals))

    def _judged_by(self, group: Group, picks: Sequence[int]) -> Group:
        worth = self.appraisal.worth
        return replace(
            group,
            ways=tuple(replace(w, worth=worth(group.name, w.name, picks)) for w in group.ways),
        )

    def _hosts(self, seconds: Estimate | None, more_s: float = 0.0) -> int | None:
        """Hosts like this one that meet the deadline, at the slow end of the time."""
        if seconds is None or self.wish.deadline_s is None:
            return None
        return max(1, math.ceil(seconds.high / (self.wish.deadline_s + more_s)))

    def _replicas(self, forecast: Forecast, seconds: Estimate | None) -> dict[str, int]:
        """Replicas of each model that do its part within the deadline, as `_hosts` counts."""
        if seconds is None or self.wish.deadline_s is None or not forecast.work_s:
            return {}
        share = seconds.high / forecast.work_s
        return {
            model: max(1, math.ceil(work * share / self.wish.deadline_s))
            for model, work in sorted(forecast.by_model.items())
        }

    def _next_dollar(self, shares: Shares, is_full: bool) -> More | None:
        """What one dollar on top of the budget would change; None without a budget."""
        if self.room is None:
            return None
        if is_full:
            return More()
        return self._gain(shares, self._allocated(self.left + MICRO_PER_USD, self._limit_s())[0])

    def _next_hour(
        self,
        shares: Shares,
        seconds: Estimate | None,
        hosts: int | None,
        whole: Forecast,
        is_full: bool,
    ) -> More | None:
        """What one more hour would change; None without a deadline."""
        if self.wish.deadline_s is None or seconds is None:
            return None
        if self.wish.hosts is None:
            return More(hosts=max(0, (hosts or 1) - (self._hosts(seconds, HOUR_S) or 1)))
        if is_full:
            return More()
        ample = 2 * (self.survey.spent_micro + whole.cost_micro)
        budget = ample if math.isinf(self.left) else self.left
        longer = (self.wish.deadline_s + HOUR_S) * self.wish.hosts
        return self._gain(shares, self._allocated(budget, longer)[0])

    def _gain(self, before: Shares, after: Shares) -> More:
        gained = None
        if self.wish.gold:
            gained = sum(
                part * (self._right(kind, after) - self._right(kind, before))
                for kind, part in self._parts()
            )
        rows = sum(_counts(after).values()) - sum(_counts(before).values())
        return More(worth=self._worth(after) - self._worth(before), rows=rows, quality=gained)

    def _right(self, kind: str, shares: Shares) -> float:
        rights = self.appraisal.rights(kind, shares[kind])
        return fmean(rights.values()) if rights else 0.0


def _counts(shares: Shares) -> dict[tuple[str, str], int]:
    """Rows by kind and route, those left not counted."""
    return {(k, r.name): n for k, share in shares.items() for r, n in share if r is not None}


def _in_dollars(before_micro: int, rest: Estimate) -> Estimate:
    """What the batch comes to with what it has spent by now."""
    return Estimate(
        low=(before_micro + rest.low) / MICRO_PER_USD,
        value=(before_micro + rest.value) / MICRO_PER_USD,
        high=(before_micro + rest.high) / MICRO_PER_USD,
    )
