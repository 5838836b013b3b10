"""Connects a card to an engine in this process; it knows no plan and no job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestra.clients.inprocess import InProcessClient
from orchestra.core.card import Card, Hosting, Sampling
from orchestra.core.errors import InvalidFleet
from orchestra.core.identity import checkpoint_place
from orchestra.fleet.source import load_worker


def local_client(card: Card, folder: Path, *, threads: int) -> InProcessClient:
    """A client of the worker that `card` names; its checkpoint is relative to `folder`.

    A checkpoint that is no folder there, and has the form of a public id, reaches the worker as
    that id. Device and sampling reach it where the card sets them. The model loads at the first
    call, in the client's own thread. Raises `InvalidFleet` for a card that is for planning only.
    """
    worker = card.hosting.worker
    if worker is None:
        raise InvalidFleet(
            f"The model {card.name!r} is for planning only: its card has no hosting.worker. "
            "Use --fleet mini to run, or add a worker to the card."
        )
    checkpoint = checkpoint_place(card.hosting.checkpoint or "", folder)
    settings = _settings(card.hosting)

    def load() -> Any:
        return load_worker(worker).load(checkpoint, threads=threads, **settings)

    return InProcessClient(card.name, load, max_batch=card.hosting.max_batch)


def _settings(hosting: Hosting) -> dict[str, Any]:
    """What the card sets beyond the defaults, so that a simple worker needs no such parameter."""
    settings: dict[str, Any] = {}
    if hosting.device != "cpu":
        settings["device"] = hosting.device
    if hosting.sampling != Sampling():
        settings["sampling"] = hosting.sampling
    return settings
