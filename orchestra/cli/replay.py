"""`orchestra replay`: another policy over a finished batch's recorded calls; calls no model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from orchestra.batch.output.rows import results_of, said_of
from orchestra.batch.score.replay import Replay, replay
from orchestra.batch.tables.gold import read_truths
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.quality.policy import load_policy

EPILOG = """\b
Examples:
  orchestra replay out --policy new.yaml
  orchestra replay out --policy new.yaml --truth truth.csv --json
\b
new.yaml:
  fields:
    category: {order: [read, look], min_confidence: 0.6}
  gate: {min_accuracy: 0.8, min_coverage: 0.5, max_cost_usd_per_row: 0.001}
"""


@command("replay", EPILOG)
@click.argument("out", type=PATH)
@click.option("--policy", type=PATH, required=True, help="Policy (YAML).")
@click.option("--truth", type=PATH, help="Table of true values.")
@click.option("--id-column", help="The truth's id column (default: as the batch's).")
def replay_command(out: Path, policy: Path, truth: Path | None, id_column: str | None) -> Output:
    """Replay the batch in OUT under another policy: coverage, accuracy and cost, without calls.

    Ends with 1 when the policy's gate is missed, so that it can guard a merge.
    """
    other = load_policy(policy)
    rows, own_id = results_of(out)
    known = None if truth is None else read_truths(truth, id_column or own_id)
    truths = known and {row_id: row.values for row_id, row in known.rows.items()}
    found = replay(said_of(out), other, truths, rows)
    return Output(found.public(), _lines(found), is_failed=bool(found.missed))


def _lines(found: Replay) -> Iterator[str]:
    for one in found.fields:
        line = f"{one.field}: coverage {one.coverage:.3f} (recorded {one.recorded_coverage:.3f})"
        if one.accuracy is not None and one.accuracy_interval is not None:
            low, high = one.accuracy_interval
            line += f", accuracy {one.accuracy:.3f} [{low:.3f}, {high:.3f}]"
        if one.recorded_accuracy is not None:
            line += f" (recorded {one.recorded_accuracy:.3f})"
        yield f"{line}, {one.changed} of {one.rows} rows change"
    yield f"cost ${found.cost_usd:f} (recorded ${found.recorded_cost_usd:f})"
    for miss in found.missed:
        yield f"gate missed: {miss}"
