"""The example of a stock agent, with the bundled models: planned, capped, billed, stopped."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage

from examples.agent import MOST_CALLS, QUESTION, agent_of
from orchestra import Budget, ChatModel


def talk(model: ChatModel) -> list[Any]:
    asked: Any = {"messages": [("user", QUESTION)]}
    return agent_of(model).invoke(asked, {"recursion_limit": 200})["messages"]


def test_the_agent_is_planned_and_billed_and_its_tools_run() -> None:
    model = ChatModel(fleet="mini", budget=Budget(cost_usd="0.0001", tokens=2000))
    ceiling = model.plan(QUESTION, calls=MOST_CALLS).public()["total"]["cost_usd"]
    messages = talk(model)
    bill = model.bill()
    model.close()
    assert 0 < bill.cost_usd <= Decimal("0.0001")
    assert ceiling > 0
    assert any(isinstance(message, ToolMessage) for message in messages)
    said = [message for message in messages if isinstance(message, AIMessage)]
    # Where the budget ends the talk, the last message comes from no model.
    asked = [m for m in said if m.response_metadata["finish_reason"] != "budget"]
    assert len(bill.calls) == len(asked)
    told = sum(message.response_metadata["orchestra"]["cost_usd"] for message in asked)
    assert Decimal(str(round(told, 6))) == bill.cost_usd


def test_the_agent_stops_at_its_budget_with_what_it_had_found() -> None:
    model = ChatModel(fleet="mini", budget=Budget(tokens=1500))
    messages = talk(model)
    bill = model.bill()
    model.close()
    assert messages[-1].response_metadata["finish_reason"] == "budget"
    assert messages[-1].response_metadata["orchestra"]["status"] == "partial"
    assert bill.tokens <= 1500
    assert any(isinstance(message, ToolMessage) for message in messages)
