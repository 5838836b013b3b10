"""Writes a finished batch as a channel's file, with what is wrong and who wrote what beside it.

A product that the channel would not take is left out whole, and each reason stands in
`FILE.errors.jsonl` with the value, the limit and the cure; the rest is written. `FILE.labels.jsonl`
says of each field whether a model wrote it, which, and who reviewed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from orchestra.batch.channels.ai_labels import file_label, label_lines
from orchestra.batch.channels.amazon import Amazon
from orchestra.batch.channels.amazon_template import AmazonTemplate
from orchestra.batch.channels.channel import Channel, WholeTable, Writer
from orchestra.batch.channels.google import Google
from orchestra.batch.channels.listing import Listings
from orchestra.batch.channels.openai import OpenAi
from orchestra.batch.channels.provenance import Provenance
from orchestra.batch.channels.rules import Fault
from orchestra.batch.channels.sheets import MOST_ROWS, Sheets
from orchestra.batch.channels.shopify import Shopify
from orchestra.batch.channels.woocommerce import WooCommerce
from orchestra.batch.export_settings import ExportSettings
from orchestra.batch.folder import Folder
from orchestra.batch.output.rows import REJECTED, OutputRow, output_rows
from orchestra.core.errors import MissingExtra, UsageError
from orchestra.core.files.atomic import atomic_file

CHANNELS: dict[str, type[Channel]] = {
    one.name: one for one in (Shopify, WooCommerce, Google, Amazon, OpenAi, Sheets, Provenance)
}
GOES_OUT = ("complete", "partial", "review")
RUN = "Run the batch to its end, or 'orchestra resume' for rows that wait."


@dataclass(slots=True)
class Exported:
    """What was written: products and their lines, and why others were not.

    `unplaced` are attributes that had values and no column in the template.
    """

    file: Path
    channel: str
    products: int = 0
    lines: int = 0
    refused: int = 0
    unapproved: int = 0
    rejected: int = 0
    unfinished: int = 0
    unplaced: tuple[str, ...] = ()
    by_limit: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> Path:
        """The file of what is wrong."""
        return self.file.with_name(f"{self.file.name}.errors.jsonl")

    @property
    def labels(self) -> Path:
        """The file of who wrote what."""
        return self.file.with_name(f"{self.file.name}.labels.jsonl")

    def public(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "file": str(self.file),
            "channel": self.channel,
            "products": self.products,
            "lines": self.lines,
            "refused": self.refused,
            "not_approved": self.unapproved,
            "rejected": self.rejected,
            "unfinished": self.unfinished,
            "unplaced": list(self.unplaced),
            "faults": dict(sorted(self.by_limit.items(), key=lambda one: -one[1])),
            "errors": str(self.errors),
            "labels": str(self.labels),
        }


def export(
    out: Path,
    to: str,
    file: Path,
    *,
    approved: bool = False,
    settings: ExportSettings | None = None,
    template: Path | None = None,
) -> Exported:
    """Write the batch in `out` for the channel `to` into `file`, and two files beside it.

    With `approved` only rows that a person approved go out. `settings` take the place of the
    recipe's block `export`; `template` is one of Amazon's, to be filled. Raises `UsageError` for a
    channel or ending that there is not and for what is no template,
    `BookError` when `out` holds no batch, `OutputMismatch` when its table has changed,
    `MissingExtra`, and `DiskFull`; then what was there before stays as it was.
    """
    kind, suffix = _channel(to, file)
    filled = _template(to, template)
    folder = Folder.read(out)
    with closing(folder.book):
        spec = folder.spec
        table = folder.own_table()
        own = spec.recipe.export if spec.recipe else ExportSettings()
        listings = Listings(table, spec.columns, spec.recipe, settings or own)
        channel = kind(table)
        if isinstance(channel, Amazon):
            channel.template = filled
        if isinstance(channel, WholeTable):
            channel.fields = folder.book.field_names()
        exporter = Exporter(channel, listings, approved, Exported(file, to))
        exporter.write(output_rows(folder, table, spec.columns), suffix)
        if isinstance(channel, Amazon):
            exporter.done.unplaced = tuple(sorted(channel.unplaced))
    return exporter.done


def _template(to: str, path: Path | None) -> AmazonTemplate | None:
    if path is None:
        return None
    if to != Amazon.name:
        raise UsageError(f"--template is one of Amazon's, and {to!r} has none. Leave it out.")
    return AmazonTemplate.read(path)


def _channel(to: str, file: Path) -> tuple[type[Channel], str]:
    kind = CHANNELS.get(to)
    if kind is None:
        raise UsageError(f"There is no channel {to!r}; there are {', '.join(CHANNELS)}.")
    name = file.name.lower()
    suffix = next((one for one in kind.suffixes if name.endswith(one)), None)
    if suffix is None:
        raise UsageError(
            f"The file {file.name!r} has no ending that {to} takes; those are "
            f"{', '.join(kind.suffixes)}. Name it {file.stem + kind.suffixes[0]!r}."
        )
    if file.is_dir() or not file.parent.is_dir():
        what = "is a folder" if file.is_dir() else "is in a folder that there is not"
        raise UsageError(f"The file {str(file)!r} {what}. Give --file another path.")
    if to == Provenance.name and find_spec("pyarrow") is None:
        raise MissingExtra(
            "The channel parquet needs 'pyarrow', which is not installed: "
            "pip install 'orchestra-fleet[parquet]'."
        )
    return kind, suffix


class Exporter:
    """One pass over the rows, in bounded memory but for the names that are taken."""

    def __init__(
        self, channel: Channel, listings: Listings, approved: bool, done: Exported
    ) -> None:
        self._channel, self._listings, self._approved = channel, listings, approved
        self.done = done
        self._taken: dict[str, str] = {}
        self._is_labelled = False

    def write(self, rows: Iterator[OutputRow], suffix: str) -> None:
        """Write the three files; each takes the place of its predecessor whole."""
        done = self.done
        with ExitStack() as stack:
            paths = (done.errors, done.labels, done.file)
            errors, labels, file = (stack.enter_context(atomic_file(path)) for path in paths)
            writer = stack.enter_context(self._channel.writer(file, suffix))
            for entry in rows:
                held = self._held(entry)
                faults = self._add(entry, writer, labels) if held is None else held
                for fault in faults:
                    done.by_limit[fault.attribute] = done.by_limit.get(fault.attribute, 0) + 1
                    _write(errors, _error(entry, done.channel, fault))

    def _add(self, entry: OutputRow, writer: Writer, labels: IO[bytes]) -> Sequence[Fault]:
        """Write one product; else why not."""
        listing = self._listings(entry)
        lines = self._channel.lines(listing)
        faults = [*self._channel.faults(listing, lines)]
        keys = self._channel.keys(lines)
        for key in keys:
            other = self._taken.get(key)
            if key and other is not None:
                limit = f"the product {other!r} has it already"
                faults.append(Fault(self._channel.key or "id", key, limit, "Give it its own."))
        if self.done.lines + len(lines) >= MOST_ROWS and isinstance(self._channel, Sheets):
            limit = f"a sheet holds {MOST_ROWS:,} rows"
            faults.append(Fault("row", entry.row_id, limit, "Export as parquet."))
        if faults:
            self.done.refused += 1
            return faults
        self._taken.update(dict.fromkeys(keys, entry.row_id))
        writer.add(lines)
        label = None if self._is_labelled else file_label(listing)
        if label is not None:
            writer.label(label)
            self._is_labelled = True
        for record in label_lines(listing):
            _write(labels, record)
        self.done.products += 1
        self.done.lines += len(lines)
        return ()

    def _held(self, entry: OutputRow) -> Sequence[Fault] | None:
        """Why a row does not go out whatever the channel takes; None where it may."""
        if entry.row.error is not None:
            self.done.unfinished += 1
            return [Fault("row", entry.row_id, entry.row.error.message, "Mend the table.")]
        if entry.status == REJECTED:
            self.done.rejected += 1
            return ()
        if entry.status not in GOES_OUT:
            self.done.unfinished += 1
            limit = "a row goes out when it is complete, partial or for review"
            return [Fault("status", entry.status, limit, RUN)]
        if self._approved and not entry.is_approved:
            self.done.unapproved += 1
            return ()
        return None


def _error(entry: OutputRow, channel: str, fault: Fault) -> dict[str, Any]:
    return {
        "id": entry.row_id,
        "row": entry.row.ordinal,
        "channel": channel,
        "attribute": fault.attribute,
        "item": fault.item,
        "value": fault.value,
        "limit": fault.limit,
        "cure": fault.cure,
        "message": str(fault),
    }


def _write(file: IO[bytes], record: Mapping[str, Any]) -> None:
    file.write((json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
