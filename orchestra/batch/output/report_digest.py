"""What a report says of all rows together: why they need a person, what is filled in, by whom."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from orchestra.batch.output.fault import reasons_of
from orchestra.batch.output.report_view import LISTING_PART
from orchestra.batch.output.rows import REJECTED, OutputRow

MOST_REASONS = 12  # on the page; a filter has them all, up to `MOST_KEPT`
MOST_KEPT = 500
OTHER = "…"  # what reasons beyond that are counted as


@dataclass(slots=True)
class Coverage:
    """How often a field is filled in, and from where."""

    filled: int = 0
    sources: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Digest:
    """Counts over the rows of a report. Bounded, whatever their number."""

    rows: int = 0
    error_types: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    fields: dict[str, Coverage] = field(default_factory=dict)

    def add(self, row: OutputRow) -> list[str]:
        """Count a row in; its reasons, as they are counted."""
        result = row.outcome
        self.rows += 1
        self.error_types.update(error.type for error in result.errors)
        self.models.update({call.model for call in result.calls})
        for name, one in result.fields.items():
            if not LISTING_PART.match(name):
                coverage = self.fields.setdefault(name, Coverage())
                coverage.filled += one.answered
                coverage.sources[one.source] += 1
        if row.status in ("complete", REJECTED):
            return []
        reasons = list(dict.fromkeys(map(self._kept, reasons_of(row))))
        self.reasons.update(reasons)
        return reasons

    def _kept(self, reason: str) -> str:
        known = reason in self.reasons or len(self.reasons) < MOST_KEPT
        return reason if known else OTHER

    @property
    def top_reasons(self) -> list[tuple[str, int]]:
        """The commonest reasons, and how many rows have each."""
        return self.reasons.most_common(MOST_REASONS)

    @property
    def more_reasons(self) -> int:
        """Reasons beyond `top_reasons`."""
        return max(0, len(self.reasons) - MOST_REASONS)

    def share(self, count: int) -> float:
        """A count as a share of the rows."""
        return count / self.rows if self.rows else 0.0
