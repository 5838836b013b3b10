"""Names a fleet by what its cards say; it knows no card."""

from __future__ import annotations

import hashlib
import json
from typing import Any

# Keys that fleets had not always, by what they are when nobody sets them.
NEWER = {
    "latency": None,
    "overhead": None,
    "whole_jobs": None,
    "machines": 1,
    "revision": "",
    "cache": None,
}


def snapshot_of(raw: dict[str, Any]) -> str:
    """The snapshot id of a fleet as JSON; keys that came later and are not used do not count."""
    text = json.dumps(_known(raw), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _known(raw: Any) -> Any:
    """`raw` without newer keys that are not used."""
    if isinstance(raw, list):
        return [_known(part) for part in raw]
    if not isinstance(raw, dict):
        return raw
    used = {key: part for key, part in raw.items() if key not in NEWER or part != NEWER[key]}
    return {key: _known(part) for key, part in used.items()}
