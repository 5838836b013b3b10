"""Makes one paid model call: reuse, reserve, dispatch, settle; it knows no graph and no plan.

An identical call (content, prompt, schema, model) is answered from the journal or joins the
one under way, and costs nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestra.budget.book import Book
from orchestra.budget.money import usd
from orchestra.budget.pricing import Work, cost_micro
from orchestra.clients.engine import Call, OnPiece, Reply, Usage
from orchestra.errors import (
    AnswerInvalid,
    AnswerTruncated,
    DeadlineExceeded,
    OrchestraError,
)
from orchestra.fleet.card import Card
from orchestra.job import CallRecord


class Client(Protocol):
    """How a node reaches a model.

    `complete` may use `left_s` to stop work elsewhere by itself; the caller stops waiting then
    in any case, by cancelling. `on_piece` is given the text as it is decoded.
    """

    async def prepare(self) -> None: ...

    async def complete(
        self, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
    ) -> Reply: ...

    async def count_tokens(self, call: Call) -> int: ...


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call to be made: where, by which model, under which account, at most for how much."""

    node: str
    card: Card
    account: str
    ceiling: Work
    images: tuple[str, ...]
    prompt_hash: str
    left_s: float | None
    on_piece: OnPiece | None = None


@dataclass(eq=False, slots=True)
class Caller:
    """Calls within budgets. One for each opened fleet."""

    book: Book
    _under_way: dict[str, asyncio.Future[Reply]] = field(default_factory=dict)

    async def call(
        self, client: Client, call: Call, ticket: Ticket
    ) -> tuple[Reply | OrchestraError, CallRecord]:
        """Answer `call`; a failure is returned, not raised, beside the record of the attempt."""
        started = time.monotonic()
        key = call_key(call, ticket)
        reused = await self._reuse(key)
        spent = 0
        answer: Reply | OrchestraError
        if reused is not None:
            answer = reused
        else:
            answer, spent = await self._pay(key, client, call, ticket)
        record = _record(call, ticket, answer, spent, time.monotonic() - started)
        return answer, record.model_copy(update={"reused": reused is not None})

    async def _reuse(self, key: str) -> Reply | None:
        first = self._under_way.get(key)
        if first is not None:
            try:
                return await asyncio.shield(first)
            except OrchestraError:
                return None  # the first asker failed; this one tries for itself
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not first.cancelled() or (task is not None and task.cancelling()):
                    raise
                return None  # the first asker was cancelled, and this one was not
        stored = self.book.reply(key)
        return None if stored is None else _from_json(stored)

    async def _pay(
        self, key: str, client: Client, call: Call, ticket: Ticket
    ) -> tuple[Reply | OrchestraError, int]:
        worst = cost_micro(ticket.card, ticket.ceiling)
        try:
            entry = self._reserve(key, worst, ticket)
        except OrchestraError as error:
            return error, 0
        shared: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        shared.add_done_callback(_mark_seen)
        self._under_way[key] = shared
        try:
            reply = await _within(_answer(client, call, ticket), ticket)
        except OrchestraError as error:
            shared.set_exception(error)
            return error, self._close_failed(entry, error, worst, ticket)
        except asyncio.CancelledError:
            shared.cancel()
            self._settle_worst(entry, worst, ticket)
            raise
        finally:
            self._under_way.pop(key, None)
        spent = self._settle(entry, reply, ticket)
        shared.set_result(reply)
        return reply, spent

    def _reserve(self, key: str, worst: int, ticket: Ticket) -> int:
        """Reserve and dispatch in one transaction: an engine in this process starts at once."""
        with self.book.transaction():
            entry = self.book.reserve(
                ticket.account,
                cost_micro=worst,
                tokens=ticket.ceiling.tokens,
                node=ticket.node,
                model=ticket.card.name,
                key=key,
            )
            self.book.dispatch(entry)
        return entry

    def _settle(self, entry: int, reply: Reply, ticket: Ticket) -> int:
        usage = reply.usage
        work = Work(usage.input_tokens, usage.output_tokens, usage.images)
        spent = min(cost_micro(ticket.card, work), cost_micro(ticket.card, ticket.ceiling))
        self.book.settle(
            entry, cost_micro=spent, tokens=work.tokens, cpu_s=usage.cpu_s, reply=_to_json(reply)
        )
        return spent

    def _close_failed(self, entry: int, error: OrchestraError, worst: int, ticket: Ticket) -> int:
        """Work that was done is paid at its worst case; a call refused outright costs nothing."""
        if isinstance(error, (DeadlineExceeded, AnswerTruncated, AnswerInvalid)):
            self._settle_worst(entry, worst, ticket)
            return worst
        self.book.release(entry)
        return 0

    def _settle_worst(self, entry: int, worst: int, ticket: Ticket) -> None:
        self.book.settle(entry, cost_micro=worst, tokens=ticket.ceiling.tokens)


def _mark_seen(shared: asyncio.Future[Reply]) -> None:
    """Fetch a failure nobody else waited for, so that asyncio does not report it as lost."""
    if not shared.cancelled():
        shared.exception()


def _answer(client: Client, call: Call, ticket: Ticket) -> Awaitable[Reply]:
    return client.complete(call, left_s=ticket.left_s, on_piece=ticket.on_piece)


async def _within(answer: Any, ticket: Ticket) -> Reply:
    try:
        async with asyncio.timeout(ticket.left_s):
            return await answer
    except TimeoutError:
        raise DeadlineExceeded(
            f"The deadline passed at node {ticket.node!r} while {ticket.card.name!r} worked "
            f"({(ticket.left_s or 0) * 1000:.0f} ms were left). Raise latency_ms."
        ) from None


def call_key(call: Call, ticket: Ticket) -> str:
    """Identity of a call: model with its card, wording, data, pixels, schema and bound."""
    parts = [
        ticket.card.model_dump_json(include={"name", "hosting"}),
        call.instruction,
        call.text,
        ticket.images,
        call.schema,
        call.max_tokens,
        [[turn.role, turn.text] for turn in call.turns],
    ]
    text = json.dumps(parts, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _to_json(reply: Reply) -> str:
    usage = reply.usage
    return json.dumps(
        {
            "text": reply.text,
            "value": reply.value,
            "confidence": dict(reply.confidence),
            "usage": [usage.input_tokens, usage.output_tokens, usage.images],
            "finish": reply.finish,
            "thinking": reply.thinking,
        },
        ensure_ascii=False,
    )


def _from_json(stored: str) -> Reply:
    raw: Mapping[str, Any] = json.loads(stored)
    return Reply(
        raw["text"],
        raw["value"],
        raw["confidence"],
        Usage(*raw["usage"]),
        raw["finish"],
        raw.get("thinking", ""),
    )


def _record(
    call: Call, ticket: Ticket, answer: Reply | OrchestraError, spent: int, seconds: float
) -> CallRecord:
    base = CallRecord(
        node=ticket.node,
        model=ticket.card.name,
        instruction=call.instruction,
        data=call.text,
        images=ticket.images,
        prompt_hash=ticket.prompt_hash,
        cost_usd=usd(spent),
        seconds=round(seconds, 6),
    )
    if isinstance(answer, OrchestraError):
        return base
    return base.model_copy(
        update={
            "raw": answer.text,
            "thinking": answer.thinking,
            "finish": answer.finish,
            "confidence": dict(answer.confidence),
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
            "image_count": answer.usage.images,
            "cpu_s": answer.usage.cpu_s,
        }
    )
