"""Connects a card to an engine in this process; it knows no plan and no job."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Engine
from orchestra.core.card import Card, Hosting, Sampling
from orchestra.core.errors import InvalidFleet
from orchestra.core.identity import checkpoint_place
from orchestra.fleet.source import load_worker

FORM = (
    "A worker is a class with load(cls, checkpoint, *, threads), whose engine has generate(self, "
    "calls, is_cancelled=None, on_text=None): see docs/workers.md."
)


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

    def load() -> Engine:
        return _loaded(worker, checkpoint, {"threads": threads, **settings})

    return InProcessClient(card.name, load, max_batch=card.hosting.max_batch)


def _loaded(place: str, checkpoint: Path | str, settings: dict[str, Any]) -> Engine:
    """The engine that the worker called `place` loads.

    Raises `InvalidFleet` for a worker that has not the form of one, and what loading raises.
    """
    worker = load_worker(place)
    try:
        inspect.signature(worker.load).bind(checkpoint, **settings)
    except AttributeError:
        raise InvalidFleet(f"The worker {place!r} of a card has no load. {FORM}") from None
    except TypeError as cause:
        raise InvalidFleet(
            f"The worker {place!r} of a card cannot be loaded as its card says: {cause} (it is "
            f"given {', '.join(['a checkpoint', *settings])}). {FORM}"
        ) from None
    engine = worker.load(checkpoint, **settings)
    if not callable(getattr(engine, "generate", None)):
        raise InvalidFleet(
            f"The worker {place!r} of a card loads {type(engine).__name__}, which has no generate. "
            f"{FORM}"
        )
    return engine


def _settings(hosting: Hosting) -> dict[str, Any]:
    """What the card sets beyond the defaults, so that a simple worker needs no such parameter."""
    settings: dict[str, Any] = {}
    if hosting.device != "cpu":
        settings["device"] = hosting.device
    if hosting.sampling != Sampling():
        settings["sampling"] = hosting.sampling
    return settings
