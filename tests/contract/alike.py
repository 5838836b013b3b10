"""What LangGraph tells of a graph, and what a fleet tells of it, to be compared."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Interrupt
from pydantic import BaseModel

Graph = CompiledStateGraph[Any, Any, Any, Any]
MODES = ["values", "updates", "messages", "custom", "tasks", "checkpoints", "debug"]
TEXT = "What is it?"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")


def alike(value: Any) -> Any:
    """`value` as plain data, with its ids, times and the names of threads made alike."""
    match value:
        case BaseMessage():
            return (
                type(value).__name__,
                alike(value.content),
                alike(getattr(value, "tool_calls", ())),
            )
        case Interrupt():
            return "Interrupt", alike(value.value)
        case BaseModel():
            return alike(dict(value))
        case dict():
            hidden = {"thread_id", "checkpoint_id", "run_id", "metadata", "ls_provider"}
            return {alike(key): alike(each) for key, each in value.items() if key not in hidden}
        case list() | tuple():
            return [alike(each) for each in value]
        case str():
            return TIME.sub("TIME", UUID.sub("ID", value))
        case _:
            return value


def given(graph: Graph) -> dict[str, Any]:
    """What a fleet gives a graph for the job of this text."""
    return {"messages": [HumanMessage(TEXT)]} if "messages" in graph.channels else {"notes": []}


async def bare(graph: Graph, modes: list[str], config: Any, given: Any, subgraphs: bool) -> Any:
    told = graph.astream(given, config, stream_mode=modes, subgraphs=subgraphs)  # type: ignore[arg-type]
    return [alike(chunk) async for chunk in told]


async def through(chunks: AsyncIterator[Any], subgraphs: bool) -> list[Any]:
    """What a fleet told, in LangGraph's form."""
    told = [chunk async for chunk in chunks]
    return [alike((pair[1][0], pair[0], pair[1][1]) if subgraphs else pair) for pair in told]
