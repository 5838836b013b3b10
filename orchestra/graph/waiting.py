"""Nodes of a job that wait for others of the same step, to see whether their call is needed.

A plan's condition says who waits for whom, and an outcome what was left open. A node that never
begins holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestra.core.job import Field
from orchestra.core.state import Outcome
from orchestra.routing.condition import Condition

# Nodes of one step begin together; one that has not by then stands on a way not taken, or waits
# itself for a place that this node takes.
BEGINS_WITHIN_S = 0.5


@dataclass(slots=True)
class Waiting:
    """Which nodes of a job have begun and ended, and what they came to."""

    _begun: dict[str, asyncio.Event] = field(default_factory=dict)
    _ended: dict[str, asyncio.Event] = field(default_factory=dict)
    _outcomes: dict[str, Outcome] = field(default_factory=dict)

    @contextmanager
    def visit(self, node: str) -> Iterator[None]:
        """Around a node: however it ends, who waits for it goes on."""
        _of(self._begun, node).set()
        try:
            yield
        finally:
            _of(self._ended, node).set()

    def note(self, node: str, outcome: Outcome) -> None:
        """What `node` came to."""
        self._outcomes[node] = outcome

    async def spared(self, condition: Condition) -> str | None:
        """Why the call of a node is not needed; None where it is."""
        for other in condition.beside:
            begun = _of(self._begun, other)
            if not begun.is_set():
                try:
                    await asyncio.wait_for(begun.wait(), BEGINS_WITHIN_S)
                except TimeoutError:
                    continue
            await _of(self._ended, other).wait()
        return reason_to_spare(condition, self._outcomes)


def reason_to_spare(condition: Condition, outcomes: Mapping[str, Outcome]) -> str | None:
    """What the nodes waited for said of every field that counts; None where one is open."""
    answers: list[str] = []
    for name in condition.fields:
        found = _sure_answer(condition, outcomes, name)
        if found is None:
            return None
        node, answer = found
        answers.append(f"{node} said {name} {answer.value!r}{_how_sure(answer)}")
    return ", ".join(answers)


def left_open(condition: Condition, outcomes: Mapping[str, Outcome]) -> list[str]:
    """The fields that count of which none of the nodes is sure."""
    return [n for n in condition.fields if _sure_answer(condition, outcomes, n) is None]


def _sure_answer(
    condition: Condition, outcomes: Mapping[str, Outcome], name: str
) -> tuple[str, Field] | None:
    """Who answered the field `name` as surely as the condition has it, and what."""
    return next(
        (
            (node, answer)
            for node in condition.on
            if node in outcomes
            and (answer := outcomes[node].fields.get(name)) is not None
            and is_sure(answer, condition.least)
        ),
        None,
    )


def is_sure(answer: Field, least: float) -> bool:
    """Whether an answer is there and as sure as `least`: calibrated, where a policy knows it."""
    sure = _sure(answer)
    return answer.answered and (not least or (sure is not None and sure >= least))


def _sure(answer: Field) -> float | None:
    return answer.confidence if answer.probability is None else answer.probability


def _how_sure(answer: Field) -> str:
    sure = _sure(answer)
    return "" if sure is None else f" ({sure:.2f})"


def _of(events: dict[str, asyncio.Event], node: str) -> asyncio.Event:
    return events.setdefault(node, asyncio.Event())
