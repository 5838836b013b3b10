"""Where in a graph's run a node stands: which branch of a fan-out, and in which subgraph; pure.

LangGraph says so in a task's config. tests/contract/test_langgraph_inside.py fails when a new
LangGraph says it otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
_NUMBERS = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Place:
    """A node under way.

    `branch` is its number among the `Send`s of its step, None for a plain edge. `around` names the
    run of the subgraph that it stands in, "" at the top, and `step` the step which began that.
    """

    node: str
    branch: int | None = None
    around: str = ""
    step: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Place:
        """The place of the task whose config this is."""
        told = config["metadata"]
        path = told.get("langgraph_path", ())
        around = str(told.get("langgraph_checkpoint_ns", "")).rpartition("|")[0]
        steps = config["configurable"].get("checkpoint_map") or {}
        return cls(
            told["langgraph_node"],
            path[1] if len(path) == 3 and isinstance(path[1], int) else None,
            around,
            str(steps.get(around.rpartition("|")[0], "")) if around else "",
        )


@dataclass(eq=False, slots=True)
class Branches:
    """Names the outcomes of a run, so that branches side by side keep one each.

    A node that is visited again, as in a loop, has the same name; so has one of a subgraph that is.
    """

    _seen: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def name(self, place: Place) -> str:
        """As in `look`; `look[2]` for the third `Send`, or in the third run of its subgraph."""
        numbers: list[int] = []
        if place.around:
            step, seen = self._seen.setdefault(place.node, (place.step, []))
            if step != place.step:
                _, seen = self._seen[place.node] = (place.step, [])
            if place.around not in seen:
                seen.append(place.around)
            numbers += [number] if (number := seen.index(place.around)) else []
        if place.branch is not None:
            numbers.append(place.branch)
        return place.node + "".join(f"[{number}]" for number in numbers)

    def as_json(self) -> dict[str, Any]:
        """What a run in another process needs to go on with the same names."""
        return {node: [step, list(seen)] for node, (step, seen) in self._seen.items()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Branches:
        """What `as_json` made."""
        return cls({node: (step, list(seen)) for node, (step, seen) in raw.items()})


def branches_of(found: Mapping[str, T], node: str) -> dict[str, T]:
    """Of values by outcome name, those of `node`: its own, then those of its branches in order."""
    names = [name for name in found if name.partition("[")[0] == node]
    names.sort(key=lambda name: [int(number) for number in _NUMBERS.findall(name)])
    return {name: found[name] for name in names}
