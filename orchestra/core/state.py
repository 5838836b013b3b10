"""The state that flows through a graph, all JSON, what nodes leave in it, and a run's context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langgraph.channels import LastValue
from pydantic import Field as Attribute

from orchestra.core.job import CallRecord, ErrorRecord, Field, Word


def keep_all(left: dict[str, Any] | None, right: dict[str, Any] | None) -> dict[str, Any]:
    """Join two partial states key by key; applying one twice changes nothing."""
    return {**(left or {}), **(right or {})}


class JobChannel(LastValue[dict[str, Any]]):
    """The job in a state: a node may change it, and branches side by side, each its own, do not.

    A subgraph gives back the whole of its state, and so the job that its branch was sent.
    """

    def update(self, values: Sequence[dict[str, Any]]) -> bool:
        """Take the one job that a step left; of several, none takes the place of what is there."""
        if len(values) > 1 and self.is_available():
            return False
        return super().update(values[-1:])


class _Given(TypedDict):
    job: Annotated[dict[str, Any], JobChannel]


class JobState(_Given, total=False):
    """State of one job, or the part of a state of the user's own that belongs to Orchestra.

    `job` is a `Job` as JSON whose images are content hashes; it is there from the start, and a
    `Send` may give its branch another. `outcomes` holds what each branch came to (`Outcome` as
    JSON), `fields` the combined fields (`Field` as JSON).
    """

    outcomes: Annotated[dict[str, Any], keep_all]
    fields: Annotated[dict[str, Any], keep_all]


@dataclass(frozen=True, slots=True)
class Context:
    """What a run is given beside its state; everything has a default, so Studio needs none.

    A graph that is invoked without `Fleet.run` opens `fleet` itself; each node plans for itself.
    """

    fleet: str = "mini"


class Outcome(Word):
    """How a node ended: with `fields` or an `answer`, with an `error`, or `skipped`.

    A node that answered, and failed on a later visit, has both its answer and the error. `visit` is
    which of the node's visits it was.
    """

    fields: Mapping[str, Field] = Attribute(default_factory=dict)
    answer: str | None = None
    call: CallRecord | None = None
    error: ErrorRecord | None = None
    skipped: str | None = None
    notes: tuple[str, ...] = ()
    visit: int = 1

    @property
    def answered(self) -> bool:
        """Whether a model answered, if only by leaving fields open."""
        return self.answer is not None or bool(self.fields)

    @property
    def plain(self) -> Any:
        """What was answered, without its evidence: the text, or values by field."""
        if self.answer is not None:
            return self.answer
        return {name: field.value for name, field in self.fields.items()}


# Fields and outcomes already read or written, by the identity of their JSON: each node reads what
# those before it left. Beside them stands a copy, which tells whether somebody changed it since.
_FIELDS: dict[int, tuple[dict[str, Any], dict[str, Any], Field]] = {}
_OUTCOMES: dict[int, tuple[dict[str, Any], dict[str, Any], Outcome]] = {}
MOST_READ = 4096
MOST_OUTCOMES = 512
OUTCOME_CHARS = 16_384  # of prompt and reply, beyond which an outcome is not held here
PLAIN = (str, int, float, bool, type(None))


def field_of(raw: dict[str, Any]) -> Field:
    """A field of a state; one that was read before, and is as it was, is not validated again."""
    found = _FIELDS.get(id(raw))
    if found is not None and found[0] is raw and found[1] == raw:
        return found[2]
    return _hold_field(raw, Field.model_validate(raw))


def json_of(fields: Mapping[str, Field]) -> dict[str, Any]:
    """Fields as they stand in a state."""
    written = {name: field.model_dump(mode="json") for name, field in fields.items()}
    for name, raw in written.items():
        if _is_plain(fields[name]):
            _hold_field(raw, fields[name])
    return written


def _is_plain(field: Field) -> bool:
    """Whether a field comes back from JSON as it is, whatever its value may be."""
    value = field.value
    parts = value if type(value) is list else (value,)
    return all(type(part) in PLAIN for part in parts) and all(map(_is_plain, field.alternatives))


def _hold_field(raw: dict[str, Any], field: Field) -> Field:
    if len(_FIELDS) >= MOST_READ:
        _FIELDS.clear()
    _FIELDS[id(raw)] = (raw, dict(raw), field)
    return field


def outcomes_of(state: Mapping[str, Any]) -> dict[str, Outcome]:
    """The outcomes in a state, by node."""
    raw = state.get("outcomes") or {}
    return {node: _outcome_of(value) for node, value in raw.items()}


def _outcome_of(raw: dict[str, Any]) -> Outcome:
    fields = {name: field_of(value) for name, value in (raw.get("fields") or {}).items()}
    found = _OUTCOMES.get(id(raw))
    if found is not None and found[0] is raw and found[1] == _beside_fields(raw):
        known = found[2].fields
        if known.keys() == fields.keys() and all(known[name] is fields[name] for name in known):
            return found[2]
    return _hold_outcome(raw, Outcome.model_validate({**raw, "fields": fields}))


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as it stands in a state."""
    rest = outcome.model_dump(mode="json", exclude={"fields"})
    raw = {"fields": json_of(outcome.fields), **rest}
    _hold_outcome(raw, outcome)
    return raw


def _hold_outcome(raw: dict[str, Any], outcome: Outcome) -> Outcome:
    call = outcome.call
    if call is None or len(call.data or "") + len(call.raw or "") <= OUTCOME_CHARS:
        if len(_OUTCOMES) >= MOST_OUTCOMES:
            _OUTCOMES.clear()
        _OUTCOMES[id(raw)] = (raw, _beside_fields(raw), outcome)
    return outcome


def _beside_fields(raw: dict[str, Any]) -> dict[str, Any]:
    """A copy of what stands in an outcome beside its fields, that shares none of its mappings."""
    return {
        key: dict(part) if isinstance(part, dict) else part
        for key, part in raw.items()
        if key != "fields"
    }


def fields_of(state: Mapping[str, Any]) -> dict[str, Field]:
    """The combined fields in a state, by name."""
    raw = state.get("fields") or {}
    return {name: field_of(value) for name, value in raw.items()}
