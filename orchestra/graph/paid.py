"""What one call came to: its answer, its price, its time and its record; it makes no call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from orchestra.book.messages import SettleCall
from orchestra.cache.replies import to_json
from orchestra.clients.endpoint_pace import Pace
from orchestra.core.call import Call, Client, OnPiece, Reply
from orchestra.core.card import Card
from orchestra.core.errors import OrchestraError
from orchestra.core.job import CallRecord
from orchestra.core.money import usd
from orchestra.core.pricing import Work, cost_micro


@dataclass(frozen=True, slots=True)
class Paid:
    """What a call came to; `reused` when somebody else paid, `saved_micro` by the cache."""

    answer: Reply | OrchestraError
    cost_micro: int = 0
    reused: bool = False
    saved_micro: int = 0
    model_s: float = 0.0


@dataclass(slots=True)
class Timed:
    """A call on its way: how long the model had it, beside which calls of other jobs."""

    beside: dict[str, int]
    pace: Pace | None = None
    seconds: float = 0.0
    started: float = 0.0

    async def answer(self, client: Client, call: Call, ticket: Ticket) -> Reply:
        """The model's answer, once its limits of a minute let the call start."""
        if self.pace is None:
            return await self._timed(client, call, ticket, ticket.left_s)
        asked = time.monotonic()
        place = await self.pace.wait(ticket.ceiling.tokens, ticket.left_s)
        waited_s = time.monotonic() - asked
        left_s = None if ticket.left_s is None else max(0.0, ticket.left_s - waited_s)
        reply = await self._timed(client, call, ticket, left_s)
        self.pace.settle(place, work_of(reply).tokens)
        return reply

    async def _timed(
        self, client: Client, call: Call, ticket: Ticket, left_s: float | None
    ) -> Reply:
        self.started = time.monotonic()
        try:
            return await client.complete(call, left_s=left_s, on_piece=ticket.on_piece)
        finally:
            self.seconds = time.monotonic() - self.started

    def measured(self, reply: Reply, ticket: Ticket) -> dict[str, Any]:
        """What the book keeps of it, for `orchestra refit`."""
        usage = reply.usage
        return {
            "ms": round(self.seconds * 1000, 3),
            "at": round(self.started * 1000, 3),
            "ask": ticket.prompt_hash,
            "bytes": ticket.text_bytes,
            "work": [usage.input_tokens, usage.output_tokens, usage.images],
            "beside": self.beside,
            "siblings": ticket.siblings,
            "planned": ticket.planned_ms,
        }


def worst_payment(uid: str, worst: int, ticket: Ticket) -> SettleCall:
    """What a call that may have been made costs at most."""
    return SettleCall(uid, worst, ticket.ceiling.tokens)


def payment_of(uid: str, reply: Reply, worst: int, ticket: Ticket, timed: Timed) -> SettleCall:
    """What an answered call costs, within what was reserved for it."""
    usage, work = reply.usage, work_of(reply)
    spent = min(cost_micro(ticket.card, work), worst)
    measured = None if usage.is_bound else timed.measured(reply, ticket)
    return SettleCall(uid, spent, work.tokens, usage.cpu_s, to_json(reply), measured)


def work_of(reply: Reply) -> Work:
    """The metered work of a reply."""
    usage = reply.usage
    return Work(usage.input_tokens, usage.output_tokens, usage.images)


def record_of(call: Call, ticket: Ticket, paid: Paid, seconds: float) -> CallRecord:
    """The call as it stands in a result."""
    answer = paid.answer
    made: dict[str, Any] = {}
    if isinstance(answer, Reply):
        usage = answer.usage
        made = {
            "raw": answer.text,
            "thinking": answer.thinking,
            "finish": answer.finish,
            "confidence": dict(answer.confidence),
            "modality_weights": dict(answer.modality_weights),
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "image_count": usage.images,
            "cpu_s": usage.cpu_s,
            "cached": answer.cached,
        }
    return CallRecord(
        node=ticket.node,
        model=ticket.card.name,
        instruction=call.instruction,
        data=call.text,
        images=ticket.images,
        prompt_hash=ticket.prompt_hash,
        cost_usd=usd(paid.cost_micro),
        reused=paid.reused,
        saved_usd=usd(paid.saved_micro),
        seconds=round(seconds, 6),
        model_seconds=round(paid.model_s, 6),
        **made,
    )


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call to be made: where, by which model, under which account, at most for how much.

    `may_share`: its reply may come from a cache, and be kept there.
    """

    node: str
    card: Card
    account: str
    ceiling: Work
    images: tuple[str, ...]
    prompt_hash: str
    left_s: float | None
    on_piece: OnPiece | None = None
    text_bytes: int = 0  # of the job; with `siblings` it is what its plan knew of the call
    siblings: int = 0
    planned_ms: float | None = None
    may_share: bool = True
