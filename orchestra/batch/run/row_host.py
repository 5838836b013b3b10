"""One process that runs rows beside its own models, for a batch on a cluster; it knows no Ray.

Everything it is given can be pickled: specification, settings, and how to reach the book.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestra.batch.row_run import Models, Ran, RowRun
from orchestra.batch.spec import BatchSpec, RunSettings
from orchestra.batch.tables.row import Row
from orchestra.book.shared.remote import RemoteLedger, Send
from orchestra.fleet.opened import OpenFleet
from orchestra.images.limits import ImageLimits
from orchestra.images.store import ImageStore
from orchestra.observe import otlp
from orchestra.routing.compiled import compile_graph


class RowHost:
    """Runs rows with engines of its own; the ledger is reached through `reach(keeper)`.

    Photos are kept in the folder `images`, which all hosts share; `beside` are texts of the table.
    """

    def __init__(
        self,
        spec: BatchSpec,
        settings: RunSettings,
        images: Path,
        keeper: str,
        reach: Callable[[str], Send],
        beside: tuple[str, ...] = (),
    ) -> None:
        otlp.begin()
        ledger = RemoteLedger(reach(keeper))
        limits = ImageLimits(allow_private=settings.allow_private)
        opened = OpenFleet.open(
            spec.fleet, policy=spec.policy, cache=settings.cache, image_limits=limits
        )
        self._fleet = opened.scoped(ledger, ImageStore(images), beside)
        graph = compile_graph(spec.build())
        budget, tags = settings.budget, settings.tags
        self._rows = RowRun(self._fleet, ledger, graph, spec, budget, tags)

    async def prepare(self, models: list[str]) -> None:
        """Load `models` before the first row. Raises what loading raises."""
        for model in models:
            await self._fleet.client(model).prepare()

    async def run(self, row: Row, account: str, models: Models | None = None) -> Ran:
        """Run one row under `account`. Raises `BookError`."""
        return await self._rows.run(row, account, models)

    async def answers(self, model: str) -> bool:
        """Whether `model` answers a short question of no row. Raises `BookError`."""
        return await self._rows.answers(model)

    async def stop(self) -> None:
        """Start no row that would have to wait for room."""
        self._rows.stop()
