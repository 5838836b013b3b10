"""Multi-model orchestration: one LangGraph graph, many models, one budget.

Names load at first use: LangGraph alone takes seconds to import, and a worker process or
`orchestra --help` needs none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestra.core.opening import open_runs_with

if TYPE_CHECKING:
    from orchestra.app import Fleet
    from orchestra.batch.recipe import Recipe
    from orchestra.chat.model import ChatModel
    from orchestra.core.ask import ask
    from orchestra.core.card import Card
    from orchestra.core.errors import OrchestraError
    from orchestra.core.fan_out import each_photo
    from orchestra.core.job import Budget, Evidence, Field, Job, Result
    from orchestra.core.state import Context, JobState
    from orchestra.graph.cascade import cascade
    from orchestra.graph.in_turn import in_turn
    from orchestra.graph.joins import gather, vote
    from orchestra.graph.merge import merge
    from orchestra.routing.plan import Plan
    from orchestra.serving.app import serve

_HOMES = {
    "Budget": "orchestra.core.job",
    "Card": "orchestra.core.card",
    "ChatModel": "orchestra.chat.model",
    "Context": "orchestra.core.state",
    "Evidence": "orchestra.core.job",
    "Field": "orchestra.core.job",
    "Fleet": "orchestra.app",
    "Job": "orchestra.core.job",
    "JobState": "orchestra.core.state",
    "OrchestraError": "orchestra.core.errors",
    "Plan": "orchestra.routing.plan",
    "Recipe": "orchestra.batch.recipe",
    "Result": "orchestra.core.job",
    "ask": "orchestra.core.ask",
    "cascade": "orchestra.graph.cascade",
    "each_photo": "orchestra.core.fan_out",
    "gather": "orchestra.graph.joins",
    "in_turn": "orchestra.graph.in_turn",
    "merge": "orchestra.graph.merge",
    "serve": "orchestra.serving.app",
    "vote": "orchestra.graph.joins",
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
    "cascade",
    "each_photo",
    "gather",
    "in_turn",
    "merge",
    "serve",
    "vote",
]


async def _open_run(fleet: str) -> Any:
    return await import_module("orchestra.fleet.opened").open_run(fleet)


open_runs_with(_open_run)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestra' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
