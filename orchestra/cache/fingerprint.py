"""What of a card decides its answers, as one text; it knows no call and no reply.

A model behind an endpoint is its server, its name there and the card's `revision`: its weights
are not here to be hashed. A local one is the content of its checkpoint, its worker's source file
and Orchestra's version. What only decides speed or price (batch, replicas, memory) is left out.
`fleet/fingerprint.py` names a model to policies, and may know large files by their size; a reply
must not outlive its weights, so here every byte counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestra import shipped
from orchestra.cache.store import ReplyStore
from orchestra.fleet.card import Card
from orchestra.fleet.local import checkpoint_place

CHUNK_BYTES = 2**20
DISTRIBUTION = "orchestra-fleet"


def fingerprint(card: Card, folder: Path, store: ReplyStore) -> str | None:
    """The identity of `card`'s model, its checkpoint relative to `folder`.

    None where it cannot be told: weights or source are not there. Reads large files once: `store`
    remembers their hashes by size and time of change.
    """
    hosting = card.hosting
    told: dict[str, Any] = {
        "sampling": hosting.sampling.model_dump(mode="json"),
        "schema_in_prompt": hosting.schema_in_prompt,
        "revision": hosting.revision,
        "orchestra": metadata.version(DISTRIBUTION),
    }
    if hosting.endpoint is not None:
        decides = {"url", "model", "structured", "tools", "logprobs"}
        told["endpoint"] = hosting.endpoint.model_dump(mode="json", include=decides)
        return json.dumps(told, sort_keys=True)
    if hosting.worker is None:
        return None
    source, weights = _source(hosting.worker, store), _weights(hosting.checkpoint, folder, store)
    if source is None or weights is None:
        return None
    told |= {"worker": hosting.worker, "source": source, "weights": weights}
    told["device"] = hosting.device
    return json.dumps(told, sort_keys=True)


def _source(worker: str, store: ReplyStore) -> str | None:
    """The hash of the file that holds the worker's class, which is not imported for it."""
    try:
        file = shipped.origin(worker)
    except (ImportError, ValueError):
        return None
    return None if file is None else _hash(file, store)


def _weights(checkpoint: str | None, folder: Path, store: ReplyStore) -> str | None:
    """A hash over the checkpoint's files, or a public checkpoint's name."""
    if checkpoint is None:
        return ""
    place = checkpoint_place(checkpoint, folder)
    if isinstance(place, str):
        return place
    hashes = []
    for path in _files(place):
        found = _hash(path, store)
        if found is None:
            return None
        hashes.append([path.relative_to(place).as_posix(), found])
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest() if hashes else None


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    else:
        yield from sorted(path for path in place.rglob("*") if path.is_file())


def _hash(path: Path, store: ReplyStore) -> str | None:
    """The sha256 of a file; None for one that cannot be read."""
    try:
        seen = path.stat()
        name, stat = str(path.resolve()), f"{seen.st_size} {seen.st_mtime_ns} {seen.st_ino}"
        known = store.file_hash(name, stat)
        if known is not None:
            return known
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError:
        return None
    store.keep_file_hash(name, stat, digest.hexdigest())
    return digest.hexdigest()
