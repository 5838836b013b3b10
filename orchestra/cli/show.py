"""`orchestra show`: everything about one row of a batch, and the same row run again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.batch.decided import Standing, told
from orchestra.batch.folder import Folder
from orchestra.batch.spec import BatchSpec
from orchestra.batch.tables.table import Row, open_table
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.cli.run import field_lines
from orchestra.core.errors import BookError, OutputMismatch
from orchestra.core.job import CallRecord, Evidence, Field, Result
from orchestra.core.values import shown
from orchestra.graph.translation import WHOLE_IMAGE
from orchestra.images.limits import ImageLimits

EPILOG = """\b
Examples:
  orchestra show out 1007
  orchestra show out 1007 --rerun
"""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A finished row of a batch, and the files of its photos.

    `result` is what models `said`, with what people decided.
    """

    row_id: str
    ordinal: int
    said: Result
    result: Result
    photos: list[str]
    spec: BatchSpec


@command("show", EPILOG)
@click.argument("out", type=PATH)
@click.argument("row")
@click.option("--rerun", is_flag=True, help="Run the row again, outside the batch, and compare.")
def show_command(out: Path, row: str, rerun: bool) -> Output:
    """Show ROW (its id, or its number in the table): photo, prompts, replies, evidence, cost."""
    found = _find(out, row)
    again = asyncio.run(_rerun(found)) if rerun else None
    public: dict[str, Any] = {
        "row_id": found.row_id,
        "ordinal": found.ordinal,
        "photos": found.photos,
        "result": found.result.model_dump(mode="json"),
    }
    if again is not None:
        public["rerun"] = again.model_dump(mode="json")
    return Output(public, _lines(found, again))


def _find(out: Path, row: str) -> ShownRow:
    folder = Folder.read(out)
    with closing(folder.book):
        record = folder.book.row_by_id(row)
        if record is None and row.isdecimal():
            record = next(folder.book.rows(after=int(row) - 1, limit=1), None)
            record = record if record is not None and record.ordinal == int(row) else None
        if record is None:
            raise BookError(
                f"The batch in {str(out)!r} has no finished row {row!r}. "
                "Give a row's id, or its number from 1."
            )
        said = Result.model_validate_json(record.record_json)
        result = Standing.of(folder.book).applied(record, said)
        photos = [str(folder.images.path(key)) for key in result.images]
        return ShownRow(record.row_id, record.ordinal, said, result, photos, folder.spec)


async def _rerun(found: ShownRow) -> Result:
    spec, table = found.spec, open_table(found.spec.table, found.spec.read_as)
    row: Row | None = next(islice(table.rows(), found.ordinal - 1, None), None)
    if row is None or table.fingerprint != spec.table_hash:
        raise OutputMismatch(
            f"The table {str(spec.table)!r} has changed since the batch, and the row with it. "
            "Put the table back as it was, or run a new batch."
        )
    limits = ImageLimits(roots=spec.roots)
    async with Fleet.open(spec.fleet, policy=spec.policy, image_limits=limits) as fleet:
        job = spec.columns.job(row, spec.language or "auto")
        return await fleet.run(spec.build(), job, base=spec.base)


def _lines(found: ShownRow, again: Result | None) -> Iterator[str]:
    result = found.result
    yield f"row {found.ordinal}  id {found.row_id}  {result.status}"
    yield f"cost ${result.cost_usd:f}  {result.tokens} tokens  {result.seconds:.2f} s"
    for photo in found.photos:
        yield f"photo {photo}"
    for note in result.notes:
        yield f"note {note}"
    for question in result.questions:
        yield f"asks {question.text}"
    for error in result.errors:
        yield f"error {error.stage}: {error.type}: {error.message}"
    for name, field in result.fields.items():
        yield from _field_lines(name, field)
    for call in result.calls:
        yield from _call_lines(call)
    if again is not None:
        yield "\nrun again:"
        for line in field_lines(again):
            yield f"  {line}"
        values = [
            {name: field.value for name, field in one.fields.items()} for one in (again, found.said)
        ]
        yield "  the same values" if values[0] == values[1] else "  the values DIFFER"


def _field_lines(name: str, field: Field) -> Iterator[str]:
    value = shown(field.value, " | ") if field.answered else f"- ({field.note})"
    sure = "" if field.confidence is None else f" confidence {field.confidence:.3f}"
    yield f"\n{name}: {value}\n  source {field.source}{sure} model {field.model}"
    for evidence in field.evidence:
        of_leaf = f" for {evidence.leaf}" if evidence.leaf else ""
        yield f"  evidence {_evidence(evidence)}{of_leaf}"
    if field.decided is not None:
        yield f"  {told(field.decided)}"
    if field.doubt:
        yield f"  for review: {field.doubt}"
    if field.contradiction:
        others = ", ".join(repr(one.value) for one in field.alternatives)
        yield f"  CONTRADICTION {field.note or others}"


def _evidence(evidence: Evidence) -> str:
    if evidence.kind == "image":
        left, top, right, bottom = evidence.box or WHOLE_IMAGE
        part = f"x {left:.0%}-{right:.0%}, y {top:.0%}-{bottom:.0%}"
        where = "whole" if evidence.box == WHOLE_IMAGE else part
        return f"photo {evidence.image} {where}{f' {evidence.text!r}' if evidence.text else ''}"
    if evidence.text is None:
        return "text whole"
    return f"text {evidence.start}-{evidence.end} {evidence.text!r}"


def _call_lines(call: CallRecord) -> Iterator[str]:
    reused = "" if not call.reused else ", from the cache" if call.cached else ", reused"
    yield (
        f"\ncall {call.node} -> {call.model}: {call.input_tokens} tokens in, "
        f"{call.output_tokens} out, {call.cpu_s:.3f} CPU-s, ${call.cost_usd:f}{reused}"
    )
    yield f"  prompt {call.prompt_hash}: {call.instruction}"
    if call.data:
        yield "  data:\n" + "\n".join(f"    {line}" for line in call.data.split("\n"))
    yield f"  reply: {call.raw}"
    if call.modality_weights:
        weighed = ", ".join(f"{name} {part:.0%}" for name, part in call.modality_weights.items())
        yield f"  weighed: {weighed}"
    if call.error is not None:
        yield f"  error: {call.error.type}: {call.error.message}"
