"""What there is to say of each field of a row: why a person should look, or that it is fine.

It reads records as the journal has them, as plain JSON: a table of 50,000 rows is read as the
workbench opens, and validating each result would take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestra.batch.output.fault import general
from orchestra.combine.match import DOUBTFUL, MATCH, NO
from orchestra.core.values import agree, shown

# From what only a person can tell to what is fine; a row is as urgent as its most urgent field.
KINDS = ("photo", "conflict", "stale", "doubt", "unsure", "asks", "error", "aside", "empty", "fine")
FLAGGED = ("photo", "conflict", "stale", "doubt", "unsure", "asks", "error")
STALE = "stale"  # something it rests on has changed since it was decided
WHOLE_ROW = ""  # the field of a finding that is of the row itself
UNSURE_BELOW = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One field of a row: its `kind`, one of `KINDS`, and the `reason` in the words of the record.

    In a reason what differs from row to row is left out, so that equal reasons group. `other` is
    the reading that lost, from `other_source`. `confidence` is 0 to 1, or None.
    """

    field: str
    kind: str
    reason: str = ""
    value: str = ""
    source: str = "none"
    other: str = ""
    other_source: str = ""
    confidence: float | None = None

    @property
    def fault(self) -> float:
        """How likely the value is wrong, 0 to 1; evens where nobody says.

        Of a photo that may be another product's, the confidence is that it is.
        """
        if self.confidence is None:
            return 0.5
        return self.confidence if self.kind == "photo" else 1 - self.confidence


def findings(record: Mapping[str, Any], names: Sequence[str]) -> Iterator[Finding]:
    """What there is to say of a record: of the row where it failed or asks, then of each field.

    A row that failed as a whole lacks all of `names`.
    """
    errors = record.get("errors") or ()
    if record.get("status") == "waiting":
        yield Finding(WHOLE_ROW, "asks")
    elif errors or record.get("status") == "failed":
        yield Finding(WHOLE_ROW, "error", errors[0]["type"] if errors else "")
    fields: Mapping[str, Any] = record.get("fields") or {}
    for name, field in fields.items():
        yield finding(name, field)
    if not fields:
        yield from (Finding(name, "empty") for name in names)


def finding(name: str, field: Mapping[str, Any]) -> Finding:
    """What there is to say of one field, as plain JSON."""
    value, source = field.get("value"), field.get("source") or "none"
    sure = field.get("probability")
    sure = field.get("confidence") if sure is None else sure
    other = _other(field)
    kind, reason = _kind(field, source, sure, other)
    if kind == "doubt" and name == MATCH and value in (DOUBTFUL, NO):
        kind = "photo"
    return Finding(
        field=name,
        kind=kind,
        reason=general(reason),
        value=shown(value),
        source=source,
        other="" if other is None else shown(other.get("value")),
        other_source="" if other is None else other.get("source") or "",
        confidence=None if source == "none" else sure,
    )


def _other(field: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first reading beside the value that says something else."""
    for reading in field.get("alternatives") or ():
        told = reading.get("value")
        if told is not None and not agree(told, field.get("value")):
            return reading
    return None


def _kind(
    field: Mapping[str, Any], source: str, sure: float | None, other: Mapping[str, Any] | None
) -> tuple[str, str]:
    note = field.get("note") or ""
    if field.get("contradiction"):
        return "conflict", note
    if field.get("doubt"):
        return "doubt", field["doubt"]
    if source == "none":
        return "empty", note
    if sure is not None and sure < UNSURE_BELOW:
        return "unsure", note
    return ("aside", note) if other is not None else ("fine", "")
