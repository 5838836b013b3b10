"""`orchestra calibrate`: from labelled rows of a batch, a policy that knows how sure is sure."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import click

from orchestra.batch.folder import Folder
from orchestra.batch.tables.gold import read_truths
from orchestra.cli.options import fail, json_option, print_json
from orchestra.core.atomic import atomic_file
from orchestra.core.errors import OrchestraError
from orchestra.core.job import Result
from orchestra.label.session import GOLD
from orchestra.quality.calibrate import Fitted, calibrate
from orchestra.quality.policy import save_policy
from orchestra.quality.readings import Truths
from orchestra.quality.report import picture, text_of_fit

EPILOG = """\b
Examples:
  orchestra calibrate out
  orchestra calibrate out --target-quality 0.95 --out policy.yaml --picture curves.svg
  orchestra calibrate out-small out-big --gold gold.csv --target-quality 0.9
  orchestra calibrate out-small out-big --spend-usd 0.0004
\b
Give the batches of two models on the same rows to learn when the better one is worth asking.
Use the policy with `plan`, `run`, `batch` and `replay` --policy.
"""


@click.command("calibrate", epilog=EPILOG)
@click.argument("out", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--gold", type=click.Path(path_type=Path), help="True values (default: OUT/gold.csv)."
)
@click.option("--id-column", help="The id column of --gold (default: as the batch's).")
@click.option(
    "--target-quality", type=float, help="Share of a field's answers that has to be right."
)
@click.option("--spend-usd", type=float, help="Dollars that a node may spend on a row, on average.")
@click.option(
    "--out", "file", type=click.Path(path_type=Path), help="Policy to write (YAML or JSON)."
)
@click.option("--picture", "svg", type=click.Path(path_type=Path), help="Curves to write, as SVG.")
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def calibrate_command(
    out: tuple[Path, ...],
    gold: Path | None,
    id_column: str | None,
    target_quality: float | None,
    spend_usd: float | None,
    file: Path | None,
    svg: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Fit how often answers of the batch in OUT are right, given their confidence; calls no model.

    Curves are judged on rows held out. Where the labels show no gain, none is claimed.
    """
    try:
        batches, fleet, models, own_id = _read(out)
        truths = read_truths(gold or out[0] / GOLD, id_column or own_id)
        options = {"target": target_quality, "spend_usd": spend_usd, "seed": seed}
        fitted = calibrate(batches, truths, fleet=fleet, models=models, **options)
        if file is not None:
            save_policy(fitted.policy, file)
        if svg is not None:
            with atomic_file(svg) as picture_file:
                picture_file.write(picture(fitted).encode("utf-8"))
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        body = json.loads(fitted.policy.model_dump_json())
        print_json({"policy": body, "refused": list(fitted.refused)})
        return
    _print(fitted, truths, file, svg)


def _read(
    out: tuple[Path, ...],
) -> tuple[list[dict[str, Result]], str, dict[str, str], str | None]:
    """Results of each folder by row id, the fleet's name, its models, and the id column."""
    batches: list[dict[str, Result]] = []
    models: dict[str, str] = {}
    fleet, own_id = "", None
    with ExitStack() as stack:
        for path in out:
            folder = Folder.read(path)
            stack.callback(folder.book.close)
            results: dict[str, Result] = {}
            for row in folder.book.rows():
                results.setdefault(row.row_id, Result.model_validate_json(row.record_json))
            batches.append(results)
            spec = folder.spec
            models |= spec.models
            fleet, own_id = fleet or spec.fleet_name, own_id or spec.columns.id
    return batches, fleet, models, own_id


def _print(fitted: Fitted, truths: Truths, file: Path | None, svg: Path | None) -> None:
    click.echo(f"{len(truths.rows)} labelled rows" + ", weighted" * truths.is_weighted)
    click.echo(text_of_fit(fitted))
    for name, path in (("policy", file), ("curves", svg)):
        if path is not None:
            click.echo(f"{name:<8} {path}")
