"""What one node came to: fields, the call that was made, an error, or why it was skipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field as Attribute

from orchestra.core.job import CallRecord, ErrorRecord, Field, Word
from orchestra.core.state import JobState


class Outcome(Word):
    """Exactly one of `fields` or `answer`, `error`, or `skipped` says how the node ended."""

    fields: Mapping[str, Field] = Attribute(default_factory=dict)
    answer: str | None = None
    call: CallRecord | None = None
    error: ErrorRecord | None = None
    skipped: str | None = None
    notes: tuple[str, ...] = ()


# Fields already read, by the identity of their JSON: each node reads what those before it left.
_READ: dict[int, tuple[dict[str, Any], dict[str, Any], Field]] = {}
MOST_READ = 4096


def field_of(raw: dict[str, Any]) -> Field:
    """A field of a state; one that was read before, and is as it was, is not validated again."""
    found = _READ.get(id(raw))
    if found is not None and found[0] is raw and found[1] == raw:
        return found[2]
    read = Field.model_validate(raw)
    if len(_READ) >= MOST_READ:
        _READ.clear()
    _READ[id(raw)] = (raw, dict(raw), read)
    return read


def outcomes_of(state: JobState) -> dict[str, Outcome]:
    """The outcomes in a state, by node."""
    raw = state.get("outcomes") or {}
    return {node: _outcome_of(value) for node, value in raw.items()}


def _outcome_of(raw: dict[str, Any]) -> Outcome:
    fields = {name: field_of(value) for name, value in (raw.get("fields") or {}).items()}
    return Outcome.model_validate({**raw, "fields": fields})


def fields_of(state: JobState) -> dict[str, Field]:
    """The combined fields in a state, by name."""
    raw = state.get("fields") or {}
    return {name: field_of(value) for name, value in raw.items()}
