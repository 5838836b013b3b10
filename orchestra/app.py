"""`Fleet`, the face of it all: opens, plans, runs, and takes tables through a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestra.batch import start
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.survey import Wish
from orchestra.batch.progress import Progress
from orchestra.batch.recipe import Recipe
from orchestra.batch.spec import DEFAULT_IN_FLIGHT, PROBE_DELAYS_S, BatchSpec, RunSettings
from orchestra.core.job import Budget, Language
from orchestra.fleet.opened import Build, OpenFleet


class Fleet(OpenFleet):
    """Cards plus hosting. Open with `async with Fleet.open(name) as fleet`."""

    async def batch(
        self,
        build: Build,
        table: str | Path,
        *,
        out: str | Path,
        recipe: Recipe | None = None,
        text_columns: Sequence[str] | None = None,
        image_column: str | None = None,
        id_column: str | None = None,
        language: Language | None = None,
        maps: bool = False,
        images: str | Path | None = None,
        limit: int | None = None,
        budget: Budget | None = None,
        tags: Mapping[str, str] | None = None,
        plan: BatchPlan | None = None,
        spread: bool = False,
        yes: bool = False,
        in_flight: int = DEFAULT_IN_FLIGHT,
        probe_delays_s: Sequence[float] = PROBE_DELAYS_S,
        on: str | None = None,
        progress: Progress | None = None,
    ) -> Summary:
        """Run every row of `table` into the folder `out`; again to go on where it stopped.

        Options up to `images` are those of `orchestra.batch.spec.BatchSpec`, the others of
        `RunSettings` beside it. `plan` gives each row its route, and sets the budget where none is
        given. Raises `UsageError` and `PlanError` before anything is spent, and `BatchPaused` when
        a model stopped answering.
        """
        spec = BatchSpec(
            table=Path(table),
            graph=build,
            fleet=self.name,
            recipe=recipe,
            text_columns=None if text_columns is None else tuple(text_columns),
            image_column=image_column,
            id_column=id_column,
            language=language,
            maps=maps,
            images=None if images is None else Path(images),
            policy=self.policy,
        )
        settings = RunSettings(
            out=Path(out),
            limit=limit,
            budget=budget or Budget(),
            tags=tags or {},
            spread=spread,
            yes=yes,
            in_flight=in_flight,
            probe_delays_s=tuple(probe_delays_s),
            on=on,
        )
        return await start.run_batch(self, spec, settings, plan=plan, progress=progress)

    async def plan_batch(
        self,
        build: Build,
        table: str | Path,
        wish: Wish,
        *,
        out: str | Path | None,
        recipe: Recipe | None = None,
        text_columns: Sequence[str] | None = None,
        image_column: str | None = None,
        id_column: str | None = None,
        language: Language | None = None,
        maps: bool = False,
        images: str | Path | None = None,
        yes: bool = False,
        in_flight: int = DEFAULT_IN_FLIGHT,
        progress: Progress | None = None,
    ) -> BatchPlan:
        """What the batch of `table` into `out` would come to; its options are those of `batch`.

        A sample is run and paid into the batch's book, except without `out`. Raises `UsageError`,
        `BudgetExceeded` when the budget does not hold the sample, and what loading models raises.
        """
        spec = BatchSpec(
            table=Path(table),
            graph=build,
            fleet=self.name,
            recipe=recipe,
            text_columns=None if text_columns is None else tuple(text_columns),
            image_column=image_column,
            id_column=id_column,
            language=language,
            maps=maps,
            images=None if images is None else Path(images),
            policy=self.policy,
        )
        return await start.plan_batch(
            self,
            spec,
            wish,
            out=None if out is None else Path(out),
            in_flight=in_flight,
            yes=yes,
            progress=progress,
        )
