"""Derives a batch's files from its book: tables, errors, summary and report.

The book is the durable record; everything here can be written again from it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from orchestra.batch.columns import Columns
from orchestra.batch.duplicates.finder import Finder
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.output.duplicates_file import write_duplicates
from orchestra.batch.output.exports import write_exports
from orchestra.batch.output.questions import write_questions
from orchestra.batch.output.report import write_report
from orchestra.batch.output.report_pages import FOLDER
from orchestra.batch.output.rows import OVER_BUDGET, PENDING, OutputRow, output_rows
from orchestra.batch.output.summary import ELSEWHERE, Promise, Summary, beside
from orchestra.batch.output.thumbnails import Thumbnails
from orchestra.batch.parked import waiting_rows
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.tables.table import Table
from orchestra.core.card import FleetFile
from orchestra.core.files.atomic import write_text
from orchestra.core.identity import snapshot
from orchestra.core.money import usd

THUMBNAIL_PX = 256
OUTPUTS = "outputs"  # the note that says of how many rows the outputs are


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

    Where rows wait for a person, waiting.csv is written too, and where rows say or show the same,
    duplicates.csv. In a batch that is allotted and was
    not stopped, rows without a result are over budget. Raises `DiskFull`; the book keeps every
    finished row, so running again writes them.
    """
    waits = OVER_BUDGET if is_allotted and not stopped else PENDING
    folder.book.set_meta(OUTPUTS, json.dumps({"limit": limit, "waits": waits}))
    return renew_outputs(folder, table, columns, fleet, stopped=stopped, plan=plan)


def renew_outputs(
    folder: Folder,
    table: Table,
    columns: Columns,
    fleet: FleetFile,
    *,
    stopped: str,
    plan: BatchPlan | None = None,
) -> Summary:
    """Write them again, of the rows that the last run was about. Raises `DiskFull`."""
    noted = json.loads(folder.book.meta(OUTPUTS) or "{}")
    limit, waits = noted.get("limit"), noted.get("waits", PENDING)

    def rows() -> Iterator[OutputRow]:
        return output_rows(folder, table, columns, limit, waits)

    summary = _begin_summary(folder, fleet)
    summary.stopped = stopped
    fields = folder.book.field_names()
    decided = next(folder.book.decisions(), None) is not None
    pictures = Thumbnails(
        folder.path / FOLDER, lambda key: folder.images.thumbnail(key, THUMBNAIL_PX)
    )
    finder = Finder(pictures)
    counted = _looked_at(_counted(rows(), summary), columns, finder)
    written = write_exports(folder.path, table.columns, fields, counted, decided=decided)
    report = folder.path / "report.html"
    asked = write_questions(folder.path, waiting_rows(folder))
    kin = finder.groups()
    summary.duplicates = kin.public()
    more = {"duplicates": write_duplicates(folder.path, kin), "waiting": asked}
    files = {**written, "report": report} | more
    summary.files = {name: str(path) for name, path in files.items() if path is not None}
    if plan is not None:
        cost, is_elsewhere = float(summary.cost_usd), bool(folder.book.meta(ELSEWHERE))
        summary.quote = beside(plan, rows(), cost, summary.seconds, is_elsewhere=is_elsewhere)
    public = summary.public()
    text = json.dumps(public, ensure_ascii=False, indent=2) + "\n"
    write_text(folder.path / "summary.json", text)
    write_report(
        report,
        title=table.path.name,
        summary=public,
        rows=rows(),
        models=[card for card in fleet.models if card.is_hosted],
        thumbnail=pictures,
        kin=kin,
    )
    return summary


def _begin_summary(folder: Folder, fleet: FleetFile) -> Summary:
    spent, tables = folder.book.spent(BATCH_ACCOUNT), folder.book.tables()
    return Summary(
        table=tables[-1].public() if tables else None,
        cost_usd=usd(spent.cost_micro),
        presumed_usd=usd(spent.presumed_micro),
        overruns=spent.overruns,
        tokens=spent.tokens,
        seconds=round(folder.seconds, 3),
        fleet=fleet.name,
        snapshot=snapshot(fleet),
    )


def _looked_at(rows: Iterator[OutputRow], columns: Columns, finder: Finder) -> Iterator[OutputRow]:
    """Pass the rows on, showing them to `finder`."""
    for entry in rows:
        texts = [entry.row.values.get(name, "") for name in columns.text]
        finder.add(entry.row.ordinal, entry.row_id, texts, entry.outcome.images)
        yield entry


def _counted(rows: Iterator[OutputRow], summary: Summary) -> Iterator[OutputRow]:
    """Pass the rows on, counting them into `summary`."""
    mix, promise = Counter[str](), Promise()
    for entry in rows:
        summary.add(entry)
        if entry.result is not None:
            if not entry.result.questions:
                promise.add(entry.result)
            nodes = entry.result.plan.get("nodes", [])
            mix[" ".join(f"{n['node']}={n['model']}" for n in nodes) or "no model"] += 1
        yield entry
    summary.plan_mix = dict(mix.most_common())
    summary.promise = promise.public()
