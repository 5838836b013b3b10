"""Batches as who asks may see them: taken in, told, listed, cancelled."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from orchestra.access.principal import principal
from orchestra.book.filing.entries import FiledBatch
from orchestra.book.filing.filing import Filing
from orchestra.core.errors import UnknownBatch, UsageError
from orchestra.core.tags import problem
from orchestra.serving.batches.words import (
    BatchList,
    BatchObject,
    BatchProblem,
    BatchProblems,
    BatchRequest,
    BatchUse,
    LineCounts,
)
from orchestra.serving.batches.work import BatchWork
from orchestra.serving.chat_words import CachedTokens
from orchestra.serving.files.shelf import Shelf

MOST_OPEN = 100  # batches of a tenant that are under way


@dataclass(frozen=True, slots=True)
class BatchDesk:
    """Takes batches in, tells of them and cancels them, for who asks."""

    filing: Filing
    work: BatchWork

    def begin(self, asked: BatchRequest) -> FiledBatch:
        """A new batch. Raises `UnknownFile`, `UsageError`, `BatchesFull`."""
        file = Shelf(self.filing).find(asked.input_file_id)
        if file.purpose != "batch":
            raise UsageError(
                f"The file {file.id!r} was sent for {file.purpose!r}. Send it with the purpose "
                "'batch'."
            )
        wrong = problem(asked.metadata or {})
        if wrong is not None:
            raise UsageError(wrong)
        who, now = principal(), int(time.time())
        batch = FiledBatch(
            f"batch_{uuid.uuid4().hex}",
            who.tenant,
            who.key,
            who.weight,
            asked.endpoint,
            file.id,
            asked.completion_window,
            now,
            now + 3600 * int(asked.completion_window.removesuffix("h")),
            metadata=asked.metadata or {},
        )
        self.filing.add_batch(batch, most_open=MOST_OPEN)
        self.work.begin()
        return batch

    def find(self, id: str) -> FiledBatch:
        """One of who asks. Raises `UnknownBatch`."""
        found = self.filing.batch(id, principal().tenant)
        if found is None:
            raise UnknownBatch(f"There is no batch {id[:80]!r}. See GET /v1/batches.")
        return found

    def cancel(self, id: str) -> FiledBatch:
        """No more lines of it are begun. Raises `UnknownBatch`, and `UsageError` for its end."""
        found = self.find(id)
        if found.is_over:
            raise UsageError(f"The batch {id!r} is {found.status} already; nothing was changed.")
        moved = self.filing.move_batch(id, "cancelling", int(time.time()))
        self.work.begin()
        return moved or found

    def page(self, after: str | None, limit: int) -> BatchList:
        """Those of who asks, the newest first. Raises `UnknownBatch` for an unknown `after`."""
        if after is not None:
            self.find(after)
        found = self.filing.list_batches(principal().tenant, after=after, limit=limit + 1)
        return BatchList.of([self.told(batch) for batch in found], limit)

    def told(self, batch: FiledBatch) -> BatchObject:
        """A batch as clients read it."""
        counts = self.filing.counts(batch.id)
        use = counts.use
        times = {f"{status}_at": at for status, at in batch.times.items()}
        problems = [BatchProblem.model_validate(dict(each)) for each in batch.problems]
        return BatchObject(
            id=batch.id,
            endpoint=batch.endpoint,
            errors=BatchProblems(data=problems) if problems else None,
            input_file_id=batch.input_file,
            completion_window=batch.window,
            status=batch.status,
            output_file_id=batch.output_file,
            error_file_id=batch.error_file,
            created_at=batch.created,
            expires_at=batch.expires,
            in_progress_at=times.get("in_progress_at"),
            finalizing_at=times.get("finalizing_at"),
            completed_at=times.get("completed_at"),
            failed_at=times.get("failed_at"),
            expired_at=times.get("expired_at"),
            cancelling_at=times.get("cancelling_at"),
            cancelled_at=times.get("cancelled_at"),
            request_counts=LineCounts(
                total=batch.total, completed=counts.completed, failed=counts.failed
            ),
            usage=BatchUse(
                input_tokens=use.sent,
                input_tokens_details=CachedTokens(cached_tokens=use.cached),
                output_tokens=use.written,
                total_tokens=use.sent + use.written,
            ),
            metadata=dict(batch.metadata) or None,
        )
