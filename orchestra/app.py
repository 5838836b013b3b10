"""`Fleet`, the face of it all: opens, plans, runs, and takes tables through a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from pydantic import BaseModel, ValidationError

from orchestra.batch import resume, start
from orchestra.batch.output.summary import Summary
from orchestra.batch.parked import WaitingRow
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.survey import Wish
from orchestra.batch.progress import Progress
from orchestra.batch.recipe import Recipe
from orchestra.batch.spec import DEFAULT_IN_FLIGHT, BatchSpec, RunSettings
from orchestra.batch.tables.reading import ReadAs
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
    image_column: str | Sequence[str] | None
    id_column: str | None
    read_as: ReadAs
    language: Language | None
    maps: bool
    images: str | Path | None
    photo_root: str | Path | None


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


class ResumeOptions(TypedDict, total=False):
    """What `RunSettings` says of going on with rows that wait.

    The caps of the whole batch stay as they are without a `budget`.
    """

    budget: Budget | None
    in_flight: int


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

    def waiting_rows(self, out: str | Path) -> list[WaitingRow]:
        """The rows of the batch in `out` that wait for a person, with their `questions`.

        Raises `BookError` when it holds no batch.
        """
        return resume.list_waiting(Path(out))[1]

    async def resume_batch(
        self,
        out: str | Path,
        answers: Mapping[str, Any],
        *,
        build: Build | None = None,
        progress: Progress | None = None,
        **options: Unpack[ResumeOptions],
    ) -> Summary:
        """Go on with rows of the batch in `out` that wait, each with its answer, by row id.

        An answer is what `interrupt()` returns in the node that asked; where a row has several
        questions, a mapping from their ids. A row may ask again, and one that could not go on
        waits as before: `stopped` of the summary says why. `build` is the batch's graph, where that
        has no name to be found by. Raises `UsageError` for a row that does not wait, and as `batch`
        does.
        """
        _check_names(options, ResumeOptions)
        given = {name: value for name, value in options.items() if value is not None}
        settings = _validated(RunSettings, {"out": out, **given})
        return await resume.resume_batch(
            self,
            settings.out,
            answers,
            build=build,
            budget=settings.budget if "budget" in given else None,
            in_flight=settings.in_flight,
            progress=progress,
        )

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
