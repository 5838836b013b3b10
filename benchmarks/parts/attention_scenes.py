"""Planted scenes for attention maps: things whose place is known, and questions about them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from orchestra.core.call import Call
from orchestra.images.attention import AttentionMap
from workers.synthetic.drawn import KINDS, RESERVED_SEED
from workers.synthetic.scenes import FIGURES, Thing, compose, draw_scene

SIDE_PX = 256
ANSWER = {
    "type": "object",
    "properties": {"answer": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
}
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Planted:
    """A picture, a question about one thing in it, the true answer, and the thing's box in px."""

    photo: Image.Image
    question: str
    truth: str
    box: Box
    is_alone: bool

    @property
    def call(self) -> Call:
        """The question as graph `answer` asks it."""
        return Call(self.question, images=(self.photo,), schema=ANSWER, max_tokens=48)

    @property
    def share(self) -> float:
        """The part of the picture that the thing takes: what a random point hits."""
        return _area(self.box) / SIDE_PX**2

    def holds(self, point: tuple[float, float]) -> bool:
        """Whether a point lies on the thing."""
        left, top, right, bottom = self.box
        return left <= point[0] < right and top <= point[1] < bottom

    def overlap(self, box: Sequence[float]) -> float:
        """Intersection over union of the thing's box and another."""
        left, top = max(self.box[0], box[0]), max(self.box[1], box[1])
        right, bottom = min(self.box[2], box[2]), min(self.box[3], box[3])
        both = max(0.0, right - left) * max(0.0, bottom - top)
        return both / (_area(self.box) + _area(box) - both)

    def weight(self, found: AttentionMap) -> float:
        """The part of the map's weight that lies on the thing."""
        left, top, right, bottom = (edge / SIDE_PX for edge in self.box)
        total = 0.0
        for row, weights in enumerate(found.weights):
            high = _inside(top, bottom, row / found.rows, (row + 1) / found.rows)
            for column, weight in enumerate(weights):
                start, end = column / found.columns, (column + 1) / found.columns
                total += weight * high * _inside(left, right, start, end)
        return total


def planted(count: int, *, first: int = 0, drawn_only: bool = False) -> list[Planted]:
    """`count` scenes of the reserved seeds, about half with one thing and half with several.

    `drawn_only` leaves plain shapes out, for a checkpoint that was not taught them.
    """
    found: list[Planted] = []
    wanted = {True: count - count // 2, False: count // 2}
    seed = RESERVED_SEED + first
    while sum(wanted.values()):
        case = _case(seed, drawn_only)
        seed += 1
        if case is not None and wanted[case.is_alone]:
            wanted[case.is_alone] -= 1
            found.append(case)
    return found


def _case(seed: int, drawn_only: bool) -> Planted | None:
    things = compose(seed)
    rng = random.Random(f"planted/{seed}")
    if drawn_only and any(thing.kind in FIGURES for thing in things):
        return None
    asked = list(_questions(things))
    if not asked:
        return None
    thing, question, truth = rng.choice(asked)
    photo = draw_scene(things, seed=seed, size=SIDE_PX)
    return Planted(photo, question, truth, _box(thing), len(things) == 1)


def _questions(things: Sequence[Thing]) -> Iterator[tuple[Thing, str, str]]:
    """Questions that rest on one thing of the scene, and on no other."""
    if len(things) == 1:
        thing = things[0]
        yield thing, "What colour is it?", thing.colour
        if thing.kind in KINDS:
            yield thing, "What is this?", thing.kind
        return
    kinds = Counter(thing.kind for thing in things)
    colours = {thing.colour for thing in things}
    for thing in things:
        if kinds[thing.kind] == 1 and len(colours) > 1:
            yield thing, f"What colour is the {thing.kind.lower()}?", thing.colour


def _box(thing: Thing) -> Box:
    half = thing.size / 2
    edges = (thing.x - half, thing.y - half, thing.x + half, thing.y + half)
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) * SIDE_PX for edge in edges)
    return left, top, right, bottom


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _inside(low: float, high: float, start: float, end: float) -> float:
    return max(0.0, min(high, end) - max(low, start)) / (end - start)
