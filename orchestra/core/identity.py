"""Which model a card is, as far as its answers go, and which fleet a plan was made for.

A policy, a cached reply, a call in the book and a batch hold for one model and for no other; all of
them name it by `identity`. What only changes price, speed or room is no part of it: a plan's
`snapshot` holds those beside. Prose, where a figure is from and when a price was read count for
neither (docs/adr/0034).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, overload

from orchestra.core import shipped
from orchestra.core.card import Card, FleetFile

# `organisation/name`, as public checkpoints are called
PUBLIC_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DISTRIBUTION = "orchestra-fleet"
READ_WHOLE_BYTES = 1 << 20  # larger files count by their size, unless every byte counts
# How a server is asked decides what it answers; how long it is waited for does not.
ENDPOINT_PARTS = {"url", "model", "structured", "tools", "logprobs"}
# What lies beside weights and no engine reads. Hidden files are left out as well: tools that fetch
# checkpoints note there when they did.
WEIGHTS_PROSE = frozenset({"CARD.md", "README.md", "LICENSE", "train.log"})
CARD_PROSE: Mapping[str, Any] = {
    "about": True,
    "can": True,
    "cannot": True,
    "example": True,
    "scores": True,
    "estimated": True,
    "price": {"as_of", "unknown"},
    "profile": {"origin"},
    "latency": {"origin"},
    "quality": {"__all__": {"origin", "measure"}},
}
FLEET_PROSE: Mapping[str, Any] = {
    "about": True,
    "domain": True,
    "overhead": {"origin"},
    "whole_jobs": {"origin"},
    "models": {"__all__": CARD_PROSE},
}

FileHash = Callable[[Path], str | None]


@dataclass(frozen=True, slots=True)
class Code:
    """What runs the weights of a local model."""

    source: str  # hash of the file that holds the worker's class
    orchestra: str
    device: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a model's answers."""

    endpoint: Mapping[str, Any] | None
    worker: str | None
    weights: str  # hash of the checkpoint's content; a public one's name
    revision: str
    sampling: Mapping[str, Any]
    schema_in_prompt: bool
    thinking_tokens: int
    code: Code | None
    classifies: bool

    @property
    def fingerprint(self) -> str:
        """16 hex digits; the same for two cards of one model."""
        parts = asdict(self)
        if not self.classifies:  # as it was before there were such models: policies outlive that
            del parts["classifies"]
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@overload
def identity(card: Card, folder: Path) -> Identity: ...
@overload
def identity(card: Card, folder: Path, *, every_byte: FileHash) -> Identity | None: ...
def identity(card: Card, folder: Path, *, every_byte: FileHash | None = None) -> Identity | None:
    """Which model `card` is, its checkpoint relative to `folder`.

    `every_byte` gives the hash of a whole file. With it all weights count to the last byte, and the
    code that runs them with its device: a reply that is kept has to be the one that the model would
    give now. None then, where weights or source cannot be read. Without it files of more than
    `READ_WHOLE_BYTES` count by their size, so that a fleet opens at once, and code does not count:
    what a policy or a batch has learnt of a model outlives a new release.
    """
    hosting = card.hosting
    endpoint, weights, code = None, "", None
    if hosting.endpoint is not None:  # its weights are not here; `revision` tells them apart
        endpoint = hosting.endpoint.model_dump(mode="json", include=ENDPOINT_PARTS)
    elif every_byte is None:
        weights = _weights(hosting.checkpoint, folder, _known_by_size) or hosting.checkpoint or ""
    else:
        found = _weights(hosting.checkpoint, folder, every_byte)
        source = None if hosting.worker is None else _source(hosting.worker, every_byte)
        if found is None or source is None:
            return None
        weights, code = found, Code(source, metadata.version(DISTRIBUTION), hosting.device)
    return Identity(
        endpoint=endpoint,
        worker=hosting.worker,
        weights=weights,
        revision=hosting.revision,
        sampling=hosting.sampling.model_dump(mode="json"),
        schema_in_prompt=hosting.schema_in_prompt,
        thinking_tokens=card.limits.thinking_tokens,
        code=code,
        classifies=card.classifies,
    )


def fingerprints(file: FleetFile, folder: Path) -> dict[str, str]:
    """The fingerprint of every model of a fleet, by its name."""
    return {card.name: identity(card, folder).fingerprint for card in file.models}


def checkpoint_place(checkpoint: str, folder: Path) -> Path | str:
    """Where a card's checkpoint is: a path under `folder`, or a public id as it stands."""
    path = folder / checkpoint
    return checkpoint if PUBLIC_ID.fullmatch(checkpoint) and not path.exists() else path


def _weights(checkpoint: str | None, folder: Path, hash_of: FileHash) -> str | None:
    """A hash over the checkpoint's files, wherever they lie; None where one cannot be read."""
    if checkpoint is None:
        return ""
    place = checkpoint_place(checkpoint, folder)
    if isinstance(place, str):
        return place
    hashes: list[tuple[str, str]] = []
    for path in _files(place):
        found = hash_of(path)
        if found is None:
            return None
        hashes.append((path.relative_to(place).as_posix(), found))
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest() if hashes else None


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for path in sorted(place.rglob("*")):
        parts = path.relative_to(place).parts
        is_hidden = any(part.startswith(".") for part in parts)
        if not is_hidden and path.name not in WEIGHTS_PROSE and path.is_file():
            yield path


def _known_by_size(path: Path) -> str | None:
    """A small file's hash, which may be the checksums of the large ones; of those the size."""
    try:
        size = path.stat().st_size
        if size > READ_WHOLE_BYTES:
            return f"{size} bytes"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _source(worker: str, hash_of: FileHash) -> str | None:
    """The hash of the file that holds the worker's class, which is not imported for it."""
    try:
        file = shipped.origin(worker)
    except (ImportError, ValueError):
        return None
    return None if file is None else hash_of(file)


_SNAPSHOTS: dict[str, tuple[FleetFile, str]] = {}


def snapshot(file: FleetFile) -> str:
    """16 hex digits for all that plans depend on: two plans with one snapshot saw the same fleet.

    That is what the cards say of their models, and prices, latencies, limits and quality.
    """
    known = _SNAPSHOTS.get(file.name)  # a plan is made for every job
    if known is None or known[0] is not file:
        text = json.dumps(file.model_dump(mode="json", exclude=dict(FLEET_PROSE)), sort_keys=True)
        known = _SNAPSHOTS[file.name] = (file, hashlib.sha256(text.encode()).hexdigest()[:16])
    return known[1]
