"""Makes a fine-tuned checkpoint usable at once: a fleet with its card, and a graph that asks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from orchestra.core.card import Card, FleetFile
from orchestra.core.files.atomic import write_text
from orchestra.core.files.yaml_file import yaml_text
from orchestra.core.placeholders import escaped
from orchestra.finetune.order import Order, Trained
from orchestra.finetune.rows import TrainingRow
from orchestra.finetune.score import FieldScore
from orchestra.fleet.fitted import moved

FLEET, GRAPH = "fleet.yaml", "graph.py"
HEADER = (
    "# Written by `orchestra finetune`. The model of this folder takes the place of its base.\n"
)
GRAPH_TEXT = '''"""Asks the fine-tuned model what its rows ask. Written by orchestra finetune."""

from langgraph.graph import END, START, StateGraph

from orchestra import Context, JobState, ask, serve

INSTRUCTION = {instruction}
SCHEMA = {schema}


def build():
    graph = StateGraph(JobState, context_schema=Context)
    answer = ask({capability!r}, INSTRUCTION, schema=SCHEMA{derived}{reads})
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph


app = serve(build)
'''


def tuned_name(card: Card) -> str:
    """What the fine-tuned model is called."""
    return f"{card.name}-tuned"


def write_fleet(
    order: Order, file: FleetFile, folder: Path, card: Card, rows: int, trained: Trained
) -> None:
    """Write the base's fleet with the tuned model in its place; other checkpoints stay where they
    are.
    """
    cards = [
        _tuned(order, card, rows, trained) if other.name == card.name else moved(other, folder)
        for other in file.models
    ]
    renamed = {card.name: tuned_name(card)}
    for entry in cards:
        if entry.get("fallback") in renamed:
            entry["fallback"] = renamed[entry["fallback"]]
    raw = {
        "name": f"{file.name}-tuned",
        "about": f"{file.name}, with {card.name} fine-tuned on {order.data.name}.",
        "domain": f"{tuned_name(card)}: what {order.data.name} teaches. The others: {file.domain}",
        "models": cards,
    }
    FleetFile.model_validate(raw)
    write_text(order.out / FLEET, yaml_text(raw, HEADER))


def _tuned(order: Order, card: Card, rows: int, trained: Trained) -> dict[str, Any]:
    raw = card.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    for stale in ("scores", "can", "cannot", "estimated"):
        raw.pop(stale, None)
    last = trained.after[-1]
    measure = f"whole answers exactly right, {last.asked} held-out rows of {order.data.name}"
    quality = {"score": round(100 * last.share, 1), "origin": "measured", "measure": measure}
    raw |= {
        "name": tuned_name(card),
        "about": f"{order.base}, fine-tuned ({order.settings.method}) on {rows} rows of "
        f"{order.data.name}.",
        "quality": {name: quality for name in card.capabilities},
        "scores": [_line(*pair) for pair in zip(trained.before, trained.after, strict=True)],
        "can": f"Answer as the rows of {order.data.name} do.",
        "cannot": "Be relied on for what its base could do, which was not measured again.",
    }
    # The rows were learnt without a schema in the prompt, and the checkpoint lies beside the file.
    raw["hosting"] |= {"worker": trained.worker, "checkpoint": ".", "schema_in_prompt": False}
    return raw


def _line(before: FieldScore, after: FieldScore) -> str:
    low, high = after.interval
    return (
        f"{after.field}: {after.share:.1%} right [{low:.0%}, {high:.0%}] of {after.asked} held-out "
        f"rows; before {before.share:.1%}"
    )


def write_graph(
    out: Path,
    card: Card,
    schemas: Mapping[tuple[str, ...], dict[str, Any]],
    rows: Sequence[TrainingRow],
) -> str | None:
    """Write a graph that asks what most rows ask, and return the capability that it asks for.

    None when all rows are chats, for which there is none.
    """
    tasks = Counter((row.instruction, row.fields, row.image is not None)
                    for row in rows if row.fields)  # fmt: skip
    if not tasks:
        return None
    instruction, fields, has_image = tasks.most_common(1)[0][0]
    sees = has_image and card.sees
    takes = "vision" if sees and "vision" in card.capabilities else card.capabilities[0]
    text = GRAPH_TEXT.format(
        instruction=repr(escaped(instruction)),
        derived=", derived=True",
        reads=', reads="image"' if sees and takes != "vision" else "",
        schema=pformat(schemas[fields], sort_dicts=False, width=96),
        capability=takes,
    )
    write_text(out / GRAPH, text)
    return takes
