"""`each_photo`: the conditional edge that sends each photo of a job along a branch of its own; and
in which order photos are looked at where they are not.

It names no model and reads no photo. A planner reads it off the graph, so it is frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from langgraph.types import Send
from pydantic import BaseModel

from orchestra.core.ask import CURRENT_RUN
from orchestra.core.errors import InvalidGraph
from orchestra.core.job import PhotoRole
from orchestra.core.state import JobState

ORDER: tuple[PhotoRole, ...] = get_args(PhotoRole)
# They show another colour or size than the product's own, or a piece of cloth.
APART = frozenset[PhotoRole](("variant", "swatch"))


@dataclass(frozen=True)
class EachPhoto:
    """Sends to `node` a state whose job has one photo, as often as the job has photos."""

    node: str

    def __post_init__(self) -> None:
        """Declare the destination where LangGraph looks for it: in the return type."""
        object.__setattr__(self, "__annotations__", {"return": Literal[self.node]})
        object.__setattr__(self, "__name__", f"each_photo({self.node!r})")

    def __call__(self, state: JobState) -> list[Send | str]:
        """A `Send` a photo; without photos the node itself, so that what stands behind it runs."""
        job = _job_of(state)
        return [
            Send(self.node, {**_plain(state), "job": alone(job, at)})
            for at in range(len(job.get("images") or ()))
        ] or [self.node]


def each_photo(node: str) -> EachPhoto:
    """A conditional edge to `node`, an ask, a node of your own or a subgraph, once a photo.

    `graph.add_conditional_edges(START, each_photo("look"))` is all it takes; no `path_map`. The
    branches are named `look[0]`, `look[1]` in the order of the photos, and are planned as that
    many calls side by side with one photo each. `max_visits` of an ask then counts for each photo.
    A job without photos goes on to the node as by a plain edge.

    Raises `InvalidGraph` for a name that is none.
    """
    if not isinstance(node, str) or not node:
        raise InvalidGraph(
            f"each_photo({node!r}) names no node. Name the one that looks: each_photo('look')."
        )
    return EachPhoto(node)


def looked_at(count: int, roles: Sequence[PhotoRole], most: int) -> list[int]:
    """The places of the photos that are looked at one after the other, `most` of `count`.

    Without `roles` that is their own order. Photos of variants and swatches are passed over, unless
    there are no others.
    """
    places = list(range(count))
    if len(roles) == count:
        own = [place for place in places if roles[place] not in APART]
        places = sorted(own or places, key=lambda place: ORDER.index(roles[place]))
    return places[:most]


def alone(job: dict[str, Any], at: int) -> dict[str, Any]:
    """A job as JSON with one of its photos, and what that shows."""
    images, roles = job["images"], job.get("roles") or ()
    return {**job, "images": [images[at]], "roles": list(roles[at : at + 1])}


def _job_of(state: JobState) -> dict[str, Any]:
    """The job in a state; a state of the user's own has none, and the run knows it."""
    job = _plain(state).get("job")
    if job:
        return job
    run = CURRENT_RUN.get()
    return {} if run is None else run.job.model_dump(mode="json")


def _plain(state: Any) -> dict[str, Any]:
    """A state by key; one that is a pydantic model, too."""
    return dict(state) if isinstance(state, dict | BaseModel) else vars(state)
