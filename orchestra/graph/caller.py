"""Makes one paid model call: reuse, reserve, send, settle, and the record of it.

An identical call (content, prompt, schema, model) is answered from the journal or joins the
one under way, and costs nothing. So is one whose reply another run left in the cache.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from orchestra.access.own import own_name
from orchestra.book.ledger import Ledger
from orchestra.book.messages import BeginCall, BookHit, ReleaseCall, SettleCall
from orchestra.cache.replies import SharedReplies, call_key, from_json, to_json
from orchestra.clients.free_text import complete
from orchestra.clients.pace import Paces
from orchestra.core.call import Call, Client, OnPiece, Reply
from orchestra.core.card import Card
from orchestra.core.errors import BookError, DeadlineExceeded, OrchestraError
from orchestra.core.identity import identity
from orchestra.core.job import CallRecord
from orchestra.core.loops import PerLoop
from orchestra.core.money import usd
from orchestra.core.pricing import Work, cost_micro
from orchestra.core.usage import Usage
from orchestra.graph.watch import FirstPiece, count_times, watched
from orchestra.observe.metrics import count_reuse

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Traffic:
    """Calls under way on the models of one fleet in this process: what a new one stands beside.

    A job's own calls do not count against it: its plan knows them.
    """

    _jobs: dict[str, Counter[str]] = field(default_factory=dict)

    @contextmanager
    def entered(self, model: str, account: str) -> Iterator[None]:
        """Count a call on `model` for the job of `account` while the block runs."""
        jobs = self._jobs.setdefault(model, Counter())
        jobs[account] += 1
        try:
            yield
        finally:
            jobs[account] -= 1
            if not jobs[account]:
                del jobs[account]

    def now(self, account: str = "") -> Mapping[str, int]:
        """Calls under way by model, those of `account` left out; models without any are not in."""
        counts = {
            model: jobs.total() - jobs[account] if account in jobs else jobs.total()
            for model, jobs in list(self._jobs.items())  # other threads may call other models
        }
        return {model: count for model, count in counts.items() if count}


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


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call is booked at: its work, which is its worst case where it is `presumed`."""

    work: Work
    cost_micro: int
    presumed: bool = False
    overrun_micro: int = 0

    @classmethod
    def of(cls, usage: Usage, ticket: Ticket) -> Charge:
        """The charge for what a server reported, above the worst case too.

        What it did not report is counted as it was reserved.
        """
        most = ticket.ceiling
        work = Work(usage.input_tokens, usage.output_tokens, most.images)
        if usage.is_bound:
            least = (min(work.input_tokens, most.input_tokens), work.output_tokens)
            work = Work(least[0], min(least[1], most.output_tokens), most.images)
        cost = cost_micro(ticket.card, work)
        beyond = max(0, cost - cost_micro(ticket.card, most))
        return cls(work, cost, usage.is_bound, beyond)

    @classmethod
    def worst(cls, ticket: Ticket) -> Charge:
        """The charge for a call of whose use nothing is known."""
        return cls(ticket.ceiling, cost_micro(ticket.card, ticket.ceiling), presumed=True)

    def settled(self, uid: str, **known: Any) -> SettleCall:
        """The message that books it."""
        return SettleCall(uid, self.cost_micro, self.work.tokens, presumed=self.presumed, **known)


@dataclass(frozen=True, slots=True)
class Paid:
    """What a call came to; `reused` when somebody else paid, `saved_micro` by the cache."""

    answer: Reply | OrchestraError
    charge: Charge | None = None
    reused: bool = False
    saved_micro: int = 0
    model_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TimedReply:
    """A model's reply: when it began, how long it took, beside which calls of other jobs."""

    reply: Reply
    started: float
    seconds: float
    beside: Mapping[str, int]

    @property
    def work(self) -> Work:
        """The metered work."""
        return work_of(self.reply)

    def measured(self, ticket: Ticket) -> dict[str, Any] | None:
        """What the book keeps of it, for `orchestra refit`; None where its work is not known."""
        work = self.work
        if self.reply.usage.is_bound:
            return None
        return {
            "ms": round(self.seconds * 1000, 3),
            "at": round(self.started * 1000, 3),
            "ask": ticket.prompt_hash,
            "bytes": ticket.text_bytes,
            "work": [work.input_tokens, work.output_tokens, work.images],
            "beside": self.beside,
            "siblings": ticket.siblings,
            "planned": ticket.planned_ms,
        }


def work_of(reply: Reply) -> Work:
    """The metered work of a reply."""
    usage = reply.usage
    return Work(usage.input_tokens, usage.output_tokens, usage.images)


def record_of(call: Call, ticket: Ticket, paid: Paid, seconds: float) -> CallRecord:
    """The call as it stands in a result."""
    answer, charge = paid.answer, paid.charge
    said: dict[str, Any] = {}
    if isinstance(answer, Reply):
        said = {
            "raw": answer.text,
            "thinking": answer.thinking,
            "finish": answer.finish,
            "confidence": dict(answer.confidence),
            "modality_weights": dict(answer.modality_weights),
            "cpu_s": answer.usage.cpu_s,
            "cached": answer.cached,
        }
    if charge is not None:
        said |= {
            "presumed": charge.presumed,
            "overrun_usd": usd(charge.overrun_micro),
        }
    work = charge.work if charge is not None else _work_said(answer)
    return CallRecord(
        node=ticket.node,
        model=ticket.card.name,
        instruction=call.instruction,
        data=call.text,
        images=ticket.images,
        prompt_hash=ticket.prompt_hash,
        cost_usd=usd(0 if charge is None else charge.cost_micro),
        input_tokens=work.input_tokens,
        output_tokens=work.output_tokens,
        image_count=work.images,
        reused=paid.reused,
        saved_usd=usd(paid.saved_micro),
        seconds=round(seconds, 6),
        model_seconds=round(paid.model_s, 6),
        **said,
    )


def _work_said(answer: Reply | OrchestraError) -> Work:
    """The work of a reply that somebody else paid for; a call that cost nothing did none."""
    return work_of(answer) if isinstance(answer, Reply) else Work(0, 0)


@dataclass(eq=False, slots=True)
class Caller:
    """Calls within budgets. One for each opened fleet.

    Checkpoints are relative to `folder`. `shared` are the replies of other runs.
    """

    ledger: Ledger
    folder: Path
    shared: SharedReplies | None = None
    # A future belongs to one event loop, so calls of another loop do not join it.
    _under_way: PerLoop[dict[str, asyncio.Future[Reply]]] = field(
        default_factory=lambda: PerLoop(dict)
    )
    # Calls are named here, so that a ledger elsewhere knows a message that is sent again.
    _name: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _cards: dict[str, tuple[Card, str]] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    paces: Paces = field(default_factory=Paces)

    async def call(
        self, client: Client, call: Call, ticket: Ticket
    ) -> tuple[Reply | OrchestraError, CallRecord]:
        """Answer `call`; a failure is returned, not raised, beside the record of the attempt."""
        started = time.monotonic()
        key = own_name(call_key(call, ticket.images, self._model(ticket.card)))
        streams = ticket.on_piece is not None
        try:
            with watched(ticket.card, call, ticket.node, streams=streams) as tell:
                paid = await self._join(key, ticket) or await self._make(key, client, call, ticket)
                tell(paid.answer, reused=paid.reused)
        except BookError:
            raise  # the book failed: nobody may go on as if the call had just failed
        except OrchestraError as error:
            paid = Paid(error)
        return paid.answer, record_of(call, ticket, paid, time.monotonic() - started)

    def _model(self, card: Card) -> str:
        """The card's name and its model's fingerprint, made once for a card.

        One model may stand on two cards at two prices, and each call is booked at its own.
        """
        known = self._cards.get(card.name)
        if known is None or known[0] is not card:
            known = (card, f"{card.name} {identity(card, self.folder).fingerprint}")
            self._cards[card.name] = known
        return known[1]

    async def _join(self, key: str, ticket: Ticket) -> Paid | None:
        """The answer of an identical call under way; None without one, or when that one failed."""
        first = self._under_way.here().get(key)
        if first is None:
            return None
        try:
            joined = await _within(asyncio.shield(first), ticket)
            count_reuse("under_way", is_hit=True)
            return Paid(joined, reused=True)
        except DeadlineExceeded:
            if first.done():
                return None  # the first asker's own deadline; this one tries for itself
            raise
        except OrchestraError:
            return None  # the first asker failed; this one tries for itself
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not first.cancelled() or (task is not None and task.cancelling()):
                raise
            return None  # the first asker was cancelled, and this one was not

    async def _make(self, key: str, client: Client, call: Call, ticket: Ticket) -> Paid:
        """Answer a call that others may join from now on."""
        shared: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        shared.add_done_callback(_mark_seen)
        under_way = self._under_way.here()
        is_first = under_way.setdefault(key, shared) is shared
        try:
            paid = await self._pay(key, client, call, ticket)
        except BaseException as error:
            if isinstance(error, OrchestraError):
                shared.set_exception(error)
            else:
                shared.cancel()
            raise
        finally:
            if is_first:
                del under_way[key]
        if isinstance(paid.answer, OrchestraError):
            shared.set_exception(paid.answer)
        else:
            shared.set_result(paid.answer)
        return paid

    async def _pay(self, key: str, client: Client, call: Call, ticket: Ticket) -> Paid:
        uid = f"{self._name}:{next(self._numbers)}"
        shared = await self._shared_key(call, ticket)
        found = self._found(shared)
        if shared is not None:
            count_reuse("replies", is_hit=found is not None)
        if found is not None:
            return await self._take(uid, key, found, ticket)
        worst = Charge.worst(ticket)
        stored = await self._begin(uid, key, worst.cost_micro, ticket)
        count_reuse("book", is_hit=stored is not None)
        if stored is not None:
            return Paid(from_json(stored), reused=True)
        try:
            timed = await _within(self._answer(client, call, ticket), ticket)
        except OrchestraError as error:
            return await self._failed(uid, error, ticket)
        except BaseException:  # cancelled, or what no client should raise: it may have been billed
            await asyncio.shield(self.ledger.send(worst.settled(uid)))
            raise
        charge = Charge.of(timed.reply.usage, ticket)
        payment = charge.settled(
            uid,
            cpu_s=timed.reply.usage.cpu_s,
            reply=to_json(timed.reply),
            measured=timed.measured(ticket),
        )
        try:
            await self.ledger.send(payment)
        except asyncio.CancelledError:
            await asyncio.shield(self.ledger.send(payment))  # once, however often it is sent
            raise
        if shared is not None and self.shared is not None:
            self.shared.keep(shared, timed.reply)
        return Paid(timed.reply, charge, model_s=timed.seconds)

    async def _failed(self, uid: str, error: OrchestraError, ticket: Ticket) -> Paid:
        """Book what a call without a usable answer cost: as reported, or nothing, or the worst."""
        if error.used is not None:
            charge = Charge.of(error.used, ticket)
        elif error.may_have_spent:
            charge = Charge.worst(ticket)
        else:
            await self.ledger.send(ReleaseCall(uid))
            return Paid(error)
        await self.ledger.send(charge.settled(uid))
        return Paid(error, charge)

    async def _answer(self, client: Client, call: Call, ticket: Ticket) -> TimedReply:
        """The model's answer, once its limits of a minute let the call start."""
        beside = dict(self.traffic.now(ticket.account))
        pace, left_s = self.paces.of(ticket.card), ticket.left_s
        with self.traffic.entered(ticket.card.name, ticket.account):
            booking = None
            if pace is not None:
                asked = time.monotonic()
                booking = await pace.wait(ticket.ceiling.tokens, left_s)
                waited_s = time.monotonic() - asked
                left_s = None if left_s is None else max(0.0, left_s - waited_s)
            started = time.monotonic()
            first = None if ticket.on_piece is None else FirstPiece(ticket.on_piece, started)
            reply = await complete(client, call, left_s=left_s, on_piece=first)
            timed = TimedReply(reply, started, time.monotonic() - started, beside)
        count_times(ticket.card, reply, timed.seconds, first)
        if pace is not None and booking is not None:
            pace.settle(booking, timed.work.tokens)
        return timed

    async def find(self, call: Call, ticket: Ticket) -> Reply | None:
        """The reply that the cache has for `call`; nothing is booked."""
        return self._found(await self._shared_key(call, ticket))

    def _found(self, shared: str | None) -> Reply | None:
        return None if shared is None or self.shared is None else self.shared.find(shared)

    async def _shared_key(self, call: Call, ticket: Ticket) -> str | None:
        """The call's key in the cache; None when it is not to be shared."""
        if self.shared is None or not ticket.may_share:
            return None
        key = await self.shared.key(call, ticket.images, ticket.card)
        return None if key is None else own_name(key)

    async def _take(self, uid: str, key: str, found: Reply, ticket: Ticket) -> Paid:
        """Book a reply of the cache at nothing; one that the book has already is taken over."""
        work = work_of(found)
        hit = BookHit(
            uid=uid,
            account=ticket.account,
            key=key,
            node=ticket.node,
            model=ticket.card.name,
            saved_micro=cost_micro(ticket.card, work),
            saved_tokens=work.tokens,
            reply=to_json(found),
        )
        stored = await self.ledger.send(hit)
        if stored is not None:
            return Paid(from_json(stored), reused=True)
        return Paid(found, reused=True, saved_micro=hit.saved_micro)

    async def _begin(self, uid: str, key: str, worst: int, ticket: Ticket) -> str | None:
        begun = BeginCall(
            uid=uid,
            account=ticket.account,
            key=key,
            node=ticket.node,
            model=ticket.card.name,
            cost_micro=worst,
            tokens=ticket.ceiling.tokens,
        )
        try:
            return await self.ledger.send(begun)
        except asyncio.CancelledError:
            # A ledger elsewhere may have begun it all the same, and the call is never sent.
            await asyncio.shield(self.ledger.send(ReleaseCall(uid)))
            raise


def _mark_seen(shared: asyncio.Future[Reply]) -> None:
    """Fetch a failure nobody else waited for, so that asyncio does not report it as lost."""
    if not shared.cancelled():
        shared.exception()


async def _within(answer: Awaitable[T], ticket: Ticket) -> T:
    try:
        async with asyncio.timeout(ticket.left_s):
            return await answer
    except TimeoutError:
        raise DeadlineExceeded(
            f"The deadline passed at node {ticket.node!r} while {ticket.card.name!r} worked "
            f"({(ticket.left_s or 0) * 1000:.0f} ms were left). Raise latency_ms."
        ) from None
