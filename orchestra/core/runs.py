"""The runs this process has under way, by id; nodes find theirs here through the context.

A run id rather than the run itself stands in the context, because a context must be
constructible from JSON (LangGraph Studio, remote graphs, checkpointers).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from orchestra.core.errors import InvalidGraph
from orchestra.core.state import Context, JobState

if TYPE_CHECKING:
    from orchestra.core.ask import Ask
    from orchestra.core.outcome import Outcome


class Run(Protocol):
    """What a node needs of the run it belongs to."""

    async def ask(self, node: str, ask: Ask, state: JobState) -> Outcome:
        """Make the call that `ask` describes, within the run's plan, budget and deadline."""
        ...

    async def settle(
        self, names: Sequence[str], nodes: Sequence[str], state: JobState
    ) -> dict[str, Outcome]:
        """Ask a better model again about the fields `names`, which `nodes` contradict on.

        The outcomes that changed, by node; none where no better model is planned.
        """
        ...


_RUNS: dict[str, Run] = {}


_OPENERS: list[Callable[[str], Awaitable[Run]]] = []


def open_runs_with(opener: Callable[[str], Awaitable[Run]]) -> None:
    """Let `opener` make the run of a graph that nobody prepared, from its fleet's name."""
    _OPENERS.append(opener)


def enter(run_id: str, run: Run) -> None:
    """Make `run` known to the nodes that will run under `run_id`."""
    _RUNS[run_id] = run


def leave(run_id: str) -> None:
    """Forget a run that has ended."""
    _RUNS.pop(run_id, None)


async def run_of(context: Context | dict[str, Any] | None) -> Run:
    """The run of `context`; one that nobody prepared (Studio) opens its fleet on its own.

    Raises `InvalidGraph` for a run that this process does not have: its budget is not here.
    """
    if isinstance(context, dict):
        context = Context(**context)
    context = context or Context()
    if context.run_id is not None:
        if context.run_id not in _RUNS:
            raise InvalidGraph(
                f"The run {context.run_id!r} has ended, or belongs to another process, so its plan "
                "and budget are not here. Run the job again with Fleet.run."
            )
        return _RUNS[context.run_id]
    if _OPENERS:
        return await _OPENERS[-1](context.fleet)
    raise InvalidGraph(
        f"The graph was invoked without a run, and nothing here opens the fleet {context.fleet!r}. "
        "Run it with Fleet.run, or import orchestra."
    )
