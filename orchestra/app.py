"""`Fleet`, the face of it all: opens, plans, runs, and takes tables through a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestra.batch import start
from orchestra.batch.output.output import Summary
from orchestra.batch.plan.plan_table import Wish
from orchestra.batch.plan.quote import BatchPlan
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
        limit: int | None = None,
        budget: Budget | None = None,
        recipe: Recipe | None = None,
        text_columns: Sequence[str] | None = None,
        image_column: str | None = None,
        id_column: str | None = None,
        language: Language | None = None,
        maps: bool = False,
        images: str | Path | None = None,
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

        `BatchSpec` says what the options up to `images` mean, and `run_batch` the others, and
        what is raised.
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
        """Plan a batch of `table` into `out`; its options are those of `batch`.

        See `orchestra.batch.start.plan_batch`, also for what is raised.
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
