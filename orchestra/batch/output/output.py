"""Derives a batch's outputs from its book: tables, errors, summary, report, and scores.

The book is the durable record; everything here can be written again from it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestra.batch.columns import Columns
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.output.exports import ExportRow, write_exports
from orchestra.batch.output.promised import Kept
from orchestra.batch.output.quoted import ELSEWHERE, beside
from orchestra.batch.output.report import ModelNote, ReportRow, write_report
from orchestra.batch.plan.quote import BatchPlan
from orchestra.batch.score.evaluate import evaluate
from orchestra.batch.tables.gold import read_truths
from orchestra.batch.tables.table import Row, Table
from orchestra.core.atomic import atomic_file
from orchestra.core.card import FleetFile
from orchestra.core.identity import snapshot
from orchestra.core.job import Result
from orchestra.core.money import usd

STATUSES = ("complete", "partial", "review", "failed")
PENDING = Result(status="failed")
PENDING_STATUS, OVER_BUDGET = "pending", "over budget"
THUMBNAIL_PX = 256


@dataclass(slots=True)
class Summary:
    """What a batch came to, as in summary.json. `pending` rows have not been run.

    Of them `over_budget` were left so that others could be served; `quote` is the plan's figures
    beside the actual ones.
    `promise` is what a policy promises of the rows that are let through (`batch.promised`).
    `cached` calls were answered by a cache, which saved `saved_usd`.
    """

    rows: int = 0
    complete: int = 0
    partial: int = 0
    review: int = 0
    failed: int = 0
    pending: int = 0
    over_budget: int = 0
    contradictions: int = 0
    reused: int = 0
    cached: int = 0
    saved_usd: Decimal = Decimal(0)
    cost_usd: Decimal = Decimal(0)
    presumed_usd: Decimal = Decimal(0)
    tokens: int = 0
    seconds: float = 0.0
    plan_mix: dict[str, int] = field(default_factory=dict)
    fleet: str = ""
    snapshot: str = ""
    stopped: str = ""
    quote: dict[str, Any] | None = None
    promise: dict[str, Any] | None = None
    files: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Rows by status."""
        return {name: getattr(self, name) for name in (*STATUSES, "pending")}

    def public(self) -> dict[str, Any]:
        """As it stands in summary.json."""
        return asdict(self) | {
            "cost_usd": float(self.cost_usd),
            "presumed_usd": float(self.presumed_usd),
            "saved_usd": float(self.saved_usd),
        }


@dataclass(frozen=True, slots=True)
class Joined:
    """An input row with its result; None where the row has not been run."""

    row: Row
    row_id: str
    result: Result | None
    waits: str = PENDING_STATUS

    @property
    def status(self) -> str:
        """The result's status, or why there is none: pending, or over budget."""
        return self.waits if self.result is None else self.result.status


def joined(
    folder: Folder,
    table: Table,
    columns: Columns,
    limit: int | None = None,
    waits: str = PENDING_STATUS,
) -> Iterator[Joined]:
    """Every input row in order with its result, read as two streams in step."""
    finished = folder.book.rows()
    record = next(finished, None)
    for row in table.rows():
        if limit is not None and row.ordinal > limit:
            return
        while record is not None and record.ordinal < row.ordinal:
            record = next(finished, None)
        result = None
        if record is not None and record.ordinal == row.ordinal:
            result = Result.model_validate_json(record.record_json)
        yield Joined(row, columns.row_id(row), result, waits)


def write_outputs(
    folder: Folder,
    table: Table,
    columns: Columns,
    fleet: FleetFile,
    *,
    limit: int | None,
    stopped: str,
    plan: BatchPlan | None = None,
    is_allotted: bool = False,
) -> Summary:
    """Write products.parquet, products.csv, errors.jsonl, summary.json and report.html.

    In a batch that is allotted and was not stopped, rows without a result are over budget.
    Raises `DiskFull`; the book keeps every finished row, so running again writes them.
    """
    summary = _begin_summary(folder, fleet)
    summary.stopped = stopped
    waits = OVER_BUDGET if is_allotted and not stopped else PENDING_STATUS
    counted = _counted(joined(folder, table, columns, limit, waits), summary)
    fields = folder.book.field_names()
    written = write_exports(folder.path, table.columns, fields, map(_export_row, counted))
    report = folder.path / "report.html"
    summary.files = {
        "table": str(written.csv),
        "parquet": str(written.parquet),
        "errors": str(written.errors),
        "report": str(report),
    }
    if plan is not None:
        rows = ((entry.row, entry.result) for entry in joined(folder, table, columns, limit))
        cost, is_elsewhere = float(summary.cost_usd), bool(folder.book.meta(ELSEWHERE))
        summary.quote = beside(plan, rows, cost, summary.seconds, is_elsewhere=is_elsewhere)
    public = summary.public()
    with atomic_file(folder.path / "summary.json") as file:
        file.write((json.dumps(public, ensure_ascii=False, indent=2) + "\n").encode())
    write_report(
        report,
        title=table.path.name,
        summary=public,
        rows=_report_rows(folder, table, columns, limit),
        models=[_note(card) for card in fleet.models if card.is_hosted],
        thumbnail=lambda key: folder.images.thumbnail(key, THUMBNAIL_PX),
    )
    return summary


def _begin_summary(folder: Folder, fleet: FleetFile) -> Summary:
    spent = folder.book.spent(BATCH_ACCOUNT)
    return Summary(
        cost_usd=usd(spent.cost_micro),
        presumed_usd=usd(spent.presumed_micro),
        tokens=spent.tokens,
        seconds=round(float(folder.book.meta("seconds") or 0), 3),
        fleet=fleet.name,
        snapshot=snapshot(fleet),
    )


def _counted(entries: Iterator[Joined], summary: Summary) -> Iterator[Joined]:
    """Pass the rows on, counting them into `summary`."""
    mix: Counter[str] = Counter()
    kept = Kept()
    for entry in entries:
        summary.rows += 1
        status = PENDING_STATUS if entry.result is None else entry.status
        setattr(summary, status, getattr(summary, status) + 1)
        summary.over_budget += entry.status == OVER_BUDGET
        if entry.result is not None:
            kept.add(entry.result)
            summary.contradictions += entry.result.contradictions
            summary.reused += entry.result.reused
            summary.cached += entry.result.cached
            summary.saved_usd += entry.result.saved_usd
            nodes = entry.result.plan.get("nodes", [])
            mix[" ".join(f"{n['node']}={n['model']}" for n in nodes) or "no model"] += 1
        yield entry
    summary.plan_mix = dict(mix.most_common())
    summary.promise = kept.public()


def _export_row(entry: Joined) -> ExportRow:
    result = entry.result or PENDING
    return ExportRow(
        row=entry.row,
        row_id=entry.row_id,
        status=entry.status,
        fields=result.fields,
        errors=result.errors,
    )


def _report_rows(
    folder: Folder, table: Table, columns: Columns, limit: int | None
) -> Iterator[ReportRow]:
    for entry in joined(folder, table, columns, limit):
        if entry.result is not None:
            yield ReportRow(entry.row.ordinal, entry.row_id, entry.row.values, entry.result)


def _note(card: Any) -> ModelNote:
    price = f"${card.price.usd_per_cpu_second:f} a CPU-second ({card.price.as_of})"
    return ModelNote(
        card.name, card.role, card.about, card.can, card.cannot, tuple(card.scores), price
    )


def score(out: Path, truth: Path, field_name: str, *, id_column: str | None) -> dict[str, Any]:
    """Score one field of the batch in `out` against the table `truth`, joined by id.

    Raises `BookError` when `out` holds no batch, `InvalidTable` for a truth without the columns.
    """
    folder = Folder.read(out)
    try:
        wanted = id_column if id_column is not None else folder.source.columns.id
        truths = read_truths(truth, wanted)
        answers = (
            (row.row_id, Result.model_validate_json(row.record_json)) for row in folder.book.rows()
        )
        values = ((row_id, row.values) for row_id, row in truths.rows.items())
        weights = {row_id: row.weight for row_id, row in truths.rows.items()}
        return evaluate(
            answers, values, field_name, truths.columns, weights if truths.is_weighted else None
        )
    finally:
        folder.book.close()


def results_of(out: Path) -> tuple[list[tuple[str, Result]], str | None]:
    """Results of the batch in `out` by row id, and the id column of its table.

    Raises `BookError` when it holds no batch.
    """
    folder = Folder.read(out)
    try:
        rows = [
            (row.row_id, Result.model_validate_json(row.record_json)) for row in folder.book.rows()
        ]
        return rows, folder.source.columns.id
    finally:
        folder.book.close()
