"""Graphs whose rows ask a person, with models that are scripted: for batches that park them."""

from __future__ import annotations

import asyncio
import operator
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt

from orchestra import Context, Fleet, JobState, ask, merge
from orchestra.core.call import Call, Reply, Usage
from tests.scripted import scripted_fleet

COLOUR = {"type": "object", "properties": {"colour": {"type": "string"}}}
KILL = "kill"


class Talk(JobState, total=False):
    """What a person said, beside the job."""

    said: Annotated[list[Any], operator.add]


def _text(state: Talk) -> str:
    return state.get("job", {}).get("text") or ""


def person(state: Talk) -> dict[str, Any]:
    """Ask about what is not plain, and again where the text says so."""
    if "plain" in _text(state):
        return {}
    said = [interrupt({"is it": "red?"})]
    if "twice" in _text(state):
        said.append(interrupt("sure?"))
    if said == [KILL]:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"said": said}


def asking() -> StateGraph[Talk, Context]:
    """Look, ask a person, look again."""
    graph = StateGraph(Talk, context_schema=Context)
    graph.add_node("look", ask("text", "Look.", schema=COLOUR))
    graph.add_node("person", person)
    graph.add_node("again", ask("text", "Look again.", schema=COLOUR))
    graph.add_node("merge", merge("again"))
    graph.add_edge(START, "look")
    graph.add_edge("look", "person")
    graph.add_edge("person", "again")
    graph.add_edge("again", "merge")
    return graph


def each_asks(state: Any) -> dict[str, Any]:
    """A branch that asks."""
    return {"said": [(state["who"], interrupt(f"{state['who']}?"))]}


def two_ask() -> StateGraph[Talk, Context]:
    """Two branches that ask at once."""
    graph = StateGraph(Talk, context_schema=Context)
    graph.add_node("person", each_asks)
    to = [Send("person", {"who": who}) for who in ("a", "b")]
    graph.add_conditional_edges(START, lambda state: to, ["person"])
    return graph


def stopping() -> Any:
    """A graph that stops before its second look, and asks nothing."""
    graph = StateGraph(Talk, context_schema=Context)
    graph.add_node("look", ask("text", "Look.", schema=COLOUR))
    graph.add_node("again", ask("text", "Look again.", schema=COLOUR))
    graph.add_edge(START, "look")
    graph.add_edge("look", "again")
    return graph.compile(interrupt_before=["again"])


def says_red(call: Call) -> Reply:
    """What the scripted models say; 20 tokens a call."""
    return Reply("{}", {"colour": "red"}, usage=Usage(input_tokens=15, output_tokens=5))


def parked_fleet(answers: Any = says_red) -> tuple[Fleet, dict[str, Any]]:
    """A fleet that says so."""
    return scripted_fleet(answers, answers)


async def _resume(out: Path) -> None:
    fleet, _ = parked_fleet()
    async with fleet:
        await fleet.resume_batch(out, {"A1": KILL})


if __name__ == "__main__":  # a process that dies as it goes on
    asyncio.run(_resume(Path(sys.argv[1])))
