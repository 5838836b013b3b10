"""Learns a user's fields from labelled rows: parts, trains, measures against a model, publishes.

What is trained is named by `READER`, a worker with an attribute `trainer` as other workers have;
this module knows no model library.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestra.core.call import Call, Engine, Reply
from orchestra.core.errors import InvalidTable, OrchestraError, UsageError
from orchestra.core.files.atomic import write_text
from orchestra.core.identity import checkpoint_place
from orchestra.core.schema import narrow
from orchestra.finetune.folder import REPORT, finished, prepare
from orchestra.finetune.labelled import LabelledRow, read_labelled
from orchestra.finetune.order import Say
from orchestra.finetune.publish_reader import publish
from orchestra.finetune.reading import (
    INSTRUCTION,
    READER,
    LearntFields,
    Measured,
    ReaderTrainer,
    ReadingOrder,
    schema_of,
)
from orchestra.finetune.values import Counts, counted, gain, texts_of, total
from orchestra.fleet.source import load_fleet, load_worker

BASE_ROWS = 60  # that the model of today is asked; it may be slow
TOKENS_A_FIELD = 24
AT_ONCE = 16


def learn(order: ReadingOrder, say: Say) -> dict[str, Any]:
    """Learn and publish; the report, as it stands in `finetune.json` in the folder.

    The same order again does nothing when it is finished. Raises `InvalidTable`, `UsageError`,
    `OutputMismatch`.
    """
    if not order.labels.data.exists():
        raise InvalidTable(f"Table {str(order.labels.data)!r} does not exist. Check the path.")
    rows = read_labelled(order.labels)
    prepare(order.out)
    report = finished(order.out, order.name)
    if report is not None:
        say(f"{order.out} is finished already")
        return report
    kept, held_out = part(rows, order.val, order.seed)
    say(f"{len(kept)} rows to learn from, {len(held_out)} held out")
    began = time.monotonic()
    learnt = train(kept, order.out, order.seed, say, order.worker)
    seconds = time.monotonic() - began
    measured = measure(order, learnt, kept, held_out, say)
    report = publish(order, learnt, measured, len(kept), len(held_out), seconds)
    write_text(order.out / REPORT, json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    return report


def train(
    rows: Sequence[LabelledRow], out: Path, seed: int, say: Say, worker: str = READER
) -> LearntFields:
    """Train the reader on `rows` into the folder `out`. Raises `InvalidTable`."""
    trainer: ReaderTrainer = load_worker(load_worker(worker).trainer)
    return trainer(rows, out, seed, say)


def part(
    rows: Sequence[LabelledRow], share: float, seed: int
) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Rows to learn from and rows held out; those of one text are on one side.

    Raises `InvalidTable` when a side would be empty.
    """
    alike: dict[str, list[LabelledRow]] = {}
    for row in rows:
        alike.setdefault(" ".join(row.text.casefold().split()), []).append(row)
    groups = list(alike.values())
    random.Random(seed).shuffle(groups)
    count = max(1, round(len(groups) * share))
    if count >= len(groups):
        raise InvalidTable(
            f"{len(rows)!r} labelled rows with {len(groups)!r} different texts leave nothing to "
            f"learn from when {share:g} of them are held out. Label more, or give a smaller --val."
        )
    held, kept = groups[:count], groups[count:]
    return [row for group in kept for row in group], [row for group in held for row in group]


def measure(order: ReadingOrder, learnt: LearntFields, kept: Sequence[LabelledRow],
            held_out: Sequence[LabelledRow], say: Say) -> Measured:  # fmt: skip
    """Ask the reader in the folder, and the base, what the rows held out hold."""
    groups: dict[str, dict[str, None]] = {}
    for row in kept:
        groups.setdefault(row.group, {}).update(dict.fromkeys(row.values))
    schemas = [schema_of(learnt, tuple(groups.get(row.group, ()))) for row in held_out]
    began = time.monotonic()
    answers = _asked(load_worker(order.worker).load(order.out), held_out, schemas)
    seconds = time.monotonic() - began
    after = _counts(held_out, answers)
    names = sorted({name for row in held_out for name in row.values})
    fields = {
        name: total(counted(a, row.values, [name])
                    for a, row in zip(answers, held_out, strict=True) if name in row.values)
        for name in names
    }  # fmt: skip
    found = Measured(total(after), seconds, fields)
    say(f"after: F1 {found.score.f1:.1%} of {len(held_out)} rows held out")
    try:
        engine = _base(order.base)
        some = held_out[:BASE_ROWS]
        before = _counts(some, _asked(engine, some, schemas[:BASE_ROWS], is_narrow=True))
    except (OrchestraError, ImportError) as error:
        say(f"{order.base} was not asked: {error}")
        return replace(found, why_not=str(error))
    beside = after[: len(before)]
    found = replace(found, base=total(before), beside=total(beside),
                    gain=gain(before, beside), compared_rows=len(before))  # fmt: skip
    say(f"{order.base}: F1 {total(before).f1:.1%}, and it {total(beside).f1:.1%}, of the same "
        f"{len(before)} rows")  # fmt: skip
    return found


def _base(name: str) -> Engine:
    file, folder = load_fleet(name.rpartition("/")[0] or "mini")
    card = file.card(name.rpartition("/")[2])
    if card.hosting.worker is None:
        raise UsageError(f"The model {card.name!r} runs elsewhere. Name one that runs here.")
    place = checkpoint_place(card.hosting.checkpoint or "", folder)
    return load_worker(card.hosting.worker).load(place, threads=1)


def _asked(
    engine: Engine, rows: Sequence[LabelledRow], schemas: Sequence[dict[str, Any]], *,
    is_narrow: bool = False,
) -> list[dict[str, list[str]]]:  # fmt: skip
    """What the engine reads of each row, by field; nothing where it fails."""
    calls = [
        Call(INSTRUCTION, row.text,
             schema=narrow(json.dumps(schema), row.text) if is_narrow else schema,
             max_tokens=TOKENS_A_FIELD * len(schema["properties"]))
        for row, schema in zip(rows, schemas, strict=True)
    ]  # fmt: skip
    found: list[dict[str, list[str]]] = []
    for begin in range(0, len(calls), AT_ONCE):
        for reply in engine.generate(calls[begin : begin + AT_ONCE]):
            value = reply.value if isinstance(reply, Reply) else {}
            found.append({name: texts_of(one) for name, one in value.items()})
    return found


def _counts(
    rows: Sequence[LabelledRow], answers: Sequence[Mapping[str, list[str]]]
) -> list[Counts]:
    return [counted(a, row.values, row.values) for row, a in zip(rows, answers, strict=True)]
