"""Hears the answer of a graph as it is decoded, where one ask's free text is sure to be it.

That is known when the ask begins: it is all that the graph does, nothing follows it, and no field
`answer` stands in its way. An answer that is composed of others exists at its end only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from orchestra.core.call import OnPiece
from orchestra.core.place import Place
from orchestra.core.state import Outcome
from orchestra.routing.introspect import last_asks


@dataclass(eq=False, slots=True)
class Voice:
    """Tells `on_piece` what the last ask of a run says; `under_way` are the nodes at work."""

    on_piece: OnPiece
    last: frozenset[str]
    under_way: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: CompiledStateGraph[Any, Any, Any, Any], on_piece: OnPiece) -> Voice:
        """The voice of a run of `graph`."""
        return cls(on_piece, last_asks(graph))

    def note(self, told: Mapping[str, Any]) -> None:
        """Note a chunk of LangGraph's mode `tasks`: a node that begins, or one that has ended."""
        if "result" in told:
            self.under_way.pop(told["id"], None)
        else:
            self.under_way[told["id"]] = told["name"]

    def hearer(
        self, place: Place, state: Mapping[str, Any], outcomes: Mapping[str, Outcome]
    ) -> OnPiece | None:
        """Who hears the ask at this place; None unless its text is sure to be the answer."""
        is_alone = list(self.under_way.values()) == [place.node] and not place.around
        if not is_alone or place.node not in self.last:
            return None
        has_answer = "answer" in (state.get("fields") or ()) or any(
            "answer" in outcome.fields for outcome in outcomes.values()
        )
        return None if has_answer else self.on_piece
