"""The hosts of a batch on a cluster: which one takes a row, which are lost, and when one is back.

It knows no ledger and no pause. Ray starts a lost host again where there is room, which may be
nowhere: a row goes to a host that is up, and to a lost one only once it has loaded its models.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from orchestra.batch.row_run import Models, Ran
from orchestra.batch.tables.row import Row
from orchestra.clients.handle import LOST, ActorLink
from orchestra.core.errors import ModelUnavailable, OrchestraError

BACK_S = 60.0  # at most waited for when no host is up; a pause of the batch comes after it
AGAIN_S = 1.0
DIED = (
    "it was killed for memory, or crashed in native code. Free memory, or load the models in one "
    "process to see it: leave out --on"
)


@dataclass(eq=False, slots=True)
class Hosts:
    """`RowHost`s by their links, each with `models`."""

    links: Sequence[ActorLink]
    models: list[str]
    back_s: float = BACK_S
    again_s: float = AGAIN_S
    _busy: Counter[int] = field(default_factory=Counter)
    _lost: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _stops: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def up(self) -> int:
        """How many take rows now."""
        return len(self.links) - len(self._lost)

    async def prepare(self) -> None:
        """Load the models everywhere. Raises what loading raises.

        A host that dies of it is `ModelUnavailable`: Ray would start it again and again.
        """
        try:
            await asyncio.gather(*(link.call("prepare", self.models) for link in self.links))
        except LOST as cause:
            raise ModelUnavailable(
                f"A host of the batch died before it had loaded {', '.join(self.models)}: "
                f"{_why(cause)}"
            ) from cause

    async def run(self, row: Row, account: str, models: Models | None = None) -> Ran:
        """Run a row on the host that has the fewest.

        Raises one of `LOST` when that host dies under it, `ModelUnavailable` when none is up and
        none comes back, and `BookError`.
        """
        return await self._call("run", row, account, models)

    async def answers(self, model: str) -> bool:
        """Whether `model` answers on the host that has the fewest rows. Raises as `run` does."""
        return await self._call("answers", model)

    async def _call(self, method: str, *arguments: Any) -> Any:
        place = await self._place()
        self._busy[place] += 1
        try:
            return await self.links[place].call(method, *arguments)
        except LOST:
            if place not in self._lost:
                self._lost[place] = asyncio.create_task(self._return(place))
            raise
        finally:
            self._busy[place] -= 1

    def stop_rows(self) -> None:
        """Ask every host to start no row that would wait for room."""
        self._stops = [asyncio.create_task(_tell(link, "stop")) for link in self.links]

    def end(self) -> None:
        """End the hosts' processes."""
        for task in [*self._lost.values(), *self._stops]:
            task.cancel()
        for link in self.links:
            link.stop()

    async def _place(self) -> int:
        if not self.up:
            await asyncio.wait(
                self._lost.values(), timeout=self.back_s, return_when=asyncio.FIRST_COMPLETED
            )
        up = [place for place in range(len(self.links)) if place not in self._lost]
        if not up:
            raise ModelUnavailable(
                f"All {len(self.links)} hosts of the batch were lost, and none was back after "
                f"{self.back_s:g} s. `ray status` says which nodes are up."
            )
        return min(up, key=lambda place: self._busy[place])

    async def _return(self, place: int) -> None:
        """Wait until Ray has started the host again and it has its models."""
        while True:
            await asyncio.sleep(self.again_s)
            with suppress(OrchestraError, *LOST):
                await self.links[place].call("prepare", self.models)
                del self._lost[place]
                return


def _why(cause: Exception) -> str:
    """The error that a host could not start for, by its last line, else what it may be."""
    said = str(cause).strip()
    if "creation task" not in said:
        return DIED
    return said.splitlines()[-1].strip().removeprefix("orchestra.core.errors.")


async def _tell(link: ActorLink, method: str) -> Any:
    with suppress(*LOST):
        await link.call(method)
