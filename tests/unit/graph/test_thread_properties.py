"""Whatever people, failures and deaths a run meets on its way: its money is counted once, in one
account, and the book says what the models reported."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from orchestra import Budget, Context, Fleet, Job, JobState, Result, ask
from orchestra.book.book import Book
from orchestra.core.call import Call, Reply
from orchestra.core.errors import AnswerInvalid
from orchestra.core.usage import Usage
from tests.scripted import scripted_fleet

Kind = Literal["ask", "fails", "person", "raises", "dies"]
SHIRT = {"type": "object", "properties": {"colour": {"type": "string"}}}
MOST_PARTS = 40


class Died(BaseException):
    """The process is gone: nothing of what it held in memory is left."""


@dataclass
class World:
    """What lasts beyond a process: who has died already, and what the models reported."""

    deaths: Counter[str] = field(default_factory=Counter)
    reported: list[int] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, call: Call) -> Any:
        """A reply that costs what its node's number says; some are no answers, and cost too."""
        number = int(call.instruction.split()[-1])
        self.asked[call.instruction] += 1
        usage = Usage(input_tokens=3 + number, output_tokens=1 + number % 3)
        self.reported.append(usage.input_tokens + usage.output_tokens)
        if call.instruction.startswith("Fail"):
            error = AnswerInvalid("It is no answer.")
            error.used = usage
            return error
        return Reply("{}", {"colour": "red"}, usage=usage)


def node(world: World, name: str, kind: Kind, number: int) -> Any:
    """A node that asks, fails, waits for a person, raises, or takes its process with it once."""
    if kind in ("ask", "fails"):
        word = "Fail" if kind == "fails" else "Read"
        return ask("text", f"{word} it {number}", schema=SHIRT)

    async def act(state: JobState) -> dict[str, Any]:
        if kind == "person":
            assert interrupt(name) == f"{name}!"
        elif kind == "raises":
            raise LookupError(name)
        elif not world.deaths[name]:
            world.deaths[name] += 1
            raise Died
        return {}

    return act


def graph_of(world: World, ways: list[list[Kind]]) -> StateGraph[JobState, Context]:
    """Ways side by side, each a chain of nodes."""
    graph = StateGraph(JobState, context_schema=Context)
    number = 0
    for way, kinds in enumerate(ways):
        before = START
        for kind in kinds:
            number += 1
            name = f"{kind}_{way}_{number}"
            graph.add_node(name, node(world, name, kind, number))
            graph.add_edge(before, name)
            before = name
    return graph


async def lived(world: World, ways: list[list[Kind]], book: Path) -> Result:
    """Run to the end through as many processes as it takes; people answer what they are asked."""
    result: Result | None = None
    for part in range(MOST_PARTS):
        scripted, _ = scripted_fleet(world.answer)
        graph = graph_of(world, ways).compile()
        async with Fleet.open("mini", book=book, clients=scripted._clients) as fleet:
            try:
                if part == 0:
                    plan = fleet.plan(graph, Job(text="a red shirt"))
                    budget = Budget(tokens=plan.tokens, cost_usd="0.01")
                    job = Job(text="a red shirt", budget=budget)
                    result = await fleet.run(graph, job, thread_id="t")
                elif result is not None and result.status == "waiting":
                    answers = {each.id: f"{each.value}!" for each in result.questions}
                    result = await fleet.resume(graph, "t", answers)
                else:
                    result = await fleet.resume(graph, "t")
            except Died:
                result = None
                continue
        if result.status != "waiting":
            return result
    raise AssertionError(f"not at its end after {MOST_PARTS} parts")


KINDS: list[Kind] = ["ask", "ask", "ask", "fails", "person", "raises", "dies"]
WAYS = st.lists(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(
    WAYS.filter(lambda ways: 0 < sum(way.count("ask") for way in ways) < 7).filter(
        # More cannot be compared: four models of mini may answer each.
        lambda ways: sum(way.count("ask") + way.count("fails") for way in ways) < 9
    )
)
def test_a_runs_money_is_counted_once_in_one_account(ways: list[list[Kind]]) -> None:
    world = World()
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.sqlite"
        try:
            result = asyncio.run(lived(world, ways, book))
        except LookupError:
            result = None  # it raised before anything was asked
        with Book.open(book) as kept:
            places = [place.id for place in kept.places().values()]
            own = [id for id in places if not id.endswith(":unplanned")]
            assert len(own) == 1
            spent = kept.spent(own[0])
            assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
            assert spent.tokens == sum(world.reported)
            (limit,) = kept._read("SELECT limit_tokens FROM accounts WHERE id = ?", (own[0],))[0]
            assert spent.tokens <= limit
        # What answered was asked once, however often its process died behind it.
        assert {n: k for n, k in world.asked.items() if n.startswith("Read") and k > 1} == {}
        if result is not None:
            assert result.tokens == sum(world.reported)
