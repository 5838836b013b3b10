"""Derives the outputs of a batch anew, after people decided of its rows; it runs no model."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from orchestra.batch.folder import Folder
from orchestra.batch.output.files import renew_outputs
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.pilot import kept_quote
from orchestra.core.errors import OrchestraError
from orchestra.fleet.source import load_fleet


def refresh_outputs(out: Path) -> Summary:
    """Write tables, report and summary of the batch in `out` from its book and its table.

    Raises `OutputMismatch` where the table is another than the batch has run: the next run of the
    batch writes them. Raises `BookError` when `out` holds no batch, `InvalidTable`, `InvalidFleet`
    and `DiskFull`; what was decided is kept in any case.
    """
    folder = Folder.read(out)
    with closing(folder.book):
        spec = folder.spec
        table = folder.own_table()
        plan = kept_quote(folder)
        fleet, _ = load_fleet(spec.fleet)
        return renew_outputs(folder, table, spec.columns, fleet, stopped="", plan=plan)


def why_not_refreshed(out: Path) -> str:
    """Write the outputs again after a decision; where that cannot be, why: it is kept anyway."""
    try:
        refresh_outputs(out)
    except OrchestraError as error:
        return f"What was decided is kept, but the outputs are as they were: {error}"
    return ""
