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
    return [_clause(name, stored.get(name), asked.get(name), before, now) for name in names]


def _clause(
    name: str, old: str | None, new: str | None, before: Source | None, now: Source | None
) -> str:
    if name == "table":
        return _table(before, now)
    if name == "recipe":
        return _recipe(before, now)
    if name == "fleet":
        return _fleet(old or "", new or "")
    return f"its {name} was {old!r}, now {new!r}"


def _table(before: Source | None, now: Source | None) -> str:
    if before is None or now is None:
        return "its table has other content"
    old, new = Path(before.table).name, Path(now.table).name
    if old == new:
        return f"its table {old!r} had other content (or is another of that name)"
    return f"its table was {old!r}, now {new!r}"


def _fleet(old: str, new: str) -> str:
    (was, _, _), (name, _, _) = old.rpartition(" "), new.rpartition(" ")
    if was == name:
        return f"the cards of its fleet {name!r} have changed since"
    return f"its fleet was {was!r}, now {name!r}"


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
