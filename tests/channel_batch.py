"""A table with what became of its rows, ready to be exported, without a model and a book."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.batch.channels.export import CHANNELS, Exported, Exporter
from orchestra.batch.channels.listing import Listings
from orchestra.batch.columns import Columns
from orchestra.batch.export_settings import ExportSettings
from orchestra.batch.output.rows import OutputRow
from orchestra.batch.recipe import Recipe
from orchestra.batch.tables.table import Row, open_table
from orchestra.core.job import Decided, Evidence, Field, Result

WRITTEN: dict[str, Any] = {"source": "derived", "model": "r1", "prompt_hash": "abc"}
READ: dict[str, Any] = {"source": "text", "model": "encoder", "confidence": 0.9}
SHOP: dict[str, Any] = {
    "currency": "EUR",
    "link": "https://shop.example/products/{handle}",
    "photos": "https://cdn.example/{photo}",
    "constants": {"availability": "in_stock", "feed_product_type": "kitchen"},
    "seller": {
        "name": "Shop",
        "url": "https://shop.example",
        "return_policy": "https://shop.example/returns",
    },
    "countries": ["DE", "US"],
    "store_country": "DE",
}


def written(
    title: str = "", description: str = "", bullets: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields of copy that a model wrote."""
    parts = {"title": title, "description": description, "bullets": list(bullets)}
    return {name: Field(value=value, **WRITTEN) for name, value in parts.items() if value}


def read(**values: Any) -> dict[str, Field]:
    """Fields that a model read off a text."""
    proof = Evidence(kind="text", text="x", start=0, end=1)
    return {name: Field(value=value, evidence=(proof,), **READ) for name, value in values.items()}


def decided(field: Field, by: str, action: Any = "approve", **changes: Any) -> Field:
    """A field that a person decided."""
    note = Decided(action=action, by=by, at="2026-11-29T06:00:00Z", why="seen", state=1)
    return field.model_copy(update={"decided": note, **changes})


@dataclass
class Batch:
    """Rows of a table, with fields by id, or a whole result."""

    table: Path
    fields: Mapping[str, Mapping[str, Field] | Result]
    recipe: Recipe | None = None
    statuses: Mapping[str, Any] | None = None

    def export(self, to: str, file: Path, **settings: Any) -> Exported:
        """Write the rows for a channel."""
        table = open_table(self.table)
        columns = Columns.resolve(table, self.recipe)
        own = ExportSettings.model_validate({**SHOP, **settings})
        channel = CHANNELS[to](table)
        names = dict.fromkeys(n for made in self.fields.values() for n in _fields(made))
        if hasattr(channel, "fields"):
            channel.fields = list(names)  # pyright: ignore[reportAttributeAccessIssue]
        exporter = Exporter(
            channel, Listings(table, columns, self.recipe, own), False, Exported(file, to)
        )
        suffix = next(s for s in channel.suffixes if file.name.endswith(s))
        exporter.write(self._rows(table.rows(), columns), suffix)
        return exporter.done

    def _rows(self, rows: Iterator[Row], columns: Columns) -> Iterator[OutputRow]:
        for row in rows:
            row_id = columns.row_id(row)
            made = self.fields.get(row_id, {})
            status = (self.statuses or {}).get(row_id, "complete")
            result = made if isinstance(made, Result) else Result(status=status, fields=dict(made))
            yield OutputRow(row, row_id, result)


def _fields(made: Mapping[str, Field] | Result) -> Mapping[str, Field]:
    return made.fields if isinstance(made, Result) else made


def told(done: Exported) -> list[dict[str, Any]]:
    """The errors beside an export."""
    return [json.loads(line) for line in done.errors.read_text(encoding="utf-8").splitlines()]


def labels(done: Exported) -> list[dict[str, Any]]:
    """The labels beside an export."""
    return [json.loads(line) for line in done.labels.read_text(encoding="utf-8").splitlines()]


def saved(folder: Path, name: str, text: str) -> Path:
    """A file of that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path
