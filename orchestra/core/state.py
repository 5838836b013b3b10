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


def outcomes_of(state: Mapping[str, Any]) -> dict[str, Outcome]:
    """The outcomes in a state, by node."""
    raw = state.get("outcomes") or {}
    return {node: _outcome_of(value) for node, value in raw.items()}


def _outcome_of(raw: dict[str, Any]) -> Outcome:
    fields = {name: field_of(value) for name, value in (raw.get("fields") or {}).items()}
    return Outcome.model_validate({**raw, "fields": fields})


def fields_of(state: Mapping[str, Any]) -> dict[str, Field]:
    """The combined fields in a state, by name."""
    raw = state.get("fields") or {}
    return {name: field_of(value) for name, value in raw.items()}
