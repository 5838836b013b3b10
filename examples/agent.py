"""An agent as LangGraph's own guide builds it, planned, capped and billed by one changed line.

    python examples/agent.py
    python examples/agent.py --budget 0.000003
    python examples/agent.py --fleet fleet.yaml "Which fruit is the cheapest?"

The graph knows nothing of Orchestra: a model, two tools, and a loop between them. Only the line
that makes the model names a `ChatModel`. The bundled fleet `mini` is no agent (it was not trained
to choose tools), so what it says here is of little use; that it never passes its budget, and
ends with what it had found, is the same with any fleet.
"""

from __future__ import annotations

import argparse
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode

from orchestra import Budget, ChatModel

PRICES = {"apple": 0.40, "pear": 0.50, "orange": 0.60}
ORIGINS = {"apple": "Italy", "pear": "Belgium", "orange": "Spain"}
QUESTION = "What does a pear cost, and where does it come from?"
MOST_CALLS = 6


def price(fruit: Literal["apple", "pear", "orange"]) -> float:
    """The price of one fruit in euros."""
    return PRICES[fruit]


def origin(fruit: Literal["apple", "pear", "orange"]) -> str:
    """The country that a fruit comes from."""
    return ORIGINS[fruit]


TOOLS = [price, origin]


class Talk(TypedDict):
    """The agent's state: the conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


def agent_of(model: BaseChatModel) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A model that may ask for tools until it answers."""
    bound = model.bind_tools(TOOLS)

    def think(state: Talk) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    def route(state: Talk) -> Literal["tools", "__end__"]:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"

    graph = StateGraph(Talk)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode(TOOLS))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", route)
    graph.add_edge("tools", "think")
    return graph.compile()


def main() -> None:
    """Plan the conversation, hold it, and print it with its bill."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument("--fleet", default="mini")
    parser.add_argument("--budget", default="0.0001", metavar="USD")
    parser.add_argument("--tokens", type=int, default=2000, help="of all calls together")
    wanted = parser.parse_args()

    budget = Budget(cost_usd=wanted.budget, tokens=wanted.tokens)
    model = ChatModel(fleet=wanted.fleet, budget=budget)  # the one line

    planned = model.plan(wanted.question, calls=MOST_CALLS)
    print(f"{MOST_CALLS} calls cost ${planned.public()['total']['cost_usd']:f} at most\n")
    asked: Any = {"messages": [("user", wanted.question)]}
    said = agent_of(model).invoke(asked, {"recursion_limit": 200})
    for message in said["messages"]:
        message.pretty_print()
    bill = model.bill()
    end = said["messages"][-1].response_metadata["finish_reason"]
    print(f"\nended by {end!r} after {len(bill.calls)} calls: ${bill.cost_usd:f}", end="")
    print(f" of ${wanted.budget}, {bill.tokens} tokens")
    model.close()


if __name__ == "__main__":
    main()
