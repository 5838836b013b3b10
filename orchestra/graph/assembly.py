"""Makes the result of a run: status, fields, answer and errors from its state and its progress."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestra.core.job import ErrorRecord, Field, Question, Result, Status
from orchestra.core.state import JobState, Outcome, fields_of
from orchestra.core.values import text_of
from orchestra.graph.intake import Intake
from orchestra.graph.progress import Progress
from orchestra.routing.plan import Plan

OURS = frozenset(JobState.__annotations__)


def assemble(
    state: Mapping[str, Any],
    intake: Intake,
    plan: Plan | None,
    progress: Progress,
    *,
    questions: tuple[Question, ...] = (),
    seconds: float = 0.0,
) -> Result:
    """The result of a run that left `state`.

    Without a join, the fields of all nodes stand side by side: of one name, the last that was
    answered, with the others as its alternatives.
    """
    calls = progress.calls
    outcomes = progress.joined(state)
    fields = fields_of(state) or side_by_side(outcomes)
    errors = _errors(intake, outcomes, progress)
    answer = _answer(fields, outcomes) or _own_answer(state)
    paid = [call for call in calls if not call.reused]
    # Branches end in any order; calls are told as the plan lists their nodes.
    places = {node.node: place for place, node in enumerate(plan.nodes if plan else ())}
    # A graph of the user's own nodes answers in a state of its own, whatever that holds.
    is_own = plan is not None and not plan.nodes and not plan.skipped
    has_answered = answer is not None or (is_own and (bool(calls) or not errors))
    return Result(
        status="waiting" if questions else _status(fields, has_answered, errors),
        fields=fields,
        answer=answer,
        branches=_branches(outcomes),
        state={name: value for name, value in state.items() if name not in OURS},
        questions=questions,
        errors=errors,
        notes=(
            *intake.notes,
            *(note for outcome in outcomes.values() for note in outcome.notes),
        ),
        calls=tuple(sorted(calls, key=lambda call: places.get(call.node, len(places)))),
        images=intake.job.images,
        roles=intake.job.roles,
        plan={} if plan is None else plan.public(),
        cost_usd=sum((call.cost_usd for call in calls), Decimal(0)),
        tokens=sum(call.input_tokens + call.output_tokens for call in paid),
        seconds=round(seconds, 6),
    )


def side_by_side(outcomes: Mapping[str, Outcome]) -> dict[str, Field]:
    """The fields of all nodes; none of them is lost to another of its name."""
    fields: dict[str, Field] = {}
    for outcome in outcomes.values():
        for name, found in outcome.fields.items():
            before = fields.get(name)
            if before is None or not before.answered:
                fields[name] = found
            elif found.answered:
                others = (*found.alternatives, before.model_copy(update={"alternatives": ()}))
                update = {"alternatives": (*others, *before.alternatives)}
                fields[name] = found.model_copy(update=update)
    return fields


def _branches(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, Field]]:
    """What each branch of a fan-out answered; a free answer is the field `answer`.

    In a subgraph the first has the bare name of its node until another run of it begins.
    """
    named = {
        f"{name}[0]" if f"{name}[1]" in outcomes else name: outcome
        for name, outcome in outcomes.items()
    }
    return {
        name: dict(outcome.fields) or {"answer": Field(value=outcome.answer, source="derived")}
        for name, outcome in named.items()
        if "[" in name and outcome.answered
    }


def _errors(
    intake: Intake, outcomes: Mapping[str, Outcome], progress: Progress
) -> tuple[ErrorRecord, ...]:
    found = [outcome.error for outcome in outcomes.values() if outcome.error is not None]
    limit = () if progress.limit is None else (progress.limit,)
    return tuple(dict.fromkeys((*intake.errors, *found, *progress.failures, *limit)))


def _answer(fields: Mapping[str, Field], outcomes: Mapping[str, Outcome]) -> str | None:
    if "answer" in fields:
        value = fields["answer"].value
        gathered = value if isinstance(value, list) else [value]
        return None if value is None else "\n".join(text_of(one) or "" for one in gathered)
    return next((o.answer for o in reversed(list(outcomes.values())) if o.answer is not None), None)


def _own_answer(state: Mapping[str, Any]) -> str | None:
    """The answer of a state of the user's own: its `answer`, or the last of its messages."""
    if isinstance(state.get("answer"), str):
        return state["answer"]
    messages = state.get("messages") or ()
    said = [message for message in messages[-1:] if getattr(message, "type", "") != "human"]
    return str(getattr(said[0], "text", "")) or None if said else None


def _status(
    fields: Mapping[str, Field], has_answered: bool, errors: tuple[ErrorRecord, ...]
) -> Status:
    answered = has_answered or any(field.answered for field in fields.values())
    if errors:
        return "partial" if answered else "failed"
    if not answered or any(field.contradiction or field.doubt for field in fields.values()):
        return "review"
    return "complete"
