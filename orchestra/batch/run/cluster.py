"""A batch whose rows run on a Ray cluster: hosts beside their models, the book in one actor.

Rows are fed, paused and stopped by the same `BatchRun` as in one process, so the decisions are the
same; only where a row runs, and where the book is, differ (docs/adr/0010). A host that dies costs
the rows it had under way one more try; the book's actor may die as well, and goes on.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestra.batch.folder import BOOK, IMAGES, Folder, open_patiently
from orchestra.batch.output.summary import ELSEWHERE
from orchestra.batch.row_run import Models, Ran, row_account
from orchestra.batch.run.hosts import Hosts
from orchestra.batch.run.row_host import RowHost
from orchestra.batch.run.runner import BatchRun
from orchestra.batch.tables.row import Row
from orchestra.book.messages import AbandonAccount, AnyMessage
from orchestra.book.shared.remote import Keeper, RemoteLedger, Send
from orchestra.clients.handle import LOST, ActorLink, link_to
from orchestra.core.errors import BookError, ModelUnavailable

TRIES = 5  # of one row, each on a host that died under it
SEND_TRIES, SEND_WAIT_S = 30, 1.0


class BookKeeper(Keeper):
    """The actor that has the batch's book."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_patiently(path))


def reach(keeper: str) -> Send:
    """How messages get to the actor of that name; one that was lost is sent again."""
    link = link_to(keeper)

    async def send(messages: list[AnyMessage]) -> list[Any]:
        lost: Exception | None = None
        for _ in range(SEND_TRIES):
            try:
                return await link.call("apply", messages)
            except LOST as error:
                lost = error
                await asyncio.sleep(SEND_WAIT_S)
        raise BookError(
            f"The actor that keeps the book does not answer ({type(lost).__name__}). What was "
            "finished is kept; run the same command again, it resumes."
        ) from lost

    return send


@dataclass(kw_only=True, eq=False)
class ClusterRun(BatchRun):
    """A `BatchRun` on the cluster this process is connected to, with `models` on every host."""

    models: list[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        cards = [self.fleet.file.card(model) for model in self.models]
        self._gpus = sum(card.hosting.scaling.gpus for card in cards)
        self._room = hosts_of(self._gpus)
        self._hosts = Hosts([], self.models)

    @property
    def in_flight(self) -> int:
        """Rows at once: the option counts for each host that is up."""
        return self.settings.in_flight * max(1, self._hosts.up)

    @asynccontextmanager
    async def hosting(self) -> AsyncIterator[None]:
        """Hand the book to its actor, start the hosts, and take the book back at the end."""
        self.folder.book.set_meta(ELSEWHERE, "yes")
        self.folder.book.close()
        name = f"book-{uuid.uuid4().hex}"
        keeper = ActorLink(BookKeeper, self.folder.path / BOOK, name=name, **_here())
        self.ledger = RemoteLedger(reach(name))
        try:
            self._hosts = Hosts([self._start(name) for _ in range(self._room)], self.models)
            await self._hosts.prepare()
            yield
        finally:
            self._hosts.end()
            await _let_go(keeper)
            self._take_back()

    def _start(self, keeper: str) -> ActorLink:
        return ActorLink(
            RowHost,
            self.request.spec,
            self.settings,
            self.folder.path.resolve() / IMAGES,
            keeper,
            reach,
            self.fleet.beside,
            num_cpus=1,
            num_gpus=self._gpus,
            max_restarts=-1,
            max_concurrency=self.settings.in_flight + 8,
            scheduling_strategy="SPREAD",
        )

    def _take_back(self) -> None:
        """The book of the folder is this process's again."""
        path = self.folder.path
        self.folder = Folder(path, open_patiently(path / BOOK), self.folder.images)

    async def run_one(self, row: Row, models: Models | None = None) -> Ran:
        """Run a row on a host; one that dies under it costs another try."""
        why = ""
        for _ in range(TRIES):
            account = row_account(row)
            try:
                return await self._hosts.run(row, account, models)
            except ModelUnavailable as error:
                return Ran("silent", str(error), silent=frozenset(self.models))
            except LOST as error:
                why = f"The host that ran row {row.ordinal} was lost ({type(error).__name__})."
                await self.ledger.send(AbandonAccount(account))
        return self.rows.lost(row, f"{why} It was tried {TRIES} times; see the cluster's logs.")

    async def answers(self, model: str) -> bool:
        """Whether `model` answers a short question of no row now, on a host that is up."""
        try:
            return await self._hosts.answers(model)
        except (ModelUnavailable, *LOST):
            return False

    def stop_rows(self) -> None:
        """Ask every host to start no row that would wait for room."""
        super().stop_rows()
        self._hosts.stop_rows()


async def _let_go(keeper: ActorLink) -> None:
    """Close the book in its actor, then end the actor."""
    try:
        await keeper.call("close")
    except LOST:
        """It is gone already, and the lock with it."""
    keeper.stop()


def _here() -> dict[str, Any]:
    """On this node, where the file is; sqlite is never used over a network."""
    node = ray.get_runtime_context().get_node_id()
    return {
        "num_cpus": 0,
        "max_restarts": -1,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
    }


def hosts_of(gpus: float) -> int:
    """How many hosts the cluster has room for: one a CPU, or as many as GPUs allow.

    Raises `ModelUnavailable` when there is room for none.
    """
    room = ray.cluster_resources()
    hosts = int(room.get("CPU", 0))
    if gpus:
        hosts = min(hosts, math.floor(room.get("GPU", 0) / gpus))
    if hosts < 1:
        raise ModelUnavailable(
            f"The cluster has no room for a host: it has {room.get('CPU', 0):g} CPUs and "
            f"{room.get('GPU', 0):g} GPUs, and a host takes 1 CPU and {gpus:g} GPUs. "
            "Add nodes, or lower hosting.scaling.gpus on the cards."
        )
    return hosts
