"""`Fleet`, the face of it all: opens, plans, runs, and takes tables through a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from pydantic import BaseModel, ValidationError

from orchestra.batch import start
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.survey import Wish
from orchestra.batch.progress import Progress
from orchestra.batch.recipe import Recipe
from orchestra.batch.spec import DEFAULT_IN_FLIGHT, BatchSpec, RunSettings
from orchestra.core.errors import UsageError
from orchestra.core.job import Budget, Language, first_problem
from orchestra.core.spelling import did_you_mean
from orchestra.fleet.opened import Build
from orchestra.fleet.runs import Runs

Options = TypeVar("Options", bound=BaseModel)


class SpecOptions(TypedDict, total=False):
    """What `orchestra.batch.spec.BatchSpec` says of a batch beside its graph, table and fleet."""

    recipe: Recipe | None
    text_columns: Sequence[str] | None
    image_column: str | None
    id_column: str | None
    language: Language | None
    maps: bool
    images: str | Path | None


class BatchOptions(SpecOptions, total=False):
    """Those, and what `RunSettings` says of one run."""

    limit: int | None
    budget: Budget | None
    tags: Mapping[str, str] | None
    spread: bool
    yes: bool
    in_flight: int
    probe_delays_s: Sequence[float]
    attempts: int | None
    retry_failed: bool | Sequence[str]
    on: str | None


class Fleet(Runs):
    """Cards plus hosting. Open with `async with Fleet.open(name) as fleet`."""

    async def batch(
        self,
        build: Build,
        table: str | Path,
        *,
        out: str | Path,
        plan: BatchPlan | None = None,
        progress: Progress | None = None,
        **options: Unpack[BatchOptions],
    ) -> Summary:
        """Run every row of `table` into the folder `out`; again to go on where it stopped.

        Options up to `images` are those of `orchestra.batch.spec.BatchSpec`, the others of
        `RunSettings` beside it. `plan` gives each row its route, and sets the budget where none is
        given. Raises `UsageError` and `PlanError` before anything is spent, and `BatchPaused` when
        a model stopped answering.
        """
        _check_names(options, BatchOptions)
        given = {name: value for name, value in options.items() if value is not None}
        of_spec = {name: given.pop(name) for name in SpecOptions.__annotations__ if name in given}
        spec = self._spec(build, table, of_spec)
        settings = _validated(RunSettings, {"out": out, **given})
        return await start.run_batch(self, spec, settings, plan=plan, progress=progress)

    async def plan_batch(
        self,
        build: Build,
        table: str | Path,
        wish: Wish,
        *,
        out: str | Path | None,
        yes: bool = False,
        in_flight: int = DEFAULT_IN_FLIGHT,
        progress: Progress | None = None,
        **options: Unpack[SpecOptions],
    ) -> BatchPlan:
        """What the batch of `table` into `out` would come to; its options are those of `batch`.

        A sample is run and paid into the batch's book, except without `out`. Raises `UsageError`,
        `BudgetExceeded` when the budget does not hold the sample, and what loading models raises.
        """
        _check_names(options, SpecOptions)
        return await start.plan_batch(
            self,
            self._spec(build, table, options),
            wish,
            out=None if out is None else Path(out),
            in_flight=in_flight,
            yes=yes,
            progress=progress,
        )

    def _spec(self, build: Build, table: str | Path, options: Mapping[str, Any]) -> BatchSpec:
        named = {"table": table, "graph": build, "fleet": self.name, "policy": self.policy}
        return _validated(BatchSpec, {**named, **options})


def _check_names(options: Mapping[str, Any], known: type) -> None:
    """Raise `UsageError` for an option that there is not."""
    names = list(known.__annotations__)
    for name in options:
        if name not in names:
            raise UsageError(
                f"A batch has no option {name!r} (got {options[name]!r}). "
                f"{did_you_mean(name, names)}"
            )


def _validated(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """`kind` with `values`. Raises `UsageError` for a value that it does not take."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(
            f"An option of the batch is wrong: {first_problem(error, kind)}. Give it another value."
        ) from error
