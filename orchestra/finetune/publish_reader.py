"""Makes a reader of a user's fields usable at once: a fleet with its card, a graph that asks it."""

from __future__ import annotations

from pprint import pformat
from typing import Any

from orchestra.core.card import FleetFile
from orchestra.core.files.atomic import write_text
from orchestra.core.files.yaml_file import yaml_text
from orchestra.finetune.publish import FLEET, GRAPH, GRAPH_TEXT
from orchestra.finetune.reading import (
    INSTRUCTION,
    LearntFields,
    Measured,
    ReadingOrder,
    schema_of,
)

NAME = "reader-tuned"
HEADER = "# Written by `orchestra finetune`: one model, which reads the fields of its rows.\n"
CONTEXT_TOKENS = 4096
SHOWN = 12  # fields that a card scores one by one


def publish(
    order: ReadingOrder,
    learnt: LearntFields,
    measured: Measured,
    rows: int,
    held_out: int,
    seconds: float,
) -> dict[str, Any]:
    """Write fleet and graph beside the model; the report."""
    data = order.labels.data.name
    _write_fleet(order, learnt, measured, rows, held_out)
    text = GRAPH_TEXT.format(
        instruction=repr(INSTRUCTION),
        reads="",
        derived="",
        schema=pformat(schema_of(learnt), sort_dicts=False, width=96),
        capability="text",
    )
    write_text(order.out / GRAPH, text)
    better = measured.gain is not None and measured.gain[0] > 0
    return {
        "name": order.name,
        "base": order.base,
        "data": data,
        "model": NAME,
        "method": "reader",
        "rows": {"train": rows, "held_out": held_out},
        "spans": list(learnt.spans),
        "choices": {name: list(labels) for name, labels in learnt.choices.items()},
        "score": measured.score.as_json(),
        "fields": {name: score.as_json() for name, score in measured.fields.items()},
        "compared": None if measured.base is None or measured.beside is None else {
            "rows": measured.compared_rows,
            "before": measured.base.as_json(),
            "after": measured.beside.as_json(),
            "gain": [round(bound, 4) for bound in measured.gain or ()],
            "better": better,
        },
        "not_compared": measured.why_not,
        "seconds": round(seconds, 1),
        "takes": "text",
        "fleet": str(order.out / FLEET),
        "graph": f"{order.out / GRAPH}:build",
    }  # fmt: skip


def _write_fleet(
    order: ReadingOrder, learnt: LearntFields, measured: Measured, rows: int, held_out: int
) -> None:
    data, score = order.labels.data.name, measured.score
    names = [*learnt.spans, *learnt.choices]
    ms = 1000 * measured.seconds / max(1, held_out)
    often = sorted(measured.fields.items(), key=lambda pair: -pair[1].counts.true)[:SHOWN]
    more = " and others" if len(names) > SHOWN else ""
    measure = f"micro F1 of values, equal to the letter, {held_out} held-out rows of {data}"
    card = {
        "name": NAME,
        "role": "Reader",
        "about": f"Reads the fields of {data}, learnt from {rows} of its rows.",
        "capabilities": ["text"],
        "classifies": bool(learnt.choices),
        "profile": {"origin": "measured", "fixed_ms": round(ms, 2)},
        "quality": {"text": {"score": round(100 * score.f1, 1), "origin": "measured",
                             "measure": measure}},
        "scores": [
            f"all fields: F1 {score.f1:.1%}, precision {score.precision:.1%}, recall "
            f"{score.recall:.1%}, {held_out} held-out rows",
            *(f"{name}: F1 {one.f1:.0%} of {one.counts.true} values" for name, one in often),
        ],
        "hosting": {"memory_gib": 0.2, "worker": order.worker, "checkpoint": ".",
                    "schema_in_prompt": False, "max_batch": 16, "scaling": {"cpus": 0.25}},
        "limits": {"context_tokens": CONTEXT_TOKENS},
        "price": {"as_of": None},
        "can": f"Reads {', '.join(names[:SHOWN])}{more} off a text.",
        "cannot": "Read other fields, write, or hold a conversation.",
    }  # fmt: skip
    raw = {
        "name": f"{order.out.name}",
        "about": f"One model that learnt the fields of {data}.",
        "domain": f"Texts like those of {data}.",
        "models": [card],
    }
    FleetFile.model_validate(raw)
    write_text(order.out / FLEET, yaml_text(raw, HEADER))
