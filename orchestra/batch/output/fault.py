"""How likely a row is wrong somewhere, by which rows for review are ordered, and why; pure.

What a photo's comparison with its text says of a fault counts as it is. A field's calibrated
probability counts before the model's own confidence, which is no rate of being right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestra.batch.output.rows import REJECTED, OutputRow
from orchestra.batch.parked import WAITING
from orchestra.combine.match import is_fault
from orchestra.core.job import Field

UNKNOWN = 0.5  # of a field that is for review, where nobody knows how likely it is right
# What differs from row to row in a reason: quoted values, and numbers.
_VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w.])\d[\d.,]*(?![\w])")
_URGENCY = {WAITING: 0, "failed": 0, "review": 0, "partial": 0, "complete": 1, REJECTED: 2}


def fault_of(row: OutputRow) -> float:
    """How likely something of the row is wrong, 0 to 1: 1 where it failed or waits.

    Of a row that is for review the field that is likeliest wrong counts among those in doubt, of
    another one among all that are answered.
    """
    if row.status in ("failed", WAITING):
        return 1.0
    fields = row.outcome.fields.values()
    for_review = [_wrong(field) for field in fields if field.doubt or field.contradiction]
    if for_review:
        return max(for_review)
    if row.outcome.errors:
        return UNKNOWN
    return max((_wrong(field) for field in fields if field.answered), default=0.0)


def order_of(row: OutputRow) -> tuple[int, float, int]:
    """Sorts rows: those that need a person, the likeliest fault first, then the others."""
    return (_URGENCY.get(row.status, 0), -round(fault_of(row), 4), row.row.ordinal)


def reasons_of(row: OutputRow) -> Iterator[str]:
    """Why the row is not complete, without what differs from row to row, so that rows group."""
    yield from dict.fromkeys(general(reason) for reason in row.reasons)


def general(reason: str) -> str:
    """A reason without quoted values and numbers."""
    return " ".join(_VARIES.sub("…", reason).split())


def _wrong(field: Field) -> float:
    if is_fault(field):
        return UNKNOWN if field.confidence is None else field.confidence
    sure = field.confidence if field.probability is None else field.probability
    if field.contradiction and field.probability is None:
        return max(UNKNOWN, 1 - (sure or 0.0)) if field.answered else UNKNOWN
    if not field.answered:
        return UNKNOWN
    return UNKNOWN if sure is None else 1 - sure
