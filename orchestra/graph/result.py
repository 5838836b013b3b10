"""Turns a finished state into a result: fields, status, what was called and what it cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orchestra.core.job import CallRecord, ErrorRecord, Field, Job, Result, Status
from orchestra.core.state import Outcome, fields_of, outcomes_of
from orchestra.routing.plan import Plan


def assemble(
    state: Any,
    job: Job,
    intake_errors: tuple[ErrorRecord, ...],
    plan: Plan | None,
    calls: tuple[CallRecord, ...],
    seconds: float,
) -> Result:
    """The result of a state. Without a merge, the fields of all nodes stand side by side."""
    outcomes = outcomes_of(state)
    fields = fields_of(state)
    if not fields:
        fields = {name: f for outcome in outcomes.values() for name, f in outcome.fields.items()}
    errors = intake_errors + tuple(o.error for o in outcomes.values() if o.error is not None)
    answer = _answer(fields, outcomes) or _said(state)
    paid = [call for call in calls if not call.reused]
    return Result(
        status=_status(fields, answer, errors),
        fields=fields,
        answer=answer,
        errors=errors,
        notes=tuple(note for outcome in outcomes.values() for note in outcome.notes),
        calls=_in_plan_order(calls, plan),
        images=job.images,
        plan={} if plan is None else plan.public(),
        cost_usd=sum((call.cost_usd for call in calls), Decimal(0)),
        tokens=sum(call.input_tokens + call.output_tokens for call in paid),
        seconds=round(seconds, 6),
    )


def _in_plan_order(calls: tuple[CallRecord, ...], plan: Plan | None) -> tuple[CallRecord, ...]:
    """Calls as the plan lists their nodes: branches end in any order."""
    places = {node.node: place for place, node in enumerate(plan.nodes if plan else ())}
    return tuple(sorted(calls, key=lambda call: places.get(call.node, len(places))))


def _answer(fields: dict[str, Field], outcomes: dict[str, Outcome]) -> str | None:
    if "answer" in fields:
        value = fields["answer"].value
        return None if value is None else str(value)
    return next((o.answer for o in reversed(outcomes.values()) if o.answer is not None), None)


def _said(state: Any) -> str | None:
    """The answer of a state of the user's own: its `answer`, or the last of its messages."""
    if isinstance(state.get("answer"), str):
        return state["answer"]
    messages = state.get("messages") or ()
    return None if not messages else str(getattr(messages[-1], "text", "")) or None


def _status(
    fields: dict[str, Field], answer: str | None, errors: tuple[ErrorRecord, ...]
) -> Status:
    answered = answer is not None or any(field.answered for field in fields.values())
    if errors:
        return "partial" if answered else "failed"
    if not answered or any(field.contradiction or field.doubt for field in fields.values()):
        return "review"
    return "complete"
