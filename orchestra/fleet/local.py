"""Connects a card to an engine in this process; it knows no plan and no job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestra.clients.inprocess import InProcessClient
from orchestra.errors import InvalidFleet
from orchestra.fleet.card import Card
from orchestra.fleet.source import load_worker


def local_client(card: Card, folder: Path, *, threads: int) -> InProcessClient:
    """A client of the worker that `card` names; its checkpoint is relative to `folder`.

    The model loads at the first call, in the client's own thread. Raises `InvalidFleet` for a
    card that is for planning only.
    """
    worker = card.hosting.worker
    if worker is None:
        raise InvalidFleet(
            f"The model {card.name!r} is for planning only: its card has no hosting.worker. "
            "Use --fleet mini to run, or add a worker to the card."
        )
    checkpoint = folder / (card.hosting.checkpoint or "")

    def load() -> Any:
        return load_worker(worker).load(checkpoint, threads=threads)

    return InProcessClient(card.name, load, max_batch=card.hosting.max_batch)
