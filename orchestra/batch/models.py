"""Which models a batch ran on, by fingerprint: what is learnt from it holds for no others."""

from __future__ import annotations

import json

from orchestra.batch.folder import Folder
from orchestra.core.card import FleetFile
from orchestra.core.errors import BookError, InvalidFleet
from orchestra.core.identity import fingerprints
from orchestra.fleet.source import load_fleet

MODELS = "models"


def remember_models(folder: Folder, models: dict[str, str]) -> None:
    """Keep the fingerprints of the fleet that runs the batch."""
    folder.book.set_meta(MODELS, json.dumps(models))


def models_of(folder: Folder) -> dict[str, str]:
    """Fingerprints by model name.

    A batch older than these has those of its fleet, unless its cards have changed since. Raises
    `BookError` then.
    """
    stored = folder.book.meta(MODELS)
    if stored is not None:
        return json.loads(stored)
    name = folder.source.fleet
    try:
        file, where = load_fleet(name)
    except InvalidFleet as cause:
        raise BookError(f"{cause} The batch in {str(folder.path)!r} ran on it.") from cause
    if folder.identity.get("fleet") != _named(file):
        raise BookError(
            f"The batch in {str(folder.path)!r} does not say which models it ran on, and the cards "
            f"of its fleet {name!r} have changed since. Run it again into a new folder."
        )
    return fingerprints(file, where)


def _named(file: FleetFile) -> str:
    return f"{file.name} {file.snapshot}"
