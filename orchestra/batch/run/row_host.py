"""One process that runs rows beside its own models, for a batch on a cluster; it knows no Ray.

Everything it is given can be pickled: names of fleet and graph, recipe and policy as JSON, columns,
and how to reach the book.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestra.batch.columns import Columns
from orchestra.batch.recipe import Recipe
from orchestra.batch.row_run import Models, Ran, RowOptions, RowRun
from orchestra.batch.tables.row import Row
from orchestra.book.remote import RemoteLedger, Send
from orchestra.core.errors import OrchestraError
from orchestra.fleet.opened import Build, OpenFleet
from orchestra.fleet.source import load_graph
from orchestra.images.store import ImageStore
from orchestra.quality.policy import Policy
from orchestra.routing.introspect import compile_graph


@dataclass(frozen=True, slots=True)
class RowWork:
    """What every host of a batch is told. `graph` is a name, or a function that pickles."""

    fleet: str
    graph: str | Build
    recipe: str | None
    columns: Columns
    options: RowOptions
    images: Path
    policy: str | None = None
    cache: str | None = None


class RowHost:
    """Runs rows with engines of its own; the ledger is reached through `reach(keeper)`."""

    def __init__(self, work: RowWork, keeper: str, reach: Callable[[str], Send]) -> None:
        self._work = work
        ledger = RemoteLedger(reach(keeper))
        policy = None if work.policy is None else Policy.model_validate_json(work.policy)
        opened = OpenFleet.open(work.fleet, policy=policy, cache=work.cache)
        fleet = opened.scoped(ledger, ImageStore(work.images))
        graph = compile_graph(_build(work))
        self._rows = RowRun(fleet, ledger, graph, work.columns, work.options)
        self._fleet = fleet

    async def prepare(self, models: list[str]) -> OrchestraError | None:
        """Load `models` before the first row; the error of loading is the answer."""
        try:
            for model in models:
                await self._fleet.client(model).prepare()
        except OrchestraError as error:
            return error
        return None

    async def run(
        self, row: Row, account: str, models: Models | None = None
    ) -> Ran | OrchestraError:
        """Run one row under `account`; an error of the book is the answer."""
        try:
            return await self._rows.run(row, account, models)
        except OrchestraError as error:
            return error

    async def stop(self) -> None:
        """Start no row that would have to wait for room."""
        self._rows.stop()


def _build(work: RowWork) -> Build:
    build = load_graph(work.graph) if isinstance(work.graph, str) else work.graph
    if work.recipe is None:
        return build
    return functools.partial(build, Recipe.model_validate_json(work.recipe))
