"""`Fleet`, the face of it all: opens, plans, runs, and takes tables through a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestra.batch import start
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.survey import Wish
from orchestra.fleet.opened import Build, OpenFleet


class Fleet(OpenFleet):
    """Cards plus hosting. Open with `async with Fleet.open(name) as fleet`."""

    async def batch(self, build: Build, table: str | Path, **options: Any) -> Summary:
        """Run every row of `table`; see `orchestra.batch.start.run_batch` for the options."""
        return await start.run_batch(self, build, Path(table), **options)

    async def plan_batch(
        self, build: Build, table: str | Path, wish: Wish, **options: Any
    ) -> BatchPlan:
        """Plan a batch of `table`; see `orchestra.batch.start.plan_batch` for the options."""
        return await start.plan_batch(self, build, Path(table), wish, **options)
