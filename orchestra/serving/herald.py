"""Tells the webhook of runs that wait for a person: once for each time that they ask.

A run is told of right after it began to wait. Whoever dies between the two leaves that to the next
look at the ledger, which has all runs that wait.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence

from orchestra.access.own import PART
from orchestra.access.principal import ANYONE, principal
from orchestra.book.filing.filing import Filing
from orchestra.book.ledger import Ledger
from orchestra.book.messages import ListThreads, ThreadEntry
from orchestra.core.job import Question, Result
from orchestra.serving.batches.output import event

KEPT_S = 365 * 86_400  # what was told is known so long
MARK = "\n"  # before a thread's name, which no client's key begins with: a header holds none


class WaitingHerald:
    """Tells of runs in `ledger`, by the outbox of `filing`, which knows what it has told."""

    def __init__(self, filing: Filing, ledger: Ledger, *, has_tenants: bool) -> None:
        self._filing, self._ledger, self._has_tenants = filing, ledger, has_tenants

    def tell(self, result: Result, graph: str) -> None:
        """Tell of the run of who asks, which has come to `result`."""
        if result.thread_id is not None:
            self._tell(principal().tenant, result.thread_id, graph, result.questions, is_new=True)

    async def catch_up(self) -> None:
        """Tell of those that wait and were not told of. Raises `BookError`."""
        for entry in await self._ledger.send(ListThreads()):
            if entry.status == "waiting":
                tenant, thread_id = self._names(entry)
                about = json.loads(entry.about)
                asks = [Question.model_validate(each) for each in about.get("questions", ())]
                self._tell(tenant, thread_id, about.get("graph"), asks, is_new=False)

    def _names(self, entry: ThreadEntry) -> tuple[str, str]:
        tenant, part, thread_id = entry.id.partition(PART)
        return (tenant, thread_id) if self._has_tenants and part else (ANYONE.tenant, entry.id)

    def _tell(
        self,
        tenant: str,
        thread_id: str,
        graph: str | None,
        questions: Sequence[Question],
        *,
        is_new: bool,
    ) -> None:
        now, key = int(time.time()), MARK + thread_id
        asks = json.dumps([(question.id, question.node) for question in questions])
        asked = hashlib.sha256(asks.encode()).hexdigest()
        with self._filing.transaction():
            known = self._filing.claim_key(tenant, key, asked, now=now, until=now + KEPT_S)
            if known is not None and known.asked == asked and not is_new:
                return
            if known is not None:
                self._filing.free_key(tenant, key)
                self._filing.claim_key(tenant, key, asked, now=now, until=now + KEPT_S)
            data = {"id": thread_id, "graph": graph, "tenant": tenant}
            self._filing.post(event("thread.waiting", now, data), now)
