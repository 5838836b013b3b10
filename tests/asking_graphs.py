"""Graphs that tests serve: one that writes, and one that asks a person before it does."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from orchestra import Context, JobState, ask
from orchestra.core.call import Call

SHIRT = {"type": "object", "properties": {"colour": {"type": "string"}}}
QUESTION = "Is it red?"


class Talk(TypedDict):
    said: Annotated[list[Any], operator.add]


def told(call: Call) -> Any:
    """What a scripted engine says to the asks of these graphs."""
    return "A red shirt." if call.schema is None else {"colour": "red"}


def writing() -> StateGraph[JobState, Context]:
    """Reads fields, then writes freely."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read.", schema=SHIRT))
    graph.add_node("write", ask("text", "Write.", derived=True))
    graph.add_edge(START, "read")
    graph.add_edge("read", "write")
    return graph


def asking() -> StateGraph[Talk, Context]:
    """The same, but a person is asked before anything is written."""

    def person(state: Talk) -> dict[str, Any]:
        return {"said": [interrupt(QUESTION)]}

    graph = StateGraph(Talk, context_schema=Context)
    graph.add_node("read", ask("text", "Read.", schema=SHIRT))
    graph.add_node("person", person)
    graph.add_node("write", ask("text", "Write.", derived=True))
    graph.add_edge(START, "read")
    graph.add_edge("read", "person")
    graph.add_edge("person", "write")
    return graph
