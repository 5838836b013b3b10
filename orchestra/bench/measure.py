"""Asks a model the questions it can take, one at a time, and scores it.

What is asked is paid for within an account of its own, so a bench has a budget like any job.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from orchestra.app import Fleet
from orchestra.bench.questions import Question
from orchestra.core.call import Call, Reply
from orchestra.core.card import Card
from orchestra.core.errors import (
    AccessRefused,
    BudgetExceeded,
    CheckpointInvalid,
    ModelUnavailable,
    OrchestraError,
)
from orchestra.core.pricing import Work
from orchestra.core.stats import Interval, wilson
from orchestra.core.values import folded
from orchestra.graph.paid import Ticket
from orchestra.images.store import pixel_hash

ACCOUNT = "bench"
FAILED = "\0failed"
# After these the next question would fail, too: the model is not there.
LOST = (ModelUnavailable, AccessRefused, CheckpointInvalid, BudgetExceeded)


@dataclass(frozen=True, slots=True)
class Score:
    """One task, or one kind of its questions: `right` of `asked`.

    `baseline` is the share of the commonest true answer, `wrong` are answers that are neither
    right nor an abstention, `p50_ms` is the median of the calls that were made.
    """

    task: str
    kind: str
    asked: int
    right: int
    wrong: int
    abstained: int
    accuracy: float
    baseline: float
    interval: Interval | None
    p50_ms: float | None


@dataclass(frozen=True, slots=True)
class _Verdict:
    question: Question
    value: str | None
    seconds: float | None


@dataclass(slots=True)
class Measurements:
    """What a model did: scores, seconds of each call, and the first error of each kind.

    `cpu_seconds` are those that a local engine metered: unlike the others they are the same on a
    busy machine.
    """

    model: str
    role: str
    scores: list[Score] = field(default_factory=list)
    parts: list[Score] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    failed: int = 0
    cost_usd: Decimal = Decimal(0)

    def percentile_ms(self, share: float) -> float | None:
        """Latency in ms that `share` of the answered calls did not pass (nearest rank)."""
        return percentile_ms(self.seconds, share)


def percentile_ms(seconds: Sequence[float], share: float) -> float | None:
    """The time in ms that `share` of `seconds` did not pass (nearest rank); None of none."""
    if not seconds:
        return None
    ranked = sorted(seconds)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] * 1000


async def measure(
    fleet: Fleet,
    card: Card,
    questions: Sequence[Question],
    *,
    told: Callable[[], None] = lambda: None,
) -> Measurements:
    """Ask `card` what it can take of `questions`; `told` is called after each.

    The model loads, and answers the first question once, before the clock starts. A question that
    fails counts as wrong. Raises what loading raises, `BudgetExceeded`, and what says that the
    model is not to be reached.
    """
    measured = Measurements(card.name, card.role)
    fitting = [question for question in questions if question.needs <= set(card.capabilities)]
    if not fitting:
        return measured
    client = fleet.client(card.name)
    await client.prepare()
    await _warm(fleet, card, _call_for(card, fitting[0].call))
    verdicts: list[_Verdict] = []
    for question in fitting:
        answer, seconds = await _answer(fleet, card, _call_for(card, question.call), measured)
        verdicts.append(_Verdict(question, _value(answer, question), seconds))
        told()
    by_task: dict[str, list[_Verdict]] = {}
    for verdict in verdicts:
        by_task.setdefault(verdict.question.task, []).append(verdict)
    measured.scores = [_score(task, "", found) for task, found in by_task.items()]
    measured.parts = [part for task, found in by_task.items() for part in _parts(task, found)]
    return measured


def _parts(task: str, verdicts: Sequence[_Verdict]) -> list[Score]:
    """A score for each kind of a task's questions, where there is more than one."""
    by_kind: dict[str, list[_Verdict]] = {}
    for verdict in verdicts:
        by_kind.setdefault(verdict.question.kind, []).append(verdict)
    return [_score(task, kind, found) for kind, found in by_kind.items() if len(by_kind) > 1]


def _call_for(card: Card, call: Call) -> Call:
    """`call` as the card's host wants it."""
    return replace(
        call,
        thinking_tokens=card.limits.thinking_tokens,
        schema_in_prompt=card.hosting.schema_in_prompt,
    )


async def _warm(fleet: Fleet, card: Card, call: Call) -> None:
    """One call that is not timed; of a local model it costs nobody money."""
    if card.hosting.endpoint is not None:
        await _answer(fleet, card, call, Measurements(card.name, card.role))
        return
    try:
        await fleet.client(card.name).complete(call)
    except OrchestraError as error:
        if isinstance(error, LOST):
            raise


async def _answer(
    fleet: Fleet, card: Card, call: Call, measured: Measurements
) -> tuple[Reply | OrchestraError, float | None]:
    """One call of the account and its seconds; None where an identical one had been answered."""
    ticket = Ticket(
        node="bench",
        card=card,
        account=ACCOUNT,
        ceiling=Work(
            card.limits.context_tokens - call.written_tokens, call.written_tokens, len(call.images)
        ),
        images=tuple(pixel_hash(image) for image in call.images),
        prompt_hash="",
        left_s=None,
    )
    answer, record = await fleet.caller.call(fleet.client(card.name), call, ticket)
    measured.cost_usd += record.cost_usd
    if isinstance(answer, LOST):
        raise answer
    if isinstance(answer, OrchestraError):
        measured.failed += 1
        measured.errors.setdefault(answer.kind, str(answer))
        return answer, None
    if record.reused:
        return answer, None
    measured.seconds.append(record.seconds)
    measured.cpu_seconds.append(answer.usage.cpu_s)
    return answer, record.seconds


def _value(answer: Reply | OrchestraError, question: Question) -> str | None:
    """The value given; None for an abstention; of a failure, a value that is never right."""
    if isinstance(answer, OrchestraError):
        return FAILED
    value = answer.value.get(question.field) if isinstance(answer.value, dict) else answer.text
    return None if value is None else folded(str(value))


def _score(task: str, kind: str, found: Sequence[_Verdict]) -> Score:
    truths = [None if v.question.truth is None else folded(v.question.truth) for v in found]
    right = sum(v.value == truth for v, truth in zip(found, truths, strict=True))
    abstained = sum(v.value is None for v in found)
    rightly = sum(v.value is None and truth is None for v, truth in zip(found, truths, strict=True))
    p50_ms = percentile_ms([v.seconds for v in found if v.seconds is not None], 0.5)
    return Score(
        task=task,
        kind=kind,
        asked=len(found),
        right=right,
        wrong=len(found) - abstained - (right - rightly),
        abstained=abstained,
        accuracy=round(right / len(found), 4),
        baseline=round(Counter(truths).most_common(1)[0][1] / len(found), 4),
        interval=wilson(right, len(found)),
        p50_ms=None if p50_ms is None else round(p50_ms, 2),
    )
