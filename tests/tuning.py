"""Small fleets and tables for tests of fine-tuning, and a trainer that trains nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from orchestra.finetune.order import Say, Trained, TrainingTask
from orchestra.finetune.score import score
from tests.tiny_models import CONTEXT_TOKENS

WORKER = "workers.engine:TransformersEngine"


class StubWorker:
    """A worker whose trainer answers each row rightly from the start."""

    trainer = "tests.tuning:stub_trainer"


class Untrainable:
    """A worker that names no trainer."""


def stub_trainer(work: TrainingTask, say: Say) -> Trained:
    """Counts its runs in a file of the output folder."""
    count = work.out / "runs.txt"
    count.write_text(count.read_text() + "x" if count.exists() else "x")
    say("trained")
    truths = [row.answer for row in work.held_out]
    return Trained(f"{__name__}:StubWorker", score(truths, [None] * len(truths)),
                   score(truths, truths), 3, 99, 0.5, 10, 10)  # fmt: skip


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """One JSON object a line."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def write_fleet(folder: Path, *cards: Mapping[str, Any]) -> Path:
    """A fleet of these cards, each completed with what every card has."""
    usual = {
        "role": "R1",
        "capabilities": ["text"],
        "price": {"as_of": "2026-11-01"},
        "profile": {"origin": "estimated", "fixed_ms": 1},
        "limits": {"context_tokens": CONTEXT_TOKENS},
    }
    models = [
        {**usual, **card, "hosting": {"memory_gib": 0.1, "worker": WORKER, **card["hosting"]}}
        for card in cards
    ]
    path = folder / "base.yaml"
    path.write_text(yaml.safe_dump({"name": "base", "models": models}), encoding="utf-8")
    return path


def cups(count: int) -> list[dict[str, Any]]:
    """Rows that all have one answer, which a tiny model can learn in some steps."""
    return [
        {"instruction": "What?", "text": f"red {at}", "answer": {"kind": "cup"}}
        for at in range(count)
    ]
