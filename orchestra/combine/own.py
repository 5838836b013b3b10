"""What the table itself says of a field, in a column of its own; pure text work.

A row reaches the models as one line a column: `name: Arla Milk`. What a shop wrote into its own
column of names is no guess, and none is put in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from orchestra.combine.stated import is_nothing
from orchestra.core.job import Evidence, Field

LINE = re.compile(r"^(?P<column>[^:\n]{1,60}): (?P<value>\S.*?)\s*$", re.M)


def own_value(text: str, columns: Iterable[str]) -> Evidence | None:
    """Where the first of `columns` that `text` has says what; None where none says anything."""
    found: dict[str, Evidence] = {}
    for line in LINE.finditer(text):
        if is_nothing(line["value"]):
            continue
        start, end = line.span("value")
        proof = Evidence(kind="text", text=line["value"], start=start, end=end)
        found.setdefault(line["column"].strip().casefold(), proof)
    return next((found[c.casefold()] for c in columns if c.casefold() in found), None)


def with_own(
    fields: Mapping[str, Field], text: str, columns: Mapping[str, tuple[str, ...]]
) -> dict[str, Field]:
    """`fields` with what the table says of those of `columns`; a model's reading stands beside."""
    joined = dict(fields)
    for name, named in columns.items():
        own = own_value(text, named)
        if own is None or name not in joined:
            continue
        read = joined[name]
        if read.answered and read.value == own.text:
            continue
        others = (read,) if read.answered else ()
        joined[name] = Field(
            value=own.text, source="text", confidence=1.0, evidence=(own,), alternatives=others
        )
    return joined
