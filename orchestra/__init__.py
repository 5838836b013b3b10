"""Multi-model orchestration: one LangGraph graph, many models, one budget.

Names load at first use: LangGraph alone takes seconds to import, and a worker process or
`orchestra --help` needs none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestra.batch.recipe import Recipe
    from orchestra.chat.model import ChatModel
    from orchestra.errors import OrchestraError
    from orchestra.fleet.card import Card
    from orchestra.fleet.fleet import Fleet
    from orchestra.graph.ask import ask
    from orchestra.graph.merge import merge
    from orchestra.graph.state import Context, JobState
    from orchestra.job import Budget, Evidence, Field, Job, Result
    from orchestra.routing.plan import Plan
    from orchestra.serving.app import serve

_HOMES = {
    "Budget": "orchestra.job",
    "Card": "orchestra.fleet.card",
    "ChatModel": "orchestra.chat.model",
    "Context": "orchestra.graph.state",
    "Evidence": "orchestra.job",
    "Field": "orchestra.job",
    "Fleet": "orchestra.fleet.fleet",
    "Job": "orchestra.job",
    "JobState": "orchestra.graph.state",
    "OrchestraError": "orchestra.errors",
    "Plan": "orchestra.routing.plan",
    "Recipe": "orchestra.batch.recipe",
    "Result": "orchestra.job",
    "ask": "orchestra.graph.ask",
    "merge": "orchestra.graph.merge",
    "serve": "orchestra.serving.app",
}

__all__ = [
    "Budget",
    "Card",
    "ChatModel",
    "Context",
    "Evidence",
    "Field",
    "Fleet",
    "Job",
    "JobState",
    "OrchestraError",
    "Plan",
    "Recipe",
    "Result",
    "ask",
    "merge",
    "serve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestra' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
