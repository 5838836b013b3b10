"""Questions about drawn scenes with known answers; knows no model.

Scenes come from seeds that training never draws (`RESERVED_SEED` and more), so they are new, but of
the drawings that the bundled vision models practise on: other models may find them odd.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from PIL import Image

from orchestra.bench.questions import Question, choice_schema
from orchestra.core.call import Call
from workers.synthetic.drawn import KINDS, PALETTE, RESERVED_SEED, draw_nothing
from workers.synthetic.scene_words import colour_zh, kind_zh, plural
from workers.synthetic.scenes import (
    FIGURES,
    MOST,
    PATTERNS,
    PLACES,
    Thing,
    can_vary,
    compose,
    draw_scene,
)

FIRST_SEED = RESERVED_SEED + 100_000
EACH, EMPTY = 60, 40
SCENE_PX = 256
ANSWER_TOKENS = 40
NUMBERS = tuple(str(number) for number in range(MOST + 1))
Asked = tuple[str, Sequence[str], str]  # question, choices, truth
Maker = Callable[[tuple[Thing, ...], int], Asked | None]


def scene_questions() -> Iterator[Question]:
    """`EACH` questions of every kind, then empty scenes, which show no product."""
    for kind, maker in MAKERS.items():
        found, seed = 0, FIRST_SEED
        while found < EACH:
            things = compose(seed)
            asked = maker(things, seed)
            if asked is not None:
                image = draw_scene(things, seed=seed, size=SCENE_PX)
                yield _question("vqa", kind, asked[0], image, asked[1], asked[2])
                found += 1
            seed += 1
    for number in range(EMPTY):
        image = draw_nothing(seed=FIRST_SEED + number)
        choices = tuple(KINDS)
        yield _question("abstention", "empty scene", "What product is this?", image, choices, None)


def _question(
    task: str,
    kind: str,
    asked: str,
    image: Image.Image,
    choices: Sequence[str],
    truth: str | None,
) -> Question:
    call = Call(asked, None, (image,), choice_schema(choices), ANSWER_TOKENS)
    return Question(task, call, "answer", truth, kind)


def _count(things: tuple[Thing, ...], seed: int) -> Asked:
    if seed % 2 or len(things) == 1:
        return "How many things are there?", NUMBERS, str(len(things))
    kind = things[seed % len(things)].kind
    number = sum(thing.kind == kind for thing in things)
    return f"How many {plural(kind)} are there?", NUMBERS, str(number)


def _colour(things: tuple[Thing, ...], seed: int) -> Asked | None:
    kind = things[seed % len(things)].kind
    colours = {thing.colour for thing in things if thing.kind == kind}
    if len(colours) > 1:
        return None
    return f"What colour is the {kind.lower()}?", tuple(PALETTE), colours.pop()


def _colour_zh(things: tuple[Thing, ...], seed: int) -> Asked | None:
    found = _colour(things, seed)
    if found is None:
        return None
    kind = things[seed % len(things)].kind
    choices = tuple(map(colour_zh, PALETTE))
    return f"{kind_zh(kind)}是什么颜色？", choices, colour_zh(found[2])


def _position(things: tuple[Thing, ...], seed: int) -> Asked | None:
    kinds = Counter(thing.kind for thing in things)
    alone = [thing for thing in things if kinds[thing.kind] == 1]
    if not alone:
        return None
    thing = alone[seed % len(alone)]
    return f"Where is the {thing.kind.lower()}?", PLACES, thing.place


def _presence(things: tuple[Thing, ...], seed: int) -> Asked:
    there = sorted({thing.kind for thing in things})
    absent = [kind for kind in (*KINDS, *FIGURES) if kind not in there]
    kind = there[seed % len(there)] if seed % 2 else absent[seed % len(absent)]
    return f"Are there any {plural(kind)}?", ("yes", "no"), "yes" if seed % 2 else "no"


def _pattern(things: tuple[Thing, ...], seed: int) -> Asked | None:
    varied = [thing for thing in things if can_vary(thing.kind)]
    if not varied:
        return None
    kind = varied[seed % len(varied)].kind
    patterns = {thing.pattern for thing in things if thing.kind == kind}
    if len(patterns) > 1:
        return None
    return f"What pattern does the {kind.lower()} have?", PATTERNS, patterns.pop()


def _kind(things: tuple[Thing, ...], seed: int) -> Asked | None:
    if len({thing.kind for thing in things}) > 1:
        return None
    return "What is this?", (*KINDS, *FIGURES), things[0].kind


MAKERS: dict[str, Maker] = {
    "count": _count,
    "colour": _colour,
    "colour, zh": _colour_zh,
    "position": _position,
    "presence": _presence,
    "pattern": _pattern,
    "kind": _kind,
}
