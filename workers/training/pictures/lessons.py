"""What `vl` is taught to say about a picture: instructions and answers; knows no pixels.

An answer is compact JSON. A key whose value nobody knows is left out, so that the model
never learns to call a known thing unknown; a picture of nothing has `null` for every key.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

from workers.synthetic.lexicon import choices
from workers.synthetic.scenes import FIGURES, can_vary
from workers.training.pictures.photos import NOTHING, Shot
from workers.training.pictures.scene_lessons import scene_lesson

FIELDS = ("category", "colour", "product", "department")
Value = str | int | None
DESCRIBE = (
    "Describe the product shown.",
    "Describe the product shown.",
    "Describe the product shown.",
    "Describe the product in the photo.",
    "Describe the photo.",
    "What is in the photo?",
    "What does the photo show?",
    "Look at the photo and fill in the fields.",
    "Fill in what the image shows.",
    "Identify the product.",
    "Say what the picture shows.",
    "Extract the attributes of the product in the image.",
    "描述图片中的商品。",
    "图片里有什么？",
)
QUESTIONS: dict[str, tuple[str, ...]] = {
    "category": (
        "What is this?",
        "What is it?",
        "What product is this?",
        "What is in the photo?",
        "What is shown in the picture?",
        "What kind of product is shown?",
        "What do you see?",
        "Which category is it?",
    ),
    "colour": (
        "What colour is it?",
        "What color is it?",
        "What colour is this?",
        "Which colour is the product?",
        "What is its colour?",
    ),
    "product": ("Which variety is it?", "Which product is it exactly?"),
    "department": ("Which department is it in?", "Where in the shop is it?"),
    "kind": ("Is it food or clothing?", "Is this food or clothing?", "Food or clothing?"),
    "edible": ("Can I eat it?", "Is it food?", "Is this something to eat?"),
    "worn": ("Can I wear it?", "Is it clothing?", "Is this a garment?"),
    "fruit": ("Is it a fruit?", "Is this fruit?"),
    "present": ("Is there a product in the photo?", "Does the photo show a product?"),
}
QUESTIONS_ZH: dict[str, tuple[str, ...]] = {
    "category": ("这是什么？", "图片里是什么？", "这是什么商品？"),
    "colour": ("它是什么颜色？", "这是什么颜色？", "什么颜色？"),
    "kind": ("这是食物还是衣服？",),
    "edible": ("可以吃吗？", "这是食物吗？"),
}


def lesson(shot: Shot, rng: random.Random) -> tuple[str, str]:
    """One instruction and its answer about `shot`: fields for a photo, mostly; else a question."""
    if rng.random() < (0.35 if shot.things else 0.75):
        return rng.choice(DESCRIBE), fields_answer(shot, rng)
    if shot.things:
        asked, answer = scene_lesson(shot.things, rng)
        return asked, compact({"answer": answer})
    chinese = rng.random() < 0.25
    asked = _answers_zh(shot) if chinese else _answers(shot)
    key = rng.choice(sorted(asked))
    questions = (QUESTIONS_ZH if chinese else QUESTIONS)[key]
    return rng.choice(questions), compact({"answer": asked[key]})


def fields_answer(shot: Shot, rng: random.Random) -> str:
    """Some of the known fields, in any order; the listing's two more often than others."""
    values = known(shot)
    wanted = [name for name in ("category", "colour") if name in values]
    if rng.random() < 0.6 or not wanted:
        wanted = rng.sample(sorted(values), rng.randint(1, len(values)))
    return compact({name: values[name] for name in wanted})


def known(shot: Shot) -> dict[str, Value]:
    """The values of the fields that somebody knows; all null for a picture of nothing."""
    if shot.things:
        return _known_of(shot)
    if shot.category == NOTHING:
        return dict.fromkeys(FIELDS)
    values = {name: getattr(shot, name) for name in FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def _known_of(shot: Shot) -> dict[str, Value]:
    """What is known of a scene: its count, and what all its things share."""
    things = shot.things
    values: dict[str, Value] = {"count": len(things)}
    kinds, patterns = ({getattr(thing, name) for thing in things} for name in ("kind", "pattern"))
    if len(kinds) == 1:
        is_figure = things[0].kind in FIGURES
        values["category"] = None if is_figure else shot.category
        values["department"] = None if is_figure else shot.department
        if len(patterns) == 1 and can_vary(things[0].kind):
            values["pattern"] = things[0].pattern
    if shot.colour is not None:
        values["colour"] = shot.colour
    if len(things) == 1:
        values["position"] = things[0].place
    return values


def _answers(shot: Shot) -> dict[str, Value]:
    values = known(shot)
    if shot.category == NOTHING:
        return {**values, "kind": None, "edible": "no", "worn": "no", "present": "no"}
    worn = shot.department == "Clothing"
    return {
        **values,
        "kind": "clothing" if worn else "food",
        "edible": "no" if worn else "yes",
        "worn": "yes" if worn else "no",
        "fruit": "yes" if shot.department == "Fruit" else "no",
        "present": "yes",
    }


def _answers_zh(shot: Shot) -> dict[str, str | None]:
    if shot.category == NOTHING:
        return {"category": None, "colour": None, "kind": None, "edible": "不可以"}
    worn = shot.department == "Clothing"
    answers: dict[str, str | None] = {
        "category": choices("category")[shot.category].zh,
        "kind": "衣服" if worn else "食物",
        "edible": "不可以" if worn else "可以",
    }
    if shot.colour is not None:
        answers["colour"] = choices("colour")[shot.colour].zh
    return answers


def compact(answer: Mapping[str, Value]) -> str:
    """The JSON that the engine's constraint writes: no spaces, no escapes."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def corpus(shots: list[Shot], seed: int) -> list[str]:
    """Texts to learn a tokenizer from: every question, and answers about every shot."""
    rng = random.Random(seed)
    texts = [*DESCRIBE, *(q for group in QUESTIONS.values() for q in group)]
    texts += [q for group in QUESTIONS_ZH.values() for q in group]
    for shot in shots:
        texts += lesson(shot, rng)
        texts.append(compact(known(shot)))
    for field in ("category", "colour"):
        for choice in choices(field).values():
            texts += [choice.zh, choice.value, *choice.latin, *choice.han] * 3
    return texts
