"""`orchestra show`: everything about one row of a batch, and the same row run again."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.batch.folder import Folder
from orchestra.batch.spec import BatchSpec
from orchestra.batch.tables.table import Row, open_table
from orchestra.cli.options import fail, json_option, print_json
from orchestra.cli.run import field_lines
from orchestra.core.errors import BookError, OrchestraError, OutputMismatch
from orchestra.core.job import CallRecord, Evidence, Field, Result
from orchestra.graph.reading import WHOLE_IMAGE

EPILOG = """\b
Examples:
  orchestra show out 1007
  orchestra show out 1007 --rerun
"""


@click.command(epilog=EPILOG)
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("row")
@click.option("--rerun", is_flag=True, help="Run the row again, outside the batch, and compare.")
@json_option
def show(out: Path, row: str, rerun: bool, as_json: bool) -> None:
    """Show ROW (its id, or its number in the table): photo, prompts, replies, evidence, cost."""
    try:
        found = _find(out, row)
        again = asyncio.run(_rerun(found)) if rerun else None
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        body = {"row_id": found["row_id"], "ordinal": found["ordinal"], "photos": found["photos"]}
        body["result"] = found["result"].model_dump(mode="json")
        if again is not None:
            body["rerun"] = again.model_dump(mode="json")
        print_json(body)
        return
    _print(found, again)


def _find(out: Path, row: str) -> dict[str, Any]:
    folder = Folder.read(out)
    try:
        record = folder.book.row_by_id(row)
        if record is None and row.isdecimal():
            record = next(folder.book.rows(after=int(row) - 1, limit=1), None)
            record = record if record is not None and record.ordinal == int(row) else None
        if record is None:
            raise BookError(
                f"The batch in {str(out)!r} has no finished row {row!r}. "
                "Give a row's id, or its number from 1."
            )
        result = Result.model_validate_json(record.record_json)
        return {
            "row_id": record.row_id,
            "ordinal": record.ordinal,
            "result": result,
            "photos": [str(folder.images.path(key)) for key in result.images],
            "spec": folder.spec,
        }
    finally:
        folder.book.close()


async def _rerun(found: dict[str, Any]) -> Result:
    spec: BatchSpec = found["spec"]
    table = open_table(spec.table)
    row: Row | None = next(islice(table.rows(), found["ordinal"] - 1, None), None)
    if row is None or table.fingerprint != spec.table_hash:
        raise OutputMismatch(
            f"The table {str(spec.table)!r} has changed since the batch, and the row with it. "
            "Put the table back as it was, or run a new batch."
        )
    async with Fleet.open(spec.fleet, policy=spec.policy) as fleet:
        job = spec.columns.job(row, spec.language or "auto")
        return await fleet.run(spec.build(), job, base=spec.base)


def _print(found: dict[str, Any], again: Result | None) -> None:
    result: Result = found["result"]
    click.echo(f"row {found['ordinal']}  id {found['row_id']}  {result.status}")
    click.echo(f"cost ${result.cost_usd:f}  {result.tokens} tokens  {result.seconds:.2f} s")
    for photo in found["photos"]:
        click.echo(f"photo {photo}")
    for note in result.notes:
        click.echo(f"note {note}")
    for error in result.errors:
        click.echo(f"error {error.stage}: {error.type}: {error.message}")
    for name, field in result.fields.items():
        _print_field(name, field)
    for call in result.calls:
        _print_call(call)
    if again is not None:
        click.echo("\nrun again:")
        for line in field_lines(again):
            click.echo(f"  {line}")
        same = {n: f.value for n, f in again.fields.items()} == {
            n: f.value for n, f in result.fields.items()
        }
        click.echo("  the same values" if same else "  the values DIFFER")


def _print_field(name: str, field: Field) -> None:
    value = field.value if field.answered else f"- ({field.note})"
    sure = "" if field.confidence is None else f" confidence {field.confidence:.3f}"
    click.echo(f"\n{name}: {value}\n  source {field.source}{sure} model {field.model}")
    for evidence in field.evidence:
        click.echo(f"  evidence {_evidence(evidence)}")
    if field.contradiction:
        click.echo(f"  CONTRADICTION {field.note}")


def _evidence(evidence: Evidence) -> str:
    if evidence.kind == "image":
        left, top, right, bottom = evidence.box or WHOLE_IMAGE
        part = f"x {left:.0%}-{right:.0%}, y {top:.0%}-{bottom:.0%}"
        return f"photo {evidence.image} {'whole' if evidence.box == WHOLE_IMAGE else part}"
    return f"text {evidence.start}-{evidence.end} {evidence.text!r}"


def _print_call(call: CallRecord) -> None:
    reused = "" if not call.reused else ", from the cache" if call.cached else ", reused"
    click.echo(
        f"\ncall {call.node} -> {call.model}: {call.input_tokens} tokens in, "
        f"{call.output_tokens} out, {call.cpu_s:.3f} CPU-s, ${call.cost_usd:f}{reused}"
    )
    click.echo(f"  prompt {call.prompt_hash}: {call.instruction}")
    if call.data:
        click.echo("  data:\n" + "\n".join(f"    {line}" for line in call.data.split("\n")))
    click.echo(f"  reply: {call.raw}")
    if call.modality_weights:
        weighed = ", ".join(f"{name} {part:.0%}" for name, part in call.modality_weights.items())
        click.echo(f"  weighed: {weighed}")
    if call.error is not None:
        click.echo(f"  error: {call.error.type}: {call.error.message}")
