"""One model's replica: loads the engine its card names and answers calls.

A plain class that is bound to Ray Serve in `deployment.py`. Expected failures are returned, not
raised, so that Ray wraps none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Reply
from orchestra.core.errors import DeadlineExceeded, ModelUnavailable, OrchestraError
from orchestra.fleet.local import local_client
from orchestra.fleet.source import load_fleet
from orchestra.observe.trace import continued

Answer = Reply | OrchestraError


class ModelReplica:
    """One loaded model. Calls that wait together are decoded together.

    Fleet and model are found by name, so that each node uses its own files. `client` takes the
    place of the engine that the card names; `seen` is told what the engine made of each row. The
    model loads before the first call is taken: a replica that cannot load does not become healthy.
    """

    def __init__(
        self,
        fleet: str,
        model: str,
        client: InProcessClient | None = None,
        seen: Callable[[Answer], None] | None = None,
    ) -> None:
        self._client = client or _of_card(fleet, model)
        self._client.seen = seen
        self._client.load_engine()
        self._broken: str | None = None

    async def prepare(self, *, left_s: float | None = None) -> OrchestraError | None:
        """Load the model; the error of loading is the answer."""
        try:
            await self._client.prepare()
        except OrchestraError as error:
            return error
        return None

    async def complete(
        self, call: Call, trace: Mapping[str, str], *, left_s: float | None = None
    ) -> Answer:
        """Answer one call. Cancelling it, or the end of `left_s`, stops its decoding."""
        with continued(trace):
            return await self._within(left_s, call)

    async def stream(
        self, call: Call, trace: Mapping[str, str], *, left_s: float | None = None
    ) -> AsyncIterator[str | Answer]:
        """The text of the answer as it is decoded, then the reply or the error itself."""
        pieces: asyncio.Queue[str | Answer] = asyncio.Queue()

        async def work() -> None:
            with continued(trace):
                pieces.put_nowait(await self._within(left_s, call, pieces))

        task = asyncio.create_task(work())
        try:
            while True:
                piece = await pieces.get()
                yield piece
                if not isinstance(piece, str):
                    return
        finally:
            task.cancel()

    async def count_tokens(self, call: Call, *, left_s: float | None = None) -> int:
        """Prompt tokens of `call`."""
        return await self._client.count_tokens(call)

    async def check_health(self) -> None:
        """Raises when the engine broke down, so that Serve replaces this replica."""
        if self._broken is not None:
            raise RuntimeError(self._broken)

    async def _within(
        self, left_s: float | None, call: Call, pieces: asyncio.Queue[str | Answer] | None = None
    ) -> Answer:
        heard = None if pieces is None else pieces.put_nowait
        try:
            # A caller that died cannot cancel: the replica keeps the time by itself as well.
            async with asyncio.timeout(left_s):
                return await self._client.complete(call, on_piece=heard)
        except TimeoutError:
            return DeadlineExceeded(
                f"The model {self._client.name!r} gave no answer in the "
                f"{(left_s or 0) * 1000:.0f} ms that were left. Raise latency_ms."
            )
        except ModelUnavailable as error:
            # Without a cause the engine refused (too little memory for a batch) and lives on.
            if error.__cause__ is not None:
                self._broken = str(error)
            return error
        except OrchestraError as error:
            return error


def _of_card(fleet: str, model: str) -> InProcessClient:
    file, folder = load_fleet(fleet)
    card = file.card(model)
    return local_client(card, folder, threads=max(1, round(card.hosting.scaling.cpus)))
