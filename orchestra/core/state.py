"""The state that flows through a graph, all JSON, and the context a run is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict


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
