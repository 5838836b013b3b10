"""`orchestra calibrate`: from labelled rows of a batch, a policy that knows how sure is sure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from orchestra.batch.folder import Folder
from orchestra.batch.labels import truths_of
from orchestra.batch.tables.gold import read_truths
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.core.files.atomic import write_text
from orchestra.core.job import Result
from orchestra.fleet.encoders import DEFAULT, encoder_of
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
Give the batches of two models on the same rows to learn when the better one is worth asking, and
without an aim which of them answers which text well: a plan then chooses by each row's text.
Use the policy with `plan`, `run`, `batch` and `replay` --policy.
"""


@command("calibrate", EPILOG)
@click.argument("out", nargs=-1, required=True, type=PATH)
@click.option(
    "--gold", type=PATH, help="True values (default: OUT/gold.csv, and what people decided)."
)
@click.option("--id-column", help="The id column of --gold (default: as the batch's).")
@click.option(
    "--target-quality", type=float, help="Share of a field's answers that has to be right."
)
@click.option("--spend-usd", type=float, help="Dollars that a node may spend on a row, on average.")
@click.option("--out", "file", type=PATH, help="Policy to write (YAML or JSON).")
@click.option("--picture", "svg", type=PATH, help="Curves to write, as SVG.")
@click.option(
    "--encoder",
    default=DEFAULT,
    show_default=True,
    help="What reads texts to learn which model answers which well; '' is their form alone.",
)
@click.option("--seed", type=int, default=0)
def calibrate_command(
    out: tuple[Path, ...],
    gold: Path | None,
    id_column: str | None,
    target_quality: float | None,
    spend_usd: float | None,
    file: Path | None,
    svg: Path | None,
    encoder: str,
    seed: int,
) -> Output:
    """Fit how often answers of the batch in OUT are right, given their confidence; calls no model.

    Curves are judged on rows held out. Where the labels show no gain, none is claimed.
    """
    batches, fleet, models, own_id = _read(out)
    truths = _truths(out[0]) if gold is None else read_truths(gold, id_column or own_id)
    options = {"target": target_quality, "spend_usd": spend_usd, "seed": seed}
    found = encoder_of(encoder)
    fitted = calibrate(batches, truths, fleet=fleet, models=models, encoder=found, **options)
    if file is not None:
        save_policy(fitted.policy, file)
    if svg is not None:
        write_text(svg, picture(fitted))
    public = {"policy": fitted.policy.model_dump(mode="json"), "refused": list(fitted.refused)}
    return Output(public, _lines(fitted, truths, file, svg))


def _truths(out: Path) -> Truths:
    folder = Folder.read(out)
    with closing(folder.book):
        return truths_of(folder)


def _read(
    out: tuple[Path, ...],
) -> tuple[list[dict[str, Result]], str, dict[str, str], str | None]:
    """Results of each folder by row id, the fleet's name, its models, and the id column."""
    batches: list[dict[str, Result]] = []
    models: dict[str, str] = {}
    fleet, own_id = "", None
    for path in out:
        folder = Folder.read(path)
        with closing(folder.book):
            batches.append(folder.results())
            spec = folder.spec
        models |= spec.models
        fleet, own_id = fleet or spec.fleet_name, own_id or spec.columns.id
    return batches, fleet, models, own_id


def _lines(fitted: Fitted, truths: Truths, file: Path | None, svg: Path | None) -> Iterator[str]:
    yield f"{len(truths.rows)} labelled rows" + ", weighted" * truths.is_weighted
    yield text_of_fit(fitted)
    for name, path in (("policy", file), ("curves", svg)):
        if path is not None:
            yield f"{name:<8} {path}"
