"""Drives a graph to its end, to a question, or to the limit that its run met; it knows no account.

LangGraph runs the nodes. A run that met a limit of its budget, its deadline or its visits may take
as many steps more as the graph has nodes, which is enough to join what was paid for: a loop ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError
from langgraph.graph.state import CompiledStateGraph

from orchestra.core.call import OnPiece
from orchestra.core.errors import DeadlineExceeded, StepsExceeded
from orchestra.core.job import ErrorRecord, Question, plain_json
from orchestra.graph.job_run import JobRun
from orchestra.graph.progress import Tell

# Asks keep the deadline themselves; a node of the user's own that does not is cut off.
CUT_OFF_S = 1.0
INTERRUPT = "__interrupt__"


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of a run: `tell` is given LangGraph's chunks of `modes`, and what is our own.

    `on_piece` hears the answer as it is decoded, where that can be known (`voice.py`).
    """

    modes: frozenset[str]
    tell: Tell
    on_piece: OnPiece | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """How a graph is run: its input, LangGraph's config and context, and who hears of it."""

    given: Any
    config: RunnableConfig
    context: Any = None
    listener: Listener | None = None
    subgraphs: bool = False
    durability: str | None = None


async def drive(
    run: JobRun, graph: CompiledStateGraph, way: Way
) -> tuple[Mapping[str, Any], tuple[Question, ...]]:
    """The state that the graph left, and what it waits for. Limits are noted in the run."""
    state: Mapping[str, Any] = {}
    questions: dict[str, Question] = {}
    ends_at = None if run.ends_at is None else run.ends_at + CUT_OFF_S
    try:
        async with asyncio.timeout_at(ends_at), aclosing(_steps(run, graph, way)) as steps:
            left = len(graph.nodes)
            async for is_top, mode, chunk in steps:
                if is_top and mode == "values":
                    state = chunk
                    left -= run.progress.limit is not None
                    if left < 0:
                        break
                elif mode == "updates" and isinstance(chunk, dict):
                    asked = chunk.get(INTERRUPT) or ()
                    questions |= {each.id: _question(each) for each in asked}
    except GraphRecursionError:
        run.progress.stop(ErrorRecord.of("graph", _out_of_steps(way.config)))
    except TimeoutError:
        if ends_at is None or asyncio.get_running_loop().time() < ends_at:
            raise
        run.progress.stop(ErrorRecord.of("graph", _cut_off(run)))
    state = {key: value for key, value in state.items() if key != INTERRUPT}
    return state, tuple(questions.values()) or await _breakpoint(graph, way.config)


async def _steps(
    run: JobRun, graph: CompiledStateGraph, way: Way
) -> AsyncGenerator[tuple[bool, str, Any]]:
    """Chunks of the graph: whether of its top, their mode, what they hold. Wanted ones are told."""
    wanted = frozenset() if way.listener is None else way.listener.modes
    voiced = () if run.voice is None else ("tasks",)
    # Updates tell of questions, and a graph without checkpoints asks none.
    asking = () if graph.checkpointer is None else ("updates",)
    modes: list[Any] = list({"values", *asking, *voiced, *wanted})
    durability: Any = {} if way.durability is None else {"durability": way.durability}
    chunks: Any = graph.astream(
        way.given,
        way.config or None,
        context=way.context,
        stream_mode=modes,
        subgraphs=way.subgraphs,
        **durability,
    )
    async for chunk in chunks:
        where, mode, held = chunk if way.subgraphs else ((), *chunk)
        if way.listener is not None and mode in wanted:
            way.listener.tell(mode, (where, held) if way.subgraphs else held)
        if run.voice is not None and mode == "tasks" and not where:
            run.voice.note(held)
        yield not where, mode, held


async def _breakpoint(graph: CompiledStateGraph, config: RunnableConfig) -> tuple[Question, ...]:
    """The nodes before or after which the graph was told to stop, where it has done so."""
    if not (graph.interrupt_before_nodes or graph.interrupt_after_nodes):
        return ()
    snapshot = await graph.aget_state(config)
    return tuple(Question(node=node) for node in snapshot.next)


def _question(asked: Any) -> Question:
    return Question(id=asked.id, value=plain_json(asked.value))


def _out_of_steps(config: RunnableConfig) -> StepsExceeded:
    limit = config.get("recursion_limit", "LangGraph's own")
    return StepsExceeded(
        f"The graph went on after all the steps that it may take (recursion_limit={limit}). End "
        "its loop sooner, or raise config={'recursion_limit': ...}."
    )


def _cut_off(run: JobRun) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"The deadline passed (latency_ms={run.job.budget.latency_ms}) while a node of the graph "
        f"that is no ask worked on; it was cut off {CUT_OFF_S:g} s later. Raise latency_ms, or "
        "have the node end sooner."
    )
