"""Says in words how the batch of a folder differs from the one that is asked for.

Pure. Identities hold hashes, which nobody can compare by eye, so that names are taken from where
the rows come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestra.batch.folder import Source

MOST_KEYS = 4


def differences(
    stored: Mapping[str, str],
    asked: Mapping[str, str],
    before: Source | None,
    now: Source | None,
) -> list[str]:
    """What differs between two batches, a clause each; none when they are the same."""
    names = [n for n in dict.fromkeys((*asked, *stored)) if stored.get(n) != asked.get(n)]
    if "fleet" in names and "models" in names:
        names.remove("models")  # another fleet has other models
    return [_clause(name, stored.get(name), asked.get(name), before, now) for name in names]


def _clause(
    name: str, old: str | None, new: str | None, before: Source | None, now: Source | None
) -> str:
    if name == "table":
        return _table(before, now)
    if name == "recipe":
        return _recipe(before, now)
    if name == "models":
        return _models(json.loads(old or "{}"), json.loads(new or "{}"))
    return f"its {name} was {old!r}, now {new!r}"


def _table(before: Source | None, now: Source | None) -> str:
    if before is None or now is None:
        return "its table has other content"
    old, new = Path(before.table).name, Path(now.table).name
    if old == new:
        return f"its table {old!r} had other content (or is another of that name)"
    return f"its table was {old!r}, now {new!r}"


def _models(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Fingerprints by name: which models were swapped, which came and which went."""
    swapped = [repr(name) for name in new if name in old and old[name] != new[name]]
    clauses = []
    if swapped:
        verb = "is another model" if len(swapped) == 1 else "are other models"
        clauses.append(
            f"{', '.join(swapped)} {verb} than before (by weights, worker, endpoint, revision, "
            "sampling or thinking tokens)"
        )
    if came := [repr(name) for name in new if name not in old]:
        clauses.append(f"its fleet had no model {', '.join(came)}")
    if went := [repr(name) for name in old if name not in new]:
        clauses.append(f"its fleet had a model {', '.join(went)}, which is gone")
    return "; ".join(clauses)


def _recipe(before: Source | None, now: Source | None) -> str:
    if before is None or now is None:
        return "its recipe was another"
    old, new = (json.loads(source.recipe or "{}") for source in (before, now))
    keys = list(_differing(old, new))
    more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
    listed = ", ".join(keys[:MOST_KEYS]) + more
    return f"its recipe was another (it differs in: {listed})" if keys else "its recipe was another"


def _differing(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Dotted places where two JSON values differ, in the order of the newer one."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield place
        return
    for key in dict.fromkeys([*new, *old]):
        inner = f"{place}.{key}" if place else str(key)
        yield from _differing(old.get(key), new.get(key), inner)
