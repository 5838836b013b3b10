"""Says in words how the batch of a folder differs from the one that is asked for.

Pure. Identities hold hashes, which nobody can compare by eye, so names are told instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestra.batch.spec import BatchSpec

MOST_KEYS = 4


def differences(before: BatchSpec, now: BatchSpec) -> list[str]:
    """What differs between two batches, a clause each; none when they are the same."""
    old, new = before.identity, now.identity
    clauses = {"table": _table, "recipe": _recipe, "fleet": _fleet}
    return [
        clauses[name](before, now)
        if name in clauses
        else f"its {name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in dict.fromkeys((*new, *old))
        if old.get(name) != new.get(name)
    ]


def _table(before: BatchSpec, now: BatchSpec) -> str:
    old, new = before.table.name, now.table.name
    if old == new:
        return f"its table {old!r} had other content (or is another of that name)"
    return f"its table was {old!r}, now {new!r}"


def _fleet(before: BatchSpec, now: BatchSpec) -> str:
    old, new = before.fleet_name, now.fleet_name
    if old == new:
        return f"the cards of its fleet {old!r} have changed since"
    return f"its fleet was {old!r}, now {new!r}"


def _recipe(before: BatchSpec, now: BatchSpec) -> str:
    old, new = (
        spec.recipe.model_dump(mode="json", by_alias=True) if spec.recipe else {}
        for spec in (before, now)
    )
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
