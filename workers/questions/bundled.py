"""The bench's bundled set: texts, drawn scenes and sums, and real photos where a user has them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from orchestra.bench.questions import Question
from orchestra.core.call import Call
from workers.questions.photos import photo_questions
from workers.questions.scenes import scene_questions
from workers.questions.texts import text_questions
from workers.zero.sums import MODULUS, NUMBERS, split_problems

SUMS, SEED = 120, 1_000_000


def questions(data: Path | None = None) -> Iterator[Question]:
    """All questions, the same each time; those about photos only with their folder `data`."""
    yield from text_questions()
    yield from scene_questions()
    yield from sum_questions()
    if data is not None:
        yield from photo_questions(data)


def sum_questions() -> Iterator[Question]:
    """Sums that the bundled maths model never met in training."""
    kept_out = split_problems()["kept out"]
    schema = {
        "type": "object",
        "properties": {"answer": {"enum": [str(number) for number in range(MODULUS)]}},
        "required": ["answer"],
    }
    for first, second in random.Random(SEED).sample(kept_out, SUMS):
        call = Call(f"What is {first} + {second} modulo {MODULUS}?", None, (), schema, 16)
        truth = str((first + second) % MODULUS)
        kind = f"sums modulo {MODULUS}, up to {NUMBERS}"
        yield Question("maths", call, "answer", truth, kind, "maths")
