"""What one node came to: fields, the call that was made, an error, or why it was skipped."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field as Attribute

from orchestra.graph.state import JobState
from orchestra.job import CallRecord, ErrorRecord, Field, Word


class Outcome(Word):
    """Exactly one of `fields` or `answer`, `error`, or `skipped` says how the node ended."""

    fields: Mapping[str, Field] = Attribute(default_factory=dict)
    answer: str | None = None
    call: CallRecord | None = None
    error: ErrorRecord | None = None
    skipped: str | None = None
    notes: tuple[str, ...] = ()


def outcomes_of(state: JobState) -> dict[str, Outcome]:
    """The outcomes in a state, by node."""
    raw = state.get("outcomes") or {}
    return {node: Outcome.model_validate(value) for node, value in raw.items()}


def fields_of(state: JobState) -> dict[str, Field]:
    """The combined fields in a state, by name."""
    raw = state.get("fields") or {}
    return {name: Field.model_validate(value) for name, value in raw.items()}
