"""Writes a fleet's cards for another folder than their own; it knows no latency and no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestra.core.card import Card, FleetFile
from orchestra.core.identity import checkpoint_place
from orchestra.fleet.fitted import write_raw


def write_copy(path: Path, file: FleetFile, folder: Path) -> None:
    """Write `file` as a fleet of the user's own; checkpoints stay where they are, in `folder`."""
    parts = file.model_dump(mode="json", exclude_defaults=True, exclude={"models"})
    cards = [moved(card.model_copy(update={"latency": None}), folder) for card in file.models]
    header = f"# The fleet {file.name}, written by `orchestra refit` to hold its own latencies.\n"
    write_raw(path, header, parts | {"models": cards})


def moved(card: Card, folder: Path) -> dict[str, Any]:
    """`card` for a fleet in another folder than `folder`: its checkpoint is named in full."""
    raw = card.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    place = checkpoint_place(card.hosting.checkpoint or "", folder)
    if card.hosting.checkpoint and isinstance(place, Path):
        raw["hosting"]["checkpoint"] = str(place.resolve())
    return raw
