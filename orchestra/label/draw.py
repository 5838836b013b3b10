"""Draws the rows that are worth labelling; it knows no file and no terminal.

Strata are the plan a row took and how sure its least sure field is, in fifths; each gets about as
many rows as any other, so that thresholds can be fitted where answers are unsure, too. A row's
weight is its stratum's size over what was drawn from it, so weighted shares are unbiased
(Horvitz and Thompson 1952).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from orchestra.batch.tables.gold import Drawn
from orchestra.core.errors import InvalidTable
from orchestra.core.job import Result

LEVELS = 5


def fields_of_batch(results: Mapping[str, Result]) -> list[str]:
    """The fields that were read off photo or text somewhere; what was written is not labelled."""
    written = {
        name
        for result in results.values()
        for name, field in result.fields.items()
        if field.source == "derived"
    }
    names = dict.fromkeys(name for result in results.values() for name in result.fields)
    read = {
        name
        for result in results.values()
        for name, field in result.fields.items()
        if field.answered or field.alternatives
    }
    return [name for name in names if name in read and name not in written]


def draw(
    results: Mapping[str, Result], fields: Sequence[str], rows: int, *, seed: int = 0
) -> list[Drawn]:
    """`rows` of the results by row id, drawn over strata. Raises `InvalidTable` without any.

    Each stratum gives at least one row, so a few more than `rows` may be drawn.
    """
    usable = {row_id: result for row_id, result in results.items() if result.status != "failed"}
    if not usable:
        raise InvalidTable("The batch has no row that was answered. Run it before labelling it.")
    strata: dict[str, list[str]] = {}
    for row_id, name in _strata(usable, fields).items():
        strata.setdefault(name, []).append(row_id)
    rng = random.Random(seed)
    shares = _allocate({name: len(ids) for name, ids in strata.items()}, rows)
    drawn = [
        Drawn(row_id, len(strata[name]) / share, name, {}, {})
        for name, share in shares.items()
        for row_id in rng.sample(strata[name], share)
    ]
    rng.shuffle(drawn)  # who stops early has labelled of every stratum
    return drawn


def sureness(result: Result, fields: Sequence[str]) -> float:
    """The confidence of the least sure of `fields`; what was left open counts as 0."""
    known = [result.fields[name] for name in fields if name in result.fields]
    return min((field.confidence or 0.0 for field in known if field.answered), default=0.0)


def _strata(results: Mapping[str, Result], fields: Sequence[str]) -> dict[str, str]:
    """The stratum of each row: its route, and the fifth of its sureness within the route."""
    by_route: dict[str, list[str]] = {}
    for row_id, result in results.items():
        by_route.setdefault(_route(result), []).append(row_id)
    found: dict[str, str] = {}
    for route, ids in by_route.items():
        sure = {row_id: sureness(results[row_id], fields) for row_id in ids}
        ranked = sorted(ids, key=lambda row_id: (sure[row_id], row_id))
        for place, row_id in enumerate(ranked):
            found[row_id] = f"{route}/{place * LEVELS // len(ranked) + 1}"
    return found


def _route(result: Result) -> str:
    nodes = result.plan.get("nodes", [])
    return "+".join(f"{node['node']}={node['model']}" for node in nodes) or "unplanned"


def _allocate(sizes: Mapping[str, int], rows: int) -> dict[str, int]:
    """About the same number of rows for every stratum, none more than it has."""
    left, shares = rows, dict.fromkeys(sizes, 0)
    open_ = sorted(sizes, key=lambda name: (sizes[name], name))
    for place, name in enumerate(open_):
        fair = -(-left // (len(open_) - place)) if left > 0 else 0
        shares[name] = max(1, min(sizes[name], fair))
        left -= shares[name]
    return shares
