"""Graphs as they are compiled: a user's own once, and guarded, so that a failure is its node's.

As `introspect` it knows LangGraph's inside, and stands under the same contract test.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any

from langgraph.errors import GraphBubbleUp
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel

from orchestra.core.ask import Ask
from orchestra.core.errors import InvalidGraph, OrchestraError
from orchestra.core.spelling import did_you_mean
from orchestra.observe.trace import is_on, span

AnyGraph = StateGraph[Any, Any, Any, Any]
_BUILDING = threading.RLock()  # a build function may compile the graphs it is made of


def compile_graph(build: Callable[[], Any] | AnyGraph | CompiledStateGraph) -> CompiledStateGraph:
    """The compiled graph of a build function, a StateGraph, or a graph already compiled."""
    if isinstance(build, CompiledStateGraph):
        return build
    if isinstance(build, StateGraph):
        with _BUILDING:
            return _compile_as_it_is(build, _size(build))
    if isinstance(build, Pregel):
        raise _no_state_graph(build)
    with _BUILDING:  # the cache alone lets threads that ask first at one moment build one each
        return _compile_built(build)


@lru_cache(maxsize=64)
def _compile_as_it_is(graph: StateGraph, size: tuple[int, ...]) -> CompiledStateGraph:
    """`graph` compiled once, and again when it has grown since."""
    return _compile(graph)


def _size(graph: StateGraph) -> tuple[int, ...]:
    branches = sum(map(len, graph.branches.values()))
    return len(graph.nodes), len(graph.edges), len(graph.waiting_edges), branches


@lru_cache(maxsize=64)
def _compile_built(build: Callable[[], Any]) -> CompiledStateGraph:
    try:
        built = build()
    except OrchestraError:
        raise
    except ValueError as cause:  # as LangGraph says of a node or an edge that cannot be added
        raise InvalidGraph(
            f"The graph of {getattr(build, '__name__', build)!r} cannot be built: {cause} Mend the "
            "function: each node has a name of its own, and edges lead between nodes."
        ) from cause
    if isinstance(built, CompiledStateGraph):
        return built
    if isinstance(built, Pregel):
        raise _no_state_graph(built)
    if not isinstance(built, StateGraph):
        raise InvalidGraph(
            f"{build!r} returned {type(built).__name__}; a build function returns a StateGraph."
        )
    return _compile(built)


def _no_state_graph(workflow: Pregel) -> InvalidGraph:
    return InvalidGraph(
        f"{next(iter(workflow.nodes), workflow.name)!r} is a {type(workflow).__name__} without a "
        "StateGraph, as LangGraph's functional API makes it, so its nodes cannot be read and "
        "planned. Call it inside a node of a StateGraph, where what its ChatModels spend counts."
    )


def _compile(graph: StateGraph) -> CompiledStateGraph:
    try:
        return graph.compile()
    except ValueError as cause:
        cure = _misspelt(graph) or "Mend its edges."
        raise InvalidGraph(f"The graph does not compile: {cause}. {cure}") from cause


def _misspelt(graph: StateGraph) -> str:
    """Which node an edge may mean that leads to or from none."""
    known = [*graph.nodes, START, END]
    named = [name for edge in sorted(graph.edges) for name in edge]
    named += [name for starts, end in sorted(graph.waiting_edges) for name in (*starts, end)]
    branches = (branch for found in graph.branches.values() for branch in found.values())
    named += [end for branch in branches for end in (branch.ends or {}).values()]
    return next((did_you_mean(name, graph.nodes) for name in named if name not in known), "")


def guarded(compiled: CompiledStateGraph, handler: Callable[..., Any]) -> CompiledStateGraph:
    """A copy of `compiled`, subgraphs included, whose nodes' failures go to `handler`.

    So a node that raises ends its own branch, and its siblings go on; each visit of a node is a
    span, where somebody traces. A graph that handles the
    failures of its nodes itself is left as it is.
    """
    builder = copy(compiled.builder)
    if builder._node_defaults.error_handler is not None:
        return compiled
    builder.nodes = {name: _guarded_spec(spec, handler) for name, spec in builder.nodes.items()}
    builder.schemas = {**builder.schemas, **_whole_states(builder)}
    for name, spec in builder.nodes.items():
        spec.runnable = _traced(name, spec.runnable)
    builder._node_defaults = replace(builder._node_defaults, error_handler=handler)
    again = builder.compile(
        checkpointer=compiled.checkpointer,
        cache=compiled.cache,
        store=compiled.store,
        interrupt_before=list(compiled.interrupt_before_nodes) or None,
        interrupt_after=list(compiled.interrupt_after_nodes) or None,
        debug=compiled.debug,
        name=compiled.name,
    )
    for name in ("config", "step_timeout", "retry_policy", "stream_transformers"):
        setattr(again, name, getattr(compiled, name))
    return again


def _guarded_spec(spec: Any, handler: Callable[..., Any]) -> Any:
    spec = copy(spec)
    if isinstance(spec.runnable, CompiledStateGraph):
        spec.runnable = guarded(spec.runnable, handler)
    return spec


def _traced(name: str, runnable: Any) -> Any:
    """`runnable` with a span around each visit; a graph has spans of its own nodes."""
    work = getattr(runnable, "afunc", None)
    if work is None:
        return runnable

    async def visit(*given: Any, **named: Any) -> Any:
        if not is_on():
            return await work(*given, **named)
        with span(f"node {name}", {"orchestra.node": name}) as seen:
            try:
                return await work(*given, **named)
            except GraphBubbleUp as stop:  # it waits for a person, or sends to another graph
                stopped = stop
                seen.set_attribute("orchestra.stops", True)
        raise stopped

    traced = copy(runnable)
    traced.afunc = visit
    return traced


def _whole_states(builder: StateGraph) -> dict[type[Any], Any]:
    """Schemas that give the asks of `builder` the user's own keys beside ours, for their `data`.

    LangGraph gives a node the keys of its first parameter's type alone, which for an ask are ours.
    The asks' specs, which are copies, are changed to them.
    """
    found: dict[type[Any], Any] = {}
    for name, spec in builder.nodes.items():
        if isinstance(action_of(spec), Ask) and spec.input_schema is not builder.state_schema:
            own, ours = builder.schemas[builder.state_schema], builder.schemas[spec.input_schema]
            spec.input_schema = type(f"StateOf_{name}", (dict,), {})
            found[spec.input_schema] = {**own, **ours}
    return found


def action_of(spec: Any) -> Any:
    """The function or object that the user gave as a node."""
    # A plain function has an asynchronous wrapper beside it, so it is asked for first.
    return getattr(spec.runnable, "func", None) or getattr(spec.runnable, "afunc", None)
