"""Scripted models for tests: a fleet whose answers come from functions, with real cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestra.app import Fleet
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call
from orchestra.fleet.source import load_fleet
from orchestra.testing import ScriptedEngine

Answers = Callable[[Call], Any]


def first_allowed(call: Call) -> dict[str, Any] | str:
    """A reply that takes the first value its schema allows: obedient, and knows nothing."""
    if call.schema is None:
        return fact_line(call) or "Nothing was said."
    return {name: _first(shape, call) for name, shape in call.schema["properties"].items()}


def _first(shape: Mapping[str, Any], call: Call) -> Any:
    if "enum" in shape:
        return shape["enum"][0]
    if "anyOf" in shape:
        return _first(shape["anyOf"][0], call)
    if shape.get("type") == "array":
        return [fact_line(call)]
    return fact_line(call) if shape.get("type") == "string" else None


def fact_line(call: Call) -> str:
    """The value on the first line of the data."""
    line = (call.text or "").split("\n")[0]
    return line.split(": ", 1)[-1][:60]


def scripted_fleet(
    text: Answers = first_allowed, vision: Answers = first_allowed, **options: Any
) -> tuple[Fleet, dict[str, ScriptedEngine]]:
    """The `mini` cards with scripted engines behind them, and those engines by model."""
    file, _ = load_fleet("mini")
    engines = {
        card.name: ScriptedEngine(vision if "vision" in card.capabilities else text, **options)
        for card in file.models
    }
    clients = {
        name: InProcessClient(name, lambda engine=engine: engine)
        for name, engine in engines.items()
    }
    return Fleet.open("mini", clients=dict(clients)), engines
