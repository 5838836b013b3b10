"""Runs an order: card, rows, trainer, and the files that make the result a model of a fleet."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import InvalidFleet
from orchestra.core.files.atomic import write_text
from orchestra.core.identity import checkpoint_place
from orchestra.finetune.folder import REPORT, finished, prepare
from orchestra.finetune.order import Order, Say, Trained, Trainer, TrainingTask
from orchestra.finetune.publish import FLEET, GRAPH, tuned_name, write_fleet, write_graph
from orchestra.finetune.rows import part, read_rows, schemas
from orchestra.fleet.source import load_fleet, load_worker


def finetune(order: Order, say: Say) -> dict[str, Any]:
    """Fine-tune and publish; the report, as it stands in `finetune.json` in the folder.

    The same order again goes on where a killed run stopped, and does nothing when it is finished.
    Raises `InvalidTable`, `InvalidFleet`, `UsageError`, `OutputMismatch`, and the trainer's own.
    """
    file, folder = load_fleet(order.base.rpartition("/")[0] or "mini")
    card = file.card(order.base.rpartition("/")[2])
    trainer = _trainer(card)
    rows = read_rows(order.data)
    name = _name(order)
    prepare(order.out)
    report = finished(order.out, name)
    if report is not None:
        say(f"{order.out} is finished already")
        return report
    train, held_out = part(rows, order.val, order.settings.seed)
    say(f"{len(train)} rows to learn from, {len(held_out)} held out")
    place = checkpoint_place(card.hosting.checkpoint or "", folder)
    work = TrainingTask(name, place, card.hosting.device, order.out, train, held_out,
                schemas(rows), order.settings)  # fmt: skip
    trained = trainer(work, say)
    return _publish(order, file, folder, card, work, trained)


def _trainer(card: Card) -> Trainer:
    if card.hosting.worker is None:
        raise InvalidFleet(
            f"The model {card.name!r} runs behind an endpoint or is for planning only, so its "
            "weights are not here. Name a model with hosting.worker, as mini/r1."
        )
    place = getattr(load_worker(card.hosting.worker), "trainer", None)
    if place is None:
        raise InvalidFleet(
            f"The worker {card.hosting.worker!r} of {card.name!r} names no trainer, so it cannot "
            "be fine-tuned. Take another model, or give the class an attribute 'trainer' "
            "('module:function', see orchestra/finetune/order.py)."
        )
    return load_worker(place)


def _name(order: Order) -> str:
    """A hash of all that decides what the run learns."""
    settings = {k: v for k, v in asdict(order.settings).items() if k != "snapshot_s"}
    data = hashlib.sha256(order.data.read_bytes()).hexdigest()
    parts = json.dumps([order.base, data, order.val, settings], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _publish(
    order: Order, file: FleetFile, folder: Path, card: Card, work: TrainingTask, trained: Trained
) -> dict[str, Any]:
    takes = write_graph(order.out, card, work.schemas, [*work.train, *work.held_out])
    write_fleet(order, file, folder, card, len(work.train), trained)
    report = {
        "name": work.name,
        "base": order.base,
        "data": order.data.name,
        "model": tuned_name(card),
        "method": order.settings.method,
        "settings": {k: v for k, v in asdict(order.settings).items() if v is not None},
        "rows": {"train": len(work.train), "held_out": len(work.held_out)},
        "before": {score.field: score.as_json() for score in trained.before},
        "after": {score.field: score.as_json() for score in trained.after},
        "steps": trained.steps,
        "tokens": trained.tokens,
        "seconds": round(trained.seconds, 1),
        "parameters": trained.parameters,
        "trained_parameters": trained.trained_parameters,
        "takes": takes or "text",
        "fleet": str(order.out / FLEET),
        "graph": None if takes is None else f"{order.out / GRAPH}:build",
    }
    write_text(order.out / REPORT, json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    shutil.rmtree(work.state, ignore_errors=True)
    return report
