"""Small tasks that the bundled r1 was never trained on, drawn from seeds: three kinds of message.

Each has its own instruction and fields: some are words of the message, some a choice.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import torch

from orchestra.finetune.rows import TrainingRow
from workers.finetune.base import Base
from workers.finetune.lessons import IGNORED, Lesson, padded, passes

FIRST = ["Lena", "Omar", "Mia", "Paul", "Ana", "Jon", "Eva", "Raj", "Tove", "Ivo", "Noor", "Sam"]
LAST = ["Berg", "Diaz", "Chen", "Okoro", "Silva", "Roth", "Lund", "Patel", "Moreau", "Weiss"]
THINGS = ["cups", "chairs", "lamps", "socks", "plates", "towels", "pens", "bags", "hats", "pots"]
PROBLEMS = {
    "broken": "{n} {thing} arrived broken",
    "late": "the {thing} came {n} days late",
    "wrong": "I got {n} {thing} that I never ordered",
    "missing": "{n} {thing} are missing from the parcel",
}
COMPLAINTS = [
    "Order {order}: {problem}. Please help. {who}",
    "Hello, {who} here. With order {order}, {problem}.",
    "{problem}, order {order}. Regards, {who}",
]
PLACES = ["Oslo", "Lyon", "Porto", "Graz", "Turku", "Bergen", "Nantes", "Gdynia", "Split", "Leeds"]
TRADES = ["welder", "nurse", "baker", "driver", "plumber", "teacher", "gardener", "cook"]
HOURS = {"full": ["full time", "40 hours a week"], "part": ["part time", "20 hours a week"]}
ADVERTS = [
    "We look for a {trade} in {place}, {hours}, {pay} EUR an hour.",
    "{place}: {trade} wanted ({hours}). We pay {pay} EUR.",
    "Work as a {trade} for {pay} EUR an hour, {hours}, near {place}.",
]
DEVICES = ["boiler", "freezer", "printer", "fan", "pump", "heater", "router", "oven"]
STATES = {
    "urgent": ["smoke comes out of it", "it sparks", "water runs out of it"],
    "soon": ["it hums", "it stops now and then", "it got slow"],
}
REPORTS = [
    "Room {room}: the {device} needs a look, {state}. Call {phone}.",
    "The {device} in room {room}: {state}. My number is {phone}.",
    "{state}! It is the {device}, room {room}, phone {phone}.",
]


def complaint(rng: random.Random, line: int) -> TrainingRow:
    """Order, customer and kind of problem."""
    kind = rng.choice(list(PROBLEMS))
    problem = PROBLEMS[kind].format(n=rng.randint(2, 9), thing=rng.choice(THINGS))
    order = f"{rng.choice('ABCDEFGH')}{rng.randint(1000, 9999)}"
    who = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
    text = rng.choice(COMPLAINTS).format(order=order, who=who, problem=problem)
    answer = {"order": order, "customer": who, "problem": kind}
    return TrainingRow(line, "Read the complaint.", answer, text)


def advert(rng: random.Random, line: int) -> TrainingRow:
    """Trade, place, pay and hours."""
    kind = rng.choice(list(HOURS))
    pay, place, trade = str(rng.randint(11, 48)), rng.choice(PLACES), rng.choice(TRADES)
    text = rng.choice(ADVERTS).format(
        trade=trade, place=place, pay=pay, hours=rng.choice(HOURS[kind])
    )
    return TrainingRow(line, "Read the advert.", {"place": place, "trade": trade, "pay": pay,
                                          "hours": kind}, text)  # fmt: skip


def report(rng: random.Random, line: int) -> TrainingRow:
    """Room, device, phone and how soon."""
    kind = rng.choice(list(STATES))
    room, device = f"{rng.choice('ABC')}{rng.randint(10, 99)}", rng.choice(DEVICES)
    phone = str(rng.randint(2000, 9999))
    text = rng.choice(REPORTS).format(
        room=room, device=device, phone=phone, state=rng.choice(STATES[kind])
    )
    return TrainingRow(line, "Sort the report.", {"when": kind, "phone": phone, "device": device,
                                          "room": room}, text)  # fmt: skip


TASKS: dict[str, Callable[[random.Random, int], TrainingRow]] = {
    "complaints": complaint,
    "adverts": advert,
    "reports": report,
}


def draw(task: str, count: int, seed: int) -> list[TrainingRow]:
    """`count` rows of different texts; another seed gives other rows."""
    rng, rows = random.Random(f"{task}-{seed}"), dict[str | None, TrainingRow]()
    while len(rows) < count:
        row = TASKS[task](rng, len(rows) + 1)
        rows.setdefault(row.text, row)
    return list(rows.values())


@torch.no_grad()
def exact_share(base: Base, lessons: list[Lesson]) -> float:
    """Share of answers that free greedy decoding would write exactly: each token is the likeliest
    one after the true tokens before it.
    """
    right = 0
    for some in passes(lessons):
        given = padded(some, base.model.device, 0)
        best_BK = base.model(**given.inputs, use_cache=False).logits.argmax(-1)
        hits_BK = (best_BK == given.targets_BK) | (given.targets_BK == IGNORED)
        right += int(hits_BK.all(dim=1).sum())
    return right / len(lessons)
