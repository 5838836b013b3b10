"""Says in words how the batch of a folder differs from the one that is asked for.

Pure. Identities hold hashes, which nobody can compare by eye, so names are told instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestra.batch.spec import BatchSpec

MOST_KEYS = 4


def differences(
    old: Mapping[str, str],
    new: Mapping[str, str],
    before: BatchSpec | None = None,
    now: BatchSpec | None = None,
) -> list[str]:
    """What differs between two identities, a clause each; none when they are the same.

    What their specifications name is told where both are given.
    """
    names = [name for name in dict.fromkeys((*new, *old)) if old.get(name) != new.get(name)]
    if "fleet" in names and "models" in names:
        names.remove("models")  # another fleet has other models
    clauses = {
        "table": lambda: _table(before, now),
        "recipe": lambda: _recipe(before, now),
        "models": lambda: _models(
            json.loads(old.get("models", "{}")), json.loads(new.get("models", "{}"))
        ),
    }
    return [
        clauses[name]()
        if name in clauses
        else f"its {name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in names
    ]


def _table(before: BatchSpec | None, now: BatchSpec | None) -> str:
    if before is None or now is None:
        return "its table has other content"
    old, new = before.table.name, now.table.name
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


def _recipe(before: BatchSpec | None, now: BatchSpec | None) -> str:
    old, new = (
        spec.recipe.model_dump(mode="json", by_alias=True) if spec and spec.recipe else {}
        for spec in (before, now)
    )
    keys = list(_differing(old, new)) if before and now else []
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
