"""`merge`: the node that joins what several asks read; the joining itself is `combine.merge`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from langgraph.runtime import Runtime

from orchestra.combine.merge import MergeRules, Side, merge_readings
from orchestra.core.ask import Run, run_of
from orchestra.core.errors import InvalidGraph
from orchestra.core.job import Field, Job
from orchestra.core.place import branches_of
from orchestra.core.spelling import nearest
from orchestra.core.state import Context, JobState, Outcome, json_of, outcome_json, outcomes_of

LONG_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Merge:
    """Joins the fields of `nodes`. Add it with `defer=True`, so it waits for every branch."""

    nodes: tuple[str, ...]
    rules: MergeRules
    costs_nothing: ClassVar[bool] = True

    async def __call__(
        self, state: JobState, runtime: Runtime[Context] | None = None
    ) -> dict[str, Any]:
        """Fields joined from the outcomes that are there; a skipped or failed node adds none.

        Where they contradict each other and the plan has a better model for one side, that one is
        asked about those fields alone, and they are joined again.
        """
        run = None if runtime is None else await run_of(runtime.context)
        outcomes = outcomes_of(state) if run is None else run.outcomes(state)
        words = _words(state, run)
        merged = await self._joined(outcomes, words)
        clashing = [name for name, field in merged.items() if field.contradiction]
        changed: dict[str, Outcome] = {}
        if clashing and run is not None:
            changed = await run.settle(clashing, self.nodes, state)
            merged = await self._joined(outcomes | changed, words) if changed else merged
        joined = json_of(merged)
        if not changed:
            return {"fields": joined}
        kept = {node: outcome_json(outcome) for node, outcome in changed.items()}
        return {"fields": joined, "outcomes": kept}

    async def _joined(self, outcomes: Mapping[str, Outcome], words: str) -> dict[str, Field]:
        """The fields joined; of a long text beside the event loop, which others wait for."""
        found = (branches_of(outcomes, node).values() for node in self.nodes)
        readings = [outcome.fields for branches in found for outcome in branches]
        if len(words) < LONG_CHARS:
            return merge_readings(readings, self.rules, words)
        return await asyncio.to_thread(merge_readings, readings, self.rules, words)


def _words(state: JobState, run: Run | None) -> str:
    """The text of the job."""
    job = Job.model_validate(state["job"]) if run is None and "job" in state else None
    job = job if run is None else run.job
    return (job.text if job else None) or ""


def merge(*nodes: str, prefer: Side = "image", rules: MergeRules | None = None) -> Merge:
    """A node that merges the answers of `nodes`, field by field.

    `prefer` says whose value stands when both answer; `rules` says more. Raises `InvalidGraph`
    without nodes, and for a side that there is not; a node that there is not shows at planning.
    """
    if not nodes:
        raise InvalidGraph("merge() joins no nodes. Name them: merge('look', 'read').")
    sides = get_args(Side)
    for side in (prefer, *([] if rules is None else [rules.prefer])):
        if side not in sides:
            near = nearest(side, sides)
            raise InvalidGraph(
                f"merge(...) has prefer={side!r}; it prefers what the 'image' shows or what the "
                f"'text' says. {f'Did you mean {near!r}?' if near else 'Give one of those.'}"
            )
    return Merge(nodes, rules or MergeRules(prefer=prefer))
