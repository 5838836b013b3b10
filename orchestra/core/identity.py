"""Identifies what decides a model's answers: its weights, worker, endpoint, and how it is asked.

Price, speed, memory and replicas are no part of it: a policy outlives a change of those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from orchestra.core.card import Card, FleetFile

CHECKSUMS = "checksums.json"
READ_WHOLE_BYTES = 1 << 20  # larger files count by their size


def fingerprint(card: Card, folder: Path) -> str:
    """16 hex digits for `card`, whose checkpoint is relative to `folder`.

    A checkpoint without `checksums.json` is known by its small files and the sizes of the others.
    """
    hosting = card.hosting
    endpoint = hosting.endpoint
    parts = {
        "worker": hosting.worker,
        "weights": None if hosting.checkpoint is None else _weights(folder / hosting.checkpoint),
        "checkpoint": hosting.checkpoint if _is_elsewhere(hosting.checkpoint, folder) else None,
        "endpoint": None
        if endpoint is None
        else [endpoint.url, endpoint.model, endpoint.structured],
        "sampling": hosting.sampling.model_dump(),
        "schema_in_prompt": hosting.schema_in_prompt,
        "thinking_tokens": card.limits.thinking_tokens,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def fingerprints(file: FleetFile, folder: Path) -> dict[str, str]:
    """The fingerprint of every model of a fleet."""
    return {card.name: fingerprint(card, folder) for card in file.models}


def _is_elsewhere(checkpoint: str | None, folder: Path) -> bool:
    """Whether a checkpoint is named, and not found here: a public one, known by its name."""
    return checkpoint is not None and not (folder / checkpoint).exists()


def _weights(place: Path) -> str | None:
    if not place.exists():
        return None
    checksums = place / CHECKSUMS
    if checksums.is_file():
        return hashlib.sha256(checksums.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for part in _parts(place):
        digest.update(part)
    return digest.hexdigest()


def _parts(place: Path) -> Iterable[bytes]:
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    for file in files:
        size = file.stat().st_size
        yield f"{file.relative_to(place.parent)} {size}\n".encode()
        if size <= READ_WHOLE_BYTES:
            yield file.read_bytes()
