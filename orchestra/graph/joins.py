"""`gather` and `vote`: nodes that join branches; the joining itself is in `combine`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from langgraph.runtime import Runtime

from orchestra.combine.branches import Branch
from orchestra.combine.gather import gather_branches
from orchestra.combine.vote import vote_branches
from orchestra.core.ask import run_of
from orchestra.core.errors import InvalidGraph
from orchestra.core.job import Field
from orchestra.core.place import branches_of
from orchestra.core.state import Context, JobState, Outcome, json_of, outcomes_of


@dataclass(frozen=True, slots=True)
class Gather:
    """Joins the branches of `nodes` into lists. Add it with `defer=True`, so it waits for all."""

    nodes: tuple[str, ...]
    costs_nothing: ClassVar[bool] = True

    async def __call__(
        self, state: JobState, runtime: Runtime[Context] | None = None
    ) -> dict[str, Any]:
        """A list a field, of the outcomes that are there."""
        return _as_update(gather_branches(await _branches(self.nodes, state, runtime)))


@dataclass(frozen=True, slots=True)
class Vote:
    """Has the branches of `nodes` vote. Add it with `defer=True`, so it waits for all of them."""

    nodes: tuple[str, ...]
    least: int | None = None
    costs_nothing: ClassVar[bool] = True

    async def __call__(
        self, state: JobState, runtime: Runtime[Context] | None = None
    ) -> dict[str, Any]:
        """The value of each field that weighs most, of the outcomes that are there."""
        branches = await _branches(self.nodes, state, runtime)
        return _as_update(vote_branches(branches, self.least))


def gather(*nodes: str) -> Gather:
    """A node that makes each field a list: what the branches of `nodes` answered, each value once.

    They are the branches of a fan-out in the order of their numbers, or several nodes in the order
    they are named. A free answer is gathered as the field `answer`. The evidence of all is kept;
    what a branch left open is noted. Raises `InvalidGraph` without nodes.
    """
    if not nodes:
        raise InvalidGraph("gather() joins no nodes. Name them: gather('look').")
    return Gather(nodes)


def vote(*nodes: str, least: int | None = None) -> Vote:
    """A node that gives each field the value that most branches of `nodes` say.

    An answer weighs its calibrated probability where a policy knows it, else its confidence, else
    1. Case and form make no difference. A tie abstains, and so does a value that fewer than `least`
    branches say; the readings stay as alternatives. Raises `InvalidGraph` without nodes or for a
    `least` under 1.
    """
    if not nodes:
        raise InvalidGraph("vote() joins no nodes. Name them: vote('look').")
    if least is not None and least < 1:
        raise InvalidGraph(f"vote(...) has least={least!r}; it must be 1 or more branches.")
    return Vote(nodes, least)


async def _branches(
    nodes: tuple[str, ...], state: JobState, runtime: Runtime[Context] | None
) -> list[Branch]:
    run = None if runtime is None else await run_of(runtime.context)
    outcomes = outcomes_of(state) if run is None else run.outcomes(state)
    found: Mapping[str, Outcome] = {}
    for node in nodes:
        found = {**found, **branches_of(outcomes, node)}
    return [_branch(name, outcome) for name, outcome in found.items()]


def _branch(name: str, outcome: Outcome) -> Branch:
    """A branch as the joins see it: a free answer is the field `answer`."""
    if outcome.answer is not None and not outcome.fields:
        model = None if outcome.call is None else outcome.call.model
        return Branch(name, {"answer": Field(value=outcome.answer, source="derived", model=model)})
    if outcome.error is not None and not outcome.fields:
        return Branch(name, silent=f"failed ({outcome.error.type})")
    silent = None if outcome.skipped is None else f"skipped, as {outcome.skipped}"
    return Branch(name, outcome.fields, silent)


def _as_update(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {"fields": json_of(fields)}
