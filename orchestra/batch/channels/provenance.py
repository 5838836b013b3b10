"""Parquet with all that is known of each value: one row a product.

For each field its value, source, model, prompt, confidence, probability, evidence (JSON), note, the
readings that it stands against (JSON), whether a model wrote it, and who decided what of it, when
and why. The file's metadata carry China's implicit label, where it is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO, Any, ClassVar

from orchestra.batch.channels.ai_labels import authorship
from orchestra.batch.channels.channel import Line, WholeTable, Writer, column_of
from orchestra.batch.channels.listing import Listing
from orchestra.batch.channels.rules import Fault
from orchestra.batch.tables.row import STATUS
from orchestra.core.job import Field
from orchestra.core.values import text_of

NUMBERS = ("confidence", "probability", "promised")
PARTS = (
    "",
    "source",
    "model",
    "prompt_hash",
    *NUMBERS,
    "evidence",
    "note",
    "doubt",
    "alternatives",
    "written_by_model",
    "decision",
    "reviewer",
    "decided_at",
    "why",
)


class Provenance(WholeTable):
    """Parquet with full provenance."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    parts: ClassVar[tuple[str, ...]] = PARTS

    def lines(self, listing: Listing) -> list[Line]:
        """One row a product."""
        entry = listing.entry
        values = (entry.row.values.get(name, "") for name in self.table.columns)
        row: dict[str, Any] = dict(zip(self.inputs, values, strict=True))
        for name in self.fields:
            told = _told(name, entry.outcome.fields.get(name, Field()))
            row |= {column_of(name, part): told[part] for part in PARTS}
        return [{**row, STATUS: entry.status}]

    def faults(self, listing: Listing, lines: Sequence[Line]) -> list[Fault]:
        """None: Parquet holds whatever there is."""
        return []

    def writer(self, file: IO[bytes], suffix: str) -> Writer:
        """Row groups, in bounded memory."""
        columns = [*self.inputs, *self.outputs]
        numbers = {column_of(name, part) for name in self.fields for part in NUMBERS}
        return _RowGroups(file, columns, numbers)


def _told(name: str, field: Field) -> Mapping[str, Any]:
    wrote, decided = authorship(name, field), field.decided
    return {
        "": text_of(field.value),
        "source": field.source,
        "model": field.model,
        "prompt_hash": field.prompt_hash,
        "confidence": field.confidence,
        "probability": field.probability,
        "promised": field.promised,
        "evidence": _json(field.evidence),
        "note": field.note,
        "doubt": field.doubt,
        "alternatives": _json(field.alternatives),
        "written_by_model": "true" if wrote.is_written_by_model else "false",
        "decision": wrote.decision,
        "reviewer": wrote.reviewer,
        "decided_at": wrote.at,
        "why": decided.why if decided else None,
    }


def _json(parts: Sequence[Any]) -> str | None:
    if not parts:
        return None
    kept = [part.model_dump(mode="json", exclude_defaults=True) for part in parts]
    return json.dumps(kept, ensure_ascii=False)


class _RowGroups(Writer):
    """The writer of Parquet that batches have, of these columns."""

    def __init__(self, file: IO[bytes], columns: Sequence[str], numbers: set[str]) -> None:
        from orchestra.batch.output.parquet import RowGroups  # the extra `parquet`

        self._columns = tuple(columns)
        self._groups = RowGroups(file, columns, numbers)

    def add(self, lines: Sequence[Line]) -> None:
        """Take the row of one product."""
        for line in lines:
            self._groups.add([line.get(name) for name in self._columns])

    def label(self, text: str) -> None:
        """Keep the label in the file's key-value metadata."""
        self._groups.note("AIGC", text)

    def end(self) -> None:
        """Write what was gathered."""
        self._groups.__exit__(None)

    def abandon(self) -> None:
        """Close what pyarrow has open."""
        self._groups.__exit__(RuntimeError)
