"""What stands behind the runs of jobs: models, a ledger, photos, plans."""

from __future__ import annotations

from typing import Any, Protocol, Self

from langgraph.graph.state import CompiledStateGraph

from orchestra.book.ledger import Ledger
from orchestra.core.call import Client
from orchestra.core.card import FleetFile
from orchestra.core.job import Budget
from orchestra.graph.caller import Caller
from orchestra.graph.savers import Savers
from orchestra.images.download import Downloads
from orchestra.images.limits import ImageLimits
from orchestra.images.store import ImageStore
from orchestra.quality.learned.expected import Expectations
from orchestra.quality.policy import Policy
from orchestra.routing.candidates import JobShape
from orchestra.routing.plan import Plan
from orchestra.routing.timing import Load


class Backing(Protocol):
    """What a run needs of the fleet that was opened for it."""

    file: FleetFile
    policy: Policy | None
    ledger: Ledger
    images: ImageStore
    image_limits: ImageLimits
    downloads: Downloads | None
    caller: Caller
    savers: Savers
    beside: tuple[str, ...]  # texts of the table whose rows are run

    def client(self, model: str) -> Client:
        """How to reach `model`. Raises `InvalidFleet` for a card that is for planning only."""
        ...

    def plan_for(
        self,
        graph: CompiledStateGraph[Any, Any, Any, Any],
        shape: JobShape,
        budget: Budget,
        load: Load | None = None,
    ) -> Plan:
        """The plan of a job of `shape` over `graph`, beside `load`."""
        ...

    def expected_of(self, text: str) -> Expectations:
        """How well models are expected to answer a text, where the policy learnt that."""
        ...

    async def prepare(self, planned: Plan) -> None:
        """Load or reach the models of a plan before any deadline begins."""
        ...

    def scoped(self, ledger: Ledger, images: ImageStore) -> Self:
        """The same cards and clients, spending into `ledger`."""
        ...

    async def close(self) -> None:
        """Stop the clients and close the book."""
        ...
