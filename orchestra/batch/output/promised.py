"""What a batch lets through under a policy's promise, counted row by row; it knows no policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestra.core.job import Result


@dataclass(slots=True)
class Kept:
    """Counts rows, and the answers to each field: promised, in doubt, or of nothing known."""

    rows: int = 0
    in_doubt: int = 0
    qualities: set[float] = field(default_factory=set)
    fields: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """One more row. It is let through when it is complete."""
        self.rows += result.status == "complete"
        self.in_doubt += any(one.doubt for one in result.fields.values())
        for name, one in result.fields.items():
            if not one.answered or one.source == "derived":
                continue
            how = "in_doubt" if one.doubt else "unknown" if one.promised is None else "promised"
            self.fields.setdefault(name, Counter())[how] += 1
            if one.promised is not None:
                self.qualities.add(one.promised)

    def public(self) -> dict[str, Any] | None:
        """As in summary.json; None where no policy promised or doubted anything.

        `quality` is the least share that is promised of the answers counted as promised.
        """
        if not self.qualities and not self.in_doubt:
            return None
        kinds = ("promised", "in_doubt", "unknown")
        return {
            "quality": min(self.qualities, default=None),
            "rows_let_through": self.rows,
            "rows_in_doubt": self.in_doubt,
            "fields": {name: {kind: n[kind] for kind in kinds} for name, n in self.fields.items()},
        }


def promise_lines(promise: Mapping[str, Any], rows: int) -> list[str]:
    """The promise as it is printed, with the fields of which nothing is promised."""
    quality = promise["quality"]
    silent = [name for name, count in promise["fields"].items() if not count["promised"]]
    kept = [name for name in promise["fields"] if name not in silent]
    lines = [
        f"{promise['rows_let_through']} of {rows} rows are let through, "
        f"{promise['rows_in_doubt']} are for review under a calibrated threshold"
    ]
    if quality is not None:
        lines.append(f"promised: at least {quality:.0%} of the answers right, in {', '.join(kept)}")
    if silent:
        lines.append(f"nothing promised: {', '.join(silent)} (the recipe's own bounds stand)")
    return lines
