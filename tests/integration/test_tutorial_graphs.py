"""Graphs in the shape of LangGraph's tutorials, asks beside plain functions, run unchanged as jobs.

An orchestrator with workers, an evaluator with an optimizer, and a person who approves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel

from orchestra import Budget, ChatModel, Context, Fleet, Job, ask
from orchestra.core.call import Call
from tests.scripted import scripted_fleet

EVERY: Any = [
    "values", "updates", "messages", "custom", "tasks", "checkpoints", "debug",
    "plan", "call", "spend", "result",
]  # fmt: skip
LOOKS_SAME = ("values", "updates", "tasks")


def calling(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"calls": [{"tool": tool, "arguments": arguments}], "answer": None}


# An orchestrator plans the sections of a report, and sends a worker to each.


class Sections(BaseModel):
    """The sections of a report."""

    names: list[str]


def one_more(left: list[str], right: list[str] | str) -> list[str]:
    return [*left, *([right] if isinstance(right, str) else right)]


class Report(TypedDict, total=False):
    sections: list[str]
    written: Annotated[list[str], one_more]
    report: str


def orchestrated(saver: Any = None) -> Any:
    planner = ChatModel().with_structured_output(Sections)

    async def plan(state: Report) -> dict[str, Any]:
        found: Any = await planner.ainvoke("Plan a report on pears.")
        return {"sections": found.names}

    def assign(state: Report) -> list[Send]:
        return [Send("write", {"job": {"text": name}}) for name in state["sections"]]

    def join(state: Report) -> dict[str, Any]:
        return {"report": "\n".join(sorted(state["written"]))}

    graph = StateGraph(Report, context_schema=Context)
    graph.add_node("plan", plan)
    graph.add_node("write", ask("text", "Write it.", max_visits=4, max_tokens=32, key="written"))
    graph.add_node("join", join)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", assign, ["write"])
    graph.add_edge("write", "join")
    graph.add_edge("join", END)
    return graph.compile(checkpointer=saver)


# A writer goes on until an evaluator is content.


class Grade(BaseModel):
    """What the evaluator thinks of a draft."""

    verdict: Literal["good", "poor"]


class Draft(TypedDict, total=False):
    draft: str
    grade: str
    tries: int


def evaluated(saver: Any = None) -> Any:
    judge = ChatModel().with_structured_output(Grade)

    async def evaluate(state: Draft) -> dict[str, Any]:
        tries = state.get("tries", 0) + 1
        found: Any = await judge.ainvoke(f"Is it good? Try {tries}: {state['draft']}")
        return {"grade": found.verdict, "tries": tries}

    def content(state: Draft) -> Literal["write", "__end__"]:
        return "__end__" if state["grade"] == "good" else "write"

    graph = StateGraph(Draft, context_schema=Context)
    graph.add_node("write", ask("text", "Write a line.", max_visits=4, max_tokens=32, key="draft"))
    graph.add_node("evaluate", evaluate)
    graph.add_edge(START, "write")
    graph.add_edge("write", "evaluate")
    graph.add_conditional_edges("evaluate", content)
    return graph.compile(checkpointer=saver)


# A person approves what is drafted before it is sent.


class Letter(TypedDict, total=False):
    draft: str
    sent: str


def approved(saver: Any = None) -> Any:
    def approve(state: Letter) -> Command[Literal["send", "drop"]]:
        answer = interrupt({"approve": state["draft"]})
        if answer["kind"] == "reject":
            return Command(goto="drop")
        return Command(goto="send", update={"draft": answer.get("text", state["draft"])})

    def send(state: Letter) -> dict[str, Any]:
        return {"sent": state["draft"]}

    def drop(state: Letter) -> dict[str, Any]:
        return {"sent": ""}

    graph = StateGraph(Letter, context_schema=Context)
    graph.add_node("write", ask("text", "Write a letter.", max_tokens=32, key="draft"))
    graph.add_node("approve", approve)
    graph.add_node("send", send)
    graph.add_node("drop", drop)
    graph.add_edge(START, "write")
    graph.add_edge("write", "approve")
    return graph.compile(checkpointer=saver)


def answers(call: Call) -> Any:
    if "- Sections:" in call.instruction:
        return calling("Sections", names=["price", "origin", "taste"])
    if "- Grade:" in call.instruction:
        return calling("Grade", verdict="good" if "Try 3" in call.instruction else "poor")
    return f"On {call.text}."


async def told(fleet: Fleet, graph: Any, job: Job, **options: Any) -> tuple[Any, dict[str, list]]:
    """The result, and what was told of each mode."""
    found: dict[str, list] = {}
    async for mode, chunk in fleet.astream(graph, job, stream_mode=EVERY, **options):
        found.setdefault(mode, []).append(chunk)
    return found["result"][0], found


@pytest.mark.parametrize("saver", [None, InMemorySaver])
async def test_an_orchestrator_sends_workers_whose_visits_are_planned(
    saver: Callable[[], Any] | None,
) -> None:
    fleet, engines = scripted_fleet(answers)
    async with fleet:
        graph = orchestrated(saver and saver())
        planned = fleet.plan(graph, Job(text="Pears."))
        done, heard = await told(fleet, graph, Job(text="Pears."), thread_id="t")
    assert [(node.node, node.visits) for node in planned.nodes] == [("write", 4)]
    assert planned.unpriced == ("plan", "join")
    assert done.status == "complete"
    assert done.state["report"] == "On origin.\nOn price.\nOn taste."
    assert sorted(done.branches) == ["write[0]", "write[1]", "write[2]"]
    assert len(done.calls) == len(engines["r1"].calls) == 4
    assert done.cost_usd == sum(call.cost_usd for call in done.calls)
    assert all(heard[mode] for mode in (*LOOKS_SAME, "messages", "plan", "spend", "call"))


@pytest.mark.parametrize("saver", [None, InMemorySaver])
async def test_an_optimizer_goes_round_until_its_evaluator_is_content(
    saver: Callable[[], Any] | None,
) -> None:
    fleet, _ = scripted_fleet(answers)
    async with fleet:
        graph = evaluated(saver and saver())
        done, heard = await told(fleet, graph, Job(text="Pears."), thread_id="t")
    assert done.status == "complete"
    assert (done.state["grade"], done.state["tries"]) == ("good", 3)
    assert [call.node for call in done.calls].count("write") == 3
    assert done.cost_usd == sum(call.cost_usd for call in done.calls)
    assert all(heard[mode] for mode in LOOKS_SAME)


async def test_an_evaluator_that_is_never_content_ends_within_the_budget_as_partial() -> None:
    fleet, _ = scripted_fleet(
        lambda call: calling("Grade", verdict="poor") if call.schema else f"On {call.text}."
    )
    async with fleet:
        graph = evaluated()
        most = fleet.plan(graph, Job(text="Pears.")).tokens + 900
        done = await fleet.run(graph, Job(text="Pears.", budget=Budget(tokens=most)))
    assert done.status == "partial" and done.answer == "On Pears.."
    assert {error.type for error in done.errors} <= {"BudgetExceeded", "VisitsExceeded"}
    assert done.tokens <= most
    assert done.cost_usd == sum(call.cost_usd for call in done.calls)


@pytest.mark.parametrize("saver", [None, InMemorySaver])
@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        ({"kind": "approve"}, "On Pears.."),
        ({"kind": "edit", "text": "Dear Ann."}, "Dear Ann."),
        ({"kind": "reject"}, ""),
    ],
)
async def test_what_a_person_decides_is_where_the_graph_goes_in_another_process(
    tmp_path: Path, answer: dict[str, str], sent: str, saver: Callable[[], Any] | None
) -> None:
    scripted, engines = scripted_fleet(answers)
    kept = saver and saver()  # as a server of theirs would

    def opened() -> Fleet:
        return Fleet.open("mini", book=tmp_path / "book.sqlite", clients=scripted._clients)

    async with opened() as fleet:
        job = Job(text="Pears.")
        assert fleet.plan(approved(kept), job).unpriced == ("approve", "send", "drop")
        first, _ = await told(fleet, approved(kept), job, thread_id="t")
    assert (first.status, first.questions[0].value) == ("waiting", {"approve": "On Pears.."})
    async with opened() as fleet:
        telling = fleet.astream_resumed(approved(kept), "t", answer, stream_mode=EVERY)
        heard = [pair async for pair in telling]
    done = heard[-1][1]
    assert (done.status, done.state["sent"]) == ("complete", sent)
    assert len(engines["r1"].calls) == len(done.calls) == 1
    assert {"values", "updates", "tasks", "plan", "result"} <= {mode for mode, _ in heard}
