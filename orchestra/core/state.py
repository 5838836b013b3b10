"""The state that flows through a graph, all JSON, what nodes leave in it, and a run's context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from pydantic import Field as Attribute

from orchestra.core.job import CallRecord, ErrorRecord, Field, Word


def keep_all(left: dict[str, Any] | None, right: dict[str, Any] | None) -> dict[str, Any]:
    """Join two partial states key by key; applying one twice changes nothing."""
    return {**(left or {}), **(right or {})}


class _Given(TypedDict):
    job: dict[str, Any]


class JobState(_Given, total=False):
    """State of one job.

    `job` is a `Job` as JSON whose images are content hashes; it is there from the start.
    `outcomes` holds what each node came to (`Outcome` as JSON), `fields` the combined fields
    (`Field` as JSON).
    """

    outcomes: Annotated[dict[str, Any], keep_all]
    fields: Annotated[dict[str, Any], keep_all]


@dataclass(frozen=True, slots=True)
class Context:
    """What a run is given beside its state; everything has a default, so Studio needs none.

    `run_id` names a run that this process has prepared (plan, budget, deadline); without one
    the node opens `fleet` itself and plans for itself alone.
    """

    fleet: str = "mini"
    run_id: str | None = None


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
