"""Goes on with the rows of a batch that wait for a person, and derives its outputs anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from orchestra.batch.beside import texts_beside
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.output.files import renew_outputs
from orchestra.batch.output.summary import Summary
from orchestra.batch.parked import WaitingRow, answered_rows, waiting_rows
from orchestra.batch.plan.pilot import kept_quote
from orchestra.batch.progress import Progress
from orchestra.batch.request import Request, settle
from orchestra.batch.row_run import RowRun
from orchestra.batch.run.runner import take_over
from orchestra.batch.spec import DEFAULT_IN_FLIGHT, BatchSpec
from orchestra.batch.start import check_counts, check_prices, typical_plan
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import ReadSpent
from orchestra.core.job import Budget
from orchestra.fleet.opened import OpenFleet

MOST_TOLD = 5
Answered = list[tuple[WaitingRow, Any]]


def list_waiting(out: Path) -> tuple[BatchSpec, list[WaitingRow]]:
    """The batch in `out`, and its rows that wait. Raises `BookError` when it holds none."""
    folder = Folder.read(out)
    with closing(folder.book):
        return folder.spec, list(waiting_rows(folder))


async def resume_batch(
    fleet: OpenFleet,
    out: Path,
    answers: Mapping[str, Any],
    *,
    build: Callable[..., Any] | None = None,
    budget: Budget | None = None,
    in_flight: int = DEFAULT_IN_FLIGHT,
    progress: Progress | None = None,
) -> Summary:
    """Go on with the rows of the batch in `out` that wait for these `answers`, by row id.

    `build` is its graph, where that has no name to be found by. `budget` replaces the caps of the
    whole batch. A row that could not go on waits as before, and the summary's `stopped` says why.
    Raises `UsageError` for a row that does not wait or an answer that does not fit, and as
    `run_batch` does.
    """
    check_counts(None, in_flight)
    check_prices(fleet, budget or Budget())
    progress = progress or Progress()
    spec, _ = list_waiting(out)
    request = settle(fleet, spec if build is None else spec.model_copy(update={"graph": build}))
    folder = Folder.open(out, request.spec)
    with closing(folder.book):
        chosen = answered_rows(list(waiting_rows(folder)), answers)
        await fleet.prepare(typical_plan(fleet, request, budget or Budget()))
        take_over(fleet, folder, progress)
        if budget is not None:
            folder.open_account(budget)
        left = await _go_on(fleet, request, folder, chosen, in_flight, progress)
        return renew_outputs(
            folder,
            request.table,
            request.spec.columns,
            fleet.file,
            stopped=_told(left, len(chosen)),
            plan=kept_quote(folder),
        )


async def _go_on(
    fleet: OpenFleet,
    request: Request,
    folder: Folder,
    chosen: Answered,
    in_flight: int,
    progress: Progress,
) -> dict[str, str]:
    """Go on with rows, so many at once; why some wait as before, by row id."""
    started, ledger = time.monotonic(), LocalLedger(folder.book)
    beside = texts_beside(fleet.file, request, folder)
    scoped = fleet.scoped(ledger, folder.images, beside)
    rows = RowRun(scoped, ledger, request.graph, request.spec, Budget())
    left: dict[str, str] = {}

    async def worker(waiting: Iterable[tuple[WaitingRow, Any]]) -> None:
        for row, answer in waiting:
            ran = await rows.resume(row, answer)
            if not ran.is_recorded:
                left[row.row_id] = ran.why
            progress.row((await ledger.send(ReadSpent(BATCH_ACCOUNT))).cost_micro)

    progress.start(len(chosen), 0)
    one_by_one = iter(chosen)
    workers = [asyncio.create_task(worker(one_by_one)) for _ in range(in_flight)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        progress.stop()
        folder.add_seconds(time.monotonic() - started)
    return left


def _told(left: Mapping[str, str], count: int) -> str:
    """Why some of the answered rows wait as before."""
    if not left:
        return ""
    told = "; ".join(f"{row_id}: {why}" for row_id, why in list(left.items())[:MOST_TOLD])
    more = len(left) - MOST_TOLD
    others = f"; and {more} others" if more > 0 else ""
    return f"{len(left)} of {count} answered rows wait as before ({told}{others})"
