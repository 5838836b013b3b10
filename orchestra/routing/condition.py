"""A node that is asked only where others left something open: which nodes may wait, and for what.

Pure. It knows no model and no answer: whether something is open shows as the job runs
(`graph/waiting.py`).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from orchestra.core.errors import InvalidPlan

if TYPE_CHECKING:
    from orchestra.core.ask import Ask
    from orchestra.routing.introspect import GraphView

MARK, BOUND = "?", "@"
READ_OFF = ("text", "image")


@dataclass(frozen=True, slots=True)
class Unless:
    """Do not ask where `fields` (none: all that both sides answer) are answered as sure as `least`.

    With 0 any answer does, also one whose confidence is unknown.
    """

    least: float
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = ",".join(quote(name, safe="") for name in self.fields)
        return f"{names}{BOUND if names else ''}{self.least:g}"

    @classmethod
    def named(cls, text: str) -> Unless:
        """What `str` made. Raises `InvalidPlan`."""
        names, _, least = text.rpartition(BOUND)
        try:
            bound = float(least)
        except ValueError:
            bound = -1.0
        if not 0 <= bound <= 1:
            raise InvalidPlan(
                f"The route's condition {text!r} names no confidence from 0 to 1. Write it as in "
                "'look=MODEL?0.5' or 'look=MODEL?category@0.5', or plan the batch again."
            )
        return cls(bound, tuple(unquote(name) for name in names.split(",") if name))


@dataclass(frozen=True, slots=True)
class Condition:
    """`fields` that the nodes `on` leave open, or are less sure of than `least`, have it asked.

    `beside` are those of `on` that begin together with the node; the others ended before it.
    """

    on: tuple[str, ...]
    fields: tuple[str, ...]
    least: float
    beside: tuple[str, ...]
    unless: Unless

    def __str__(self) -> str:
        who, what = " or ".join(self.on), " or ".join(self.fields)
        unsure = f", or is less than {self.least:g} sure of it" if self.least else ""
        return f"if {who} leaves {what} open{unsure}"

    def public(self) -> dict[str, Any]:
        """As it stands in `plan --json`."""
        return {"after": list(self.on), "fields": list(self.fields), "least": self.least}


def split(models: str) -> tuple[str, Unless | None]:
    """The models of a route's part, and its condition: `vl?0.5` is `vl` unless 0.5."""
    plain, mark, rest = models.rpartition(MARK)
    return (plain, Unless.named(rest)) if mark else (models, None)


def condition_of(
    view: GraphView, node: str, among: Collection[str], unless: Unless
) -> Condition | None:
    """What `node` waits for among the nodes of a plan; None where nothing can spare its call.

    It waits for nodes that read the other input and answer the same fields, if they are sure to
    be reached no later than it.
    """
    if not _may_wait(view, node):
        return None
    own, ask = _fields(view.asks[node].schema_json), view.asks[node]
    before = _before(view, node)
    on: list[str] = []
    common: set[str] = set()
    for other in among:
        if other == node or not _may_wait(view, other) or view.asks[other].reads == ask.reads:
            continue
        shared = own & _fields(view.asks[other].schema_json)
        wanted = shared & set(unless.fields) if unless.fields else shared
        if wanted and (other in before or frozenset((node, other)) in view.together):
            on.append(other)
            common |= wanted
    if not on or (unless.fields and common != set(unless.fields)):
        return None  # a field that counts is answered by this node alone
    beside = tuple(other for other in on if other not in before)
    return Condition(tuple(on), tuple(sorted(common)), unless.least, beside, unless)


def _may_wait(view: GraphView, node: str) -> bool:
    """Whether a node reads something off its input, once a job; a question is the whole job's."""
    ask: Ask = view.asks[node]
    once = view.visits.get(node, 1) == 1 and node not in view.loops
    return once and ask.reads in READ_OFF and not ask.question and ask.schema_json is not None


@lru_cache(maxsize=256)
def _fields(schema_json: str | None) -> frozenset[str]:
    return frozenset(json.loads(schema_json or "{}").get("properties", ()))


def _before(view: GraphView, node: str) -> set[str]:
    """Nodes that stand before `node` on some way to it."""
    found: set[str] = set()
    waiting = list(view.predecessors(node))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += view.predecessors(name)
    return found
