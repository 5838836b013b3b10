"""A graph as the console draws it: its nodes in layers, and lines between them; no HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from langgraph.graph import END, START

from orchestra.fleet.opened import Build
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import GraphView, last_asks, view

Kind = Literal["ask", "join", "own"]
MOST_LAYERS_ACROSS = 5  # a longer graph is drawn downwards
STEP = 100  # units of a drawing from one node to the next


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node: an ask, what joins answers at no cost, or code of the graph's own.

    `before` are the nodes that lead to it. What an ask `is_answer` of says is the graph's answer.
    """

    name: str
    kind: Kind
    before: tuple[str, ...]
    is_answer: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """The nodes in layers, each after those that lead to it.

    `across` and `down` are the lines as paths of SVG, for layers from left to right and from above
    to below, in a picture of `size`: layers and nodes of the fullest one, in units of `STEP`.
    """

    layers: tuple[tuple[DrawnNode, ...], ...]
    across: str
    down: str
    size: tuple[int, int]

    @property
    def is_long(self) -> bool:
        """Whether it has more layers than stand side by side."""
        return len(self.layers) > MOST_LAYERS_ACROSS


def drawing_of(build: Build) -> Drawing:
    """The drawing of a graph. Raises what compiling and reading it raise."""
    compiled = compile_graph(build)
    seen = view(compiled)
    return drawn(seen, last_asks(compiled))


def drawn(seen: GraphView, answers: frozenset[str]) -> Drawing:
    """The drawing of `seen`, in which what `answers` say is the graph's answer."""
    depth: dict[str, int] = {}
    for name in seen.nodes:  # a loop's way back leads to a node that has its place already
        known = [depth[other] for other in seen.predecessors(name) if other in depth]
        depth[name] = 1 + max(known, default=-1)
    layers: list[list[DrawnNode]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for name in seen.nodes:
        before = tuple(other for other in seen.predecessors(name) if depth[other] < depth[name])
        node = DrawnNode(name, _kind(seen, name), before, name in answers)
        layers[depth[name]].append(node)
    width = max(map(len, layers), default=0)
    places = {
        node.name: (at, STEP * width * (row + 0.5) / len(layer))
        for at, layer in enumerate(layers)
        for row, node in enumerate(layer)
    }
    return Drawing(
        tuple(map(tuple, layers)),
        _lines(seen, places, is_across=True),
        _lines(seen, places, is_across=False),
        (STEP * len(layers), STEP * width),
    )


def _kind(seen: GraphView, name: str) -> Kind:
    if name in seen.asks:
        return "ask"
    return "own" if name in seen.unpriced else "join"


def _lines(seen: GraphView, places: Mapping[str, tuple[int, float]], *, is_across: bool) -> str:
    """Curves from the middle of a node to the middle of the next, drawn beneath both."""
    found: list[str] = []
    for source, end in sorted(seen.edges):
        if source == START or end == END or places[source][0] >= places[end][0]:
            continue
        (layer, near), (later, far) = places[source], places[end]
        begin, stop = STEP * (layer + 0.5), STEP * (later + 0.5)
        middle = (begin + stop) / 2
        points = [(begin, near), (middle, near), (middle, far), (stop, far)]
        told = [f"{x:g} {y:g}" if is_across else f"{y:g} {x:g}" for x, y in points]
        found.append(f"M{told[0]}C{told[1]} {told[2]} {told[3]}")
    return "".join(found)
