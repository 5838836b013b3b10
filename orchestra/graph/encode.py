"""Vectors of texts by a model that encodes: reserved, paid, paced and cached as calls of a job are.

The first card of the fleet that offers `encode` makes them, whatever it costs, and no other steps
in for it: vectors of two models do not compare.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from orchestra.access.allowed import allowed_fleet, check_model, within
from orchestra.access.principal import principal
from orchestra.book.messages import CloseAccount
from orchestra.core.call import ENCODE, Call, Reply
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import (
    AnswerInvalid,
    DeadlineExceeded,
    NoFeasiblePlan,
    NoModel,
    OrchestraError,
    TextTooLong,
    UsageError,
)
from orchestra.core.job import Budget, CallRecord, Job
from orchestra.core.money import usd
from orchestra.core.pricing import Work, cost_micro
from orchestra.core.text_limits import readable_bytes
from orchestra.graph.accounts import Ceiling, open_account
from orchestra.graph.backing import Backing
from orchestra.graph.caller import Ticket
from orchestra.routing.candidates import price_unknown

MOST_TEXTS, MOST_BYTES = 32, 16_384  # of a call
MOST_AT_ONCE = 4  # calls under way
# The special tokens of a text, and the words that some models have before it.
EXTRA_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Encoding:
    """Texts to make vectors of. `job` has no text of its own, but budget, data rule and tags.

    `model` names the card, by default the first one that offers `encode`.
    """

    texts: Sequence[str]
    job: Job
    model: str | None = None


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """Vectors `rows` (texts, width) in float32, whose they are, and the calls that made them."""

    rows: NDArray[np.float32]
    model: str
    calls: tuple[CallRecord, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of all texts, whoever paid for them."""
        return sum(call.input_tokens for call in self.calls)

    @property
    def cost_usd(self) -> Decimal:
        """What they cost."""
        return sum((call.cost_usd for call in self.calls), Decimal(0))


async def encode_texts(fleet: Backing, encoding: Encoding) -> EncodedTexts:
    """The vectors of the texts, in their order.

    Raises `UsageError` for a text that is empty or none, `TextTooLong`, `NoModel`, `PriceUnknown`
    and `NoFeasiblePlan` before anything is spent, and the error of the first call that failed.
    """
    started = time.monotonic()
    job = encoding.job
    if encoding.model is not None:
        check_model(fleet.file, encoding.model)
    file = allowed_fleet(fleet.file)
    card = encoder_card(file, encoding.model, is_local=job.data == "local")
    checked = _checked(encoding.texts, card)
    calls = [Call("", texts=texts) for texts in _parts(checked)]
    if not calls:
        return EncodedTexts(np.zeros((0, 0), np.float32), card.name)
    works = [_most(call) for call in calls]
    ceiling = Ceiling(sum(cost_micro(card, w) for w in works), sum(w.tokens for w in works))
    _check_budget(within(job.budget), card, ceiling)
    await fleet.client(card.name).prepare()
    account = f"vectors:{uuid.uuid4().hex}"
    payer = principal().account
    await open_account(fleet, account, job, ceiling, parent=payer, hold=payer is not None)
    run = _Run(fleet, card, job, account, started)
    try:
        await run.make(list(zip(calls, works, strict=True)))
    finally:
        await fleet.ledger.send(CloseAccount(account))
    rows = np.concatenate([run.rows[at] for at in range(len(calls))])
    return EncodedTexts(rows, card.name, tuple(run.records[at] for at in range(len(calls))))


def encoder_card(file: FleetFile, name: str | None, *, is_local: bool = False) -> Card:
    """The card that makes vectors. Raises `NoModel`, and `UsageError` for one that does not."""
    if name is not None:
        cards = [file.card(name)]
        if ENCODE not in cards[0].capabilities:
            able = ", ".join(repr(c.name) for c in file.models if ENCODE in c.capabilities)
            raise UsageError(
                f"The model {name!r} makes no vectors (it offers: "
                f"{', '.join(cards[0].capabilities)}). Use one that offers {ENCODE!r}: "
                f"{able or 'the fleet has none'}."
            )
    else:
        cards = [card for card in file.models if ENCODE in card.capabilities and card.is_hosted]
    fit = [card for card in cards if not is_local or card.data_goes_to == "local"]
    if fit:
        return fit[0]
    have = ", ".join(sorted({repr(c) for card in file.models for c in card.capabilities}))
    why = "its encoders send data elsewhere, and the request says data='local'" if cards else ""
    raise NoModel(
        f"No model of the fleet {file.name!r} takes {ENCODE!r} ({why or f'it has: {have}'}). Add "
        f"a card with capabilities: [{ENCODE}] under 'models:' in the fleet's YAML."
    )


def _checked(texts: Sequence[str], card: Card) -> list[str]:
    """The texts, with what no encoding of text can write replaced."""
    most = readable_bytes(card.limits.context_tokens)
    if isinstance(texts, str):
        raise UsageError(f"texts is one string, {texts[:40]!r}. Give a list of them: [text].")
    for at, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise UsageError(
                f"texts[{at}] is {text!r:.60}, which has no vector. Leave it out, or give a word."
            )
        if len(text) > most:
            raise TextTooLong(
                f"texts[{at}] has {len(text):,} characters, beginning {text[:40]!r}; "
                f"{card.name} reads {card.limits.context_tokens:,} tokens, which is {most:,} at "
                "most. Cut it into parts, and give each its vector."
            )
    return [text.encode("utf-8", "replace").decode() for text in texts]


def _parts(texts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The texts of each call: of a bounded number and size, so that a book's replies are."""
    part: list[str] = []
    size = 0
    for text in texts:
        bytes_ = len(text.encode())
        if part and (len(part) == MOST_TEXTS or size + bytes_ > MOST_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(text)
        size += bytes_
    if part:
        yield tuple(part)


def _most(call: Call) -> Work:
    """The most tokens of a call: each has a byte or more."""
    return Work(sum(len(text.encode()) + EXTRA_TOKENS for text in call.texts), 0)


def _check_budget(budget: Budget, card: Card, ceiling: Ceiling) -> None:
    """Raise where the ceiling, or the model's memory, breaks a limit."""
    if budget.cost_usd is not None and card.price.unknown:
        raise price_unknown([card])
    needed = {
        "cost_usd": usd(ceiling.cost_micro),
        "tokens": ceiling.tokens,
        "memory_gib": card.hosting.memory_gib,
    }
    for name, amount in needed.items():
        limit = getattr(budget, name)
        if limit is not None and amount > limit:
            raise NoFeasiblePlan(
                f"The budget's {name}={limit} does not hold the vectors of {card.name!r}. The "
                f"smallest budget that is guaranteed to do is {name}={amount}. Raise it, or send "
                "fewer texts.",
                tightest=name,
                smallest={name: str(amount)},
            )


@dataclass(eq=False, slots=True)
class _Run:
    """The calls of one request, some at a time; none is begun after one has failed."""

    fleet: Backing
    card: Card
    job: Job
    account: str
    started: float
    rows: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    records: dict[int, CallRecord] = field(default_factory=dict)

    async def make(self, calls: Sequence[tuple[Call, Work]]) -> None:
        """Make the calls. Raises the error of the first that failed."""
        waiting = iter(enumerate(calls))

        async def work() -> None:
            for at, (call, most) in waiting:
                await self._make(at, call, most)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(MOST_AT_ONCE, len(calls))):
                    group.create_task(work())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _make(self, at: int, call: Call, most: Work) -> None:
        ticket = Ticket(
            node=ENCODE,
            card=self.card,
            account=self.account,
            ceiling=most,
            images=(),
            prompt_hash=ENCODE,
            left_s=self._left_s(),
            text_bytes=most.tokens,
            may_share=self.job.cache,
        )
        client = self.fleet.client(self.card.name)
        answer, record = await self.fleet.caller.call(client, call, ticket)
        self.rows[at] = _rows(answer, len(call.texts), self.card)
        self.records[at] = record

    def _left_s(self) -> float | None:
        limit_ms = self.job.budget.latency_ms
        if limit_ms is None:
            return None
        left_s = limit_ms / 1000 - (time.monotonic() - self.started)
        if left_s <= 0:
            raise DeadlineExceeded(
                f"No time is left for the vectors of {self.card.name!r} (latency_ms="
                f"{limit_ms:g}). Raise latency_ms, or send fewer texts."
            )
        return left_s


def _rows(answer: Reply | OrchestraError, count: int, card: Card) -> NDArray[np.float32]:
    if isinstance(answer, OrchestraError):
        raise answer
    if answer.vectors is None or answer.vectors.shape[:-1] != (count,):
        raise AnswerInvalid(
            f"The model {card.name!r} offers {ENCODE!r} and gave no vector of each of {count} "
            "texts. Let its engine answer calls that have texts with Reply.vectors "
            "(docs/workers.md), or take the capability off the card."
        )
    return answer.vectors
