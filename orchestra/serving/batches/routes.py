"""The routes of batches, in OpenAI's form."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query

from orchestra.serving.batches.desk import BatchDesk
from orchestra.serving.batches.words import BatchList, BatchObject, BatchRequest
from orchestra.serving.documented import READING, errors

After = Annotated[str | None, Query(max_length=200)]


def add_batches(app: FastAPI, desk: BatchDesk) -> None:
    """The routes of batches."""

    @app.post("/v1/batches", responses=errors(*READING, 507))
    async def begin(asked: BatchRequest) -> BatchObject:
        """Run each line of a file as a request; it goes on when the service was started again."""
        return desk.told(desk.begin(asked))

    @app.get("/v1/batches", responses=errors(*READING))
    async def batches(
        after: After = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> BatchList:
        """The batches, the newest first."""
        return desk.page(after, limit)

    @app.get("/v1/batches/{batch_id}", responses=errors(*READING))
    async def batch(batch_id: str) -> BatchObject:
        """How one of them stands."""
        return desk.told(desk.find(batch_id))

    @app.post("/v1/batches/{batch_id}/cancel", responses=errors(*READING))
    async def cancel(batch_id: str) -> BatchObject:
        """Begin no more of its lines; what was answered is in its files."""
        return desk.told(desk.cancel(batch_id))
