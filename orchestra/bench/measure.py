"""Asks each model of a fleet the questions it can take, one at a time, and scores it.

What is asked is paid for within an account of its own, so a bench has a budget like any job.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from orchestra.batch.evaluate import Interval, folded, wilson
from orchestra.bench.questions import Question
from orchestra.budget.pricing import Work
from orchestra.clients.engine import Call, Reply
from orchestra.errors import BudgetExceeded, OrchestraError
from orchestra.fleet.card import Card
from orchestra.fleet.fleet import Fleet
from orchestra.graph.caller import Ticket
from orchestra.images.store import pixel_hash

ACCOUNT = "bench"


@dataclass(frozen=True, slots=True)
class Score:
    """One task: `right` of `asked`; `baseline` is the share of the commonest true answer."""

    task: str
    asked: int
    right: int
    abstained: int
    baseline: float
    interval: Interval | None

    @property
    def accuracy(self) -> float:
        """Share of all that were asked; an abstention is right where the truth is none."""
        return self.right / self.asked


@dataclass(slots=True)
class Measured:
    """What a model did: scores, seconds of each call, and the first error of each kind."""

    model: str
    role: str
    scores: list[Score] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    failed: int = 0
    cost_usd: Decimal = Decimal(0)

    def percentile_ms(self, share: float) -> float | None:
        """Latency in ms that `share` of the answered calls did not pass (nearest rank)."""
        if not self.seconds:
            return None
        ranked = sorted(self.seconds)
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)] * 1000


async def measure(
    fleet: Fleet,
    card: Card,
    questions: Sequence[Question],
    *,
    told: Callable[[], None] = lambda: None,
) -> Measured:
    """Ask `card` what it can take of `questions`; `told` is called after each.

    The model loads, and answers the first question once, before the clock starts. A question that
    fails counts as wrong. Raises what loading raises, and `BudgetExceeded`.
    """
    measured = Measured(card.name, card.role)
    fitting = [question for question in questions if question.needs in card.capabilities]
    if not fitting:
        return measured
    client = fleet.client(card.name)
    await client.prepare()
    await _answer(fleet, card, fitting[0].call, None)
    verdicts: dict[str, list[tuple[Question, str | None]]] = {}
    for question in fitting:
        answer = await _answer(fleet, card, question.call, measured)
        verdicts.setdefault(question.task, []).append((question, _value(answer, question)))
        told()
    measured.scores = [_score(task, found) for task, found in verdicts.items()]
    return measured


async def _answer(
    fleet: Fleet, card: Card, call: Call, measured: Measured | None
) -> Reply | OrchestraError:
    """One call of the account; not timed and not reused where `measured` is None."""
    client = fleet.client(card.name)
    if measured is None and card.hosting.endpoint is None:
        try:
            return await client.complete(call)  # warms the engine, and costs nobody money
        except OrchestraError as error:
            return error
    prompt = card.limits.context_tokens - call.max_tokens
    ticket = Ticket(
        node="bench",
        card=card,
        account=ACCOUNT,
        ceiling=Work(prompt, call.written_tokens, len(call.images)),
        images=tuple(pixel_hash(image) for image in call.images),
        prompt_hash="",
        left_s=None,
    )
    answer, record = await fleet.caller.call(client, call, ticket)
    if measured is None:
        return answer
    measured.cost_usd += record.cost_usd
    if isinstance(answer, BudgetExceeded):
        raise answer
    if isinstance(answer, OrchestraError):
        measured.failed += 1
        measured.errors.setdefault(answer.kind, str(answer))
    elif not record.reused:
        measured.seconds.append(record.seconds)
    return answer


def _value(answer: Reply | OrchestraError, question: Question) -> str | None:
    """The value given; None for an abstention; of a failure, a value that is never right."""
    if isinstance(answer, OrchestraError):
        return "\0failed"
    value = answer.value.get(question.field) if isinstance(answer.value, dict) else answer.text
    return None if value is None else folded(str(value))


def _score(task: str, found: Sequence[tuple[Question, str | None]]) -> Score:
    truths = [None if one.truth is None else folded(one.truth) for one, _ in found]
    right = sum(value == truth for (_, value), truth in zip(found, truths, strict=True))
    return Score(
        task,
        len(found),
        right,
        sum(value is None for _, value in found),
        Counter(truths).most_common(1)[0][1] / len(found),
        wilson(right, len(found)),
    )
