"""Do a batch plan's intervals hold, and what share of the quality does half the money keep?

    python -m benchmarks.batch_quote --data DIR --rows 500

Rows are texts and real photos of groceries that stand together (`catalog_rows`); accuracy is the
share of all rows whose category is right, a row that was not served being wrong. The whole batch
is run first; then, each in a new folder: for three budgets a plan from a sample and the batch by
it; and at half the full cost the rows in the table's order and in random orders. `DIR` is a folder
with `grocery/` and `clothing/`.

Prices are those of the fleet times `--price-scale`: a call of a bundled model costs less than the
micro-dollar that it is rounded up to, which would hide what routes cost beside each other. The
table's own order and the sample are seeded.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import fmean

from benchmarks.parts.catalog_rows import Row, read_rows
from graphs.listing import build, default_recipe
from orchestra.app import Fleet
from orchestra.batch.folder import Folder
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.survey import Wish
from orchestra.batch.plan.worth import Gold
from orchestra.batch.tables.table import Row as TableRow
from orchestra.core.card import FleetFile, Price
from orchestra.core.job import Budget, Result
from orchestra.core.stats import wilson
from orchestra.fleet.source import load_fleet

FACTS = default_recipe().model_copy(update={"write": None})
GOLD = {"category": "truth"}
BUDGETS = (0.4, 0.5, 0.8)  # of the full cost
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """A batch that is over: its spend and how many rows are right."""

    summary: Summary
    right: int
    rows: int

    @property
    def accuracy(self) -> float:
        """Share of all rows that are right."""
        return self.right / self.rows

    def __str__(self) -> str:
        low, high = wilson(self.right, self.rows) or (0.0, 1.0)
        return (
            f"{self.accuracy:.1%} [{low:.1%}, {high:.1%}] right, ${self.summary.cost_usd:f}, "
            f"{self.summary.seconds:.0f} s, {self.summary.pending} rows not served"
        )


def scaled(name: str, scale: int) -> Fleet:
    """The fleet called `name` with every price times `scale`."""
    file, folder = load_fleet(name)
    cards = [card.model_copy(update={"price": _dearer(card.price, scale)}) for card in file.models]
    dearer = FleetFile(name=f"{file.name}x{scale}", domain=file.domain, models=tuple(cards))
    return Fleet(dearer, folder)


def _dearer(price: Price, scale: int) -> Price:
    values = {name: value for name, value in price if isinstance(value, Decimal)}
    return price.model_copy(update={name: value * scale for name, value in values.items()})


def write_table(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as a user's table: text, photo and the true category."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "image", "truth"])
        for number, row in enumerate(rows):
            writer.writerow([f"{number:05}", row.text, row.photo.resolve(), row.truth["category"]])
    return path


async def batch(
    fleet: Fleet, table: Path, out: Path, *, cap: Decimal | None, plan: BatchPlan | None = None
) -> Run:
    """Run the table and count the rows that are right."""
    summary = await fleet.batch(
        build,
        table,
        out=out,
        recipe=FACTS,
        text_columns=["text"],
        photo_root="/",  # the data is elsewhere
        budget=Budget(cost_usd=cap),
        plan=plan,
    )
    with table.open(encoding="utf-8", newline="") as file:
        truths = {row["id"]: row["truth"] for row in csv.DictReader(file)}
    folder, judge = Folder.read(out), Gold(GOLD)
    try:
        right = sum(
            judge(_row(truths[row.row_id]), Result.model_validate_json(row.record_json))["category"]
            for row in folder.book.rows()
        )
    finally:
        folder.book.close()
    return Run(summary, round(right), len(truths))


def _row(truth: str) -> TableRow:
    return TableRow(1, {"truth": truth})


async def quoted(fleet: Fleet, table: Path, out: Path, cap: Decimal, sample: int) -> Run:
    """Plan within `cap`, run by the plan, and print the quote beside what came."""
    wish = Wish(budget=Budget(cost_usd=cap), sample=sample, gold=GOLD, fields=("category",), seed=1)
    columns = {"recipe": FACTS, "text_columns": ["text"], "photo_root": "/"}
    plan = await fleet.plan_batch(build, table, wish, out=out, **columns)
    print(f"\nbudget ${cap:f}: sample of {len(plan.sampled)} rows, ${plan.sample_usd:f}")
    for kind in plan.kinds:
        mix = ", ".join(f"{way.rows} {way.route}" for way in kind.ways if way.rows)
        print(f"  {kind.name}: {mix}{f', {kind.left} over budget' if kind.left else ''}")
    run = await batch(fleet, table, out, cap=cap, plan=plan)
    for name, figure in (run.summary.quote or {}).items():
        low, high = figure["interval"]
        verdict = "within" if figure["within"] else "OUTSIDE"
        print(
            f"  {name:<9} quoted {figure['quoted']:.4f} [{low:.4f}, {high:.4f}], actual "
            f"{figure['actual']:.4f}: {verdict}"
        )
    print(f"  allocated {run}", flush=True)
    return run


async def first_come(fleet: Fleet, rows: list[Row], folder: Path, cap: Decimal) -> Run:
    """The rows in the order given, until the money is spent."""
    table = write_table(folder / "order.csv", rows)
    out = folder / "order"
    shutil.rmtree(out, ignore_errors=True)
    return await batch(fleet, table, out, cap=cap)


async def measure(options: argparse.Namespace, folder: Path) -> None:
    """Run everything and print it."""
    rows = list(read_rows(options.data, options.split))
    random.Random(0).shuffle(rows)
    rows = rows[: options.rows]
    table = write_table(folder / "products.csv", rows)
    async with scaled(options.fleet, options.price_scale) as fleet:
        full = await batch(fleet, table, folder / "full", cap=None)
        print(f"{len(rows)} rows of {options.split}, fleet {fleet.file.name}")
        print(f"in full: {full}", flush=True)
        half, runs = None, []
        for share in BUDGETS:
            cap = (full.summary.cost_usd * Decimal(str(share))).quantize(Decimal("0.000001"))
            run = await quoted(fleet, table, folder / f"at-{share}", cap, options.sample)
            runs.append(run)
            half = run if share == HALF else half
        if half is None:
            raise SystemExit(f"BUDGETS {BUDGETS} hold no {HALF}, which is compared. Add it.")
        cap = (full.summary.cost_usd * Decimal(str(HALF))).quantize(Decimal("0.000001"))
        ordered = await first_come(fleet, rows, folder, cap)
        print(f"\nat half the full cost, ${cap:f}; of the quality in full is kept:")
        _print_kept("allocated, its sample paid", half, full)
        _print_kept("first come first served", ordered, full)
        kept = []
        for seed in range(options.random_seeds):
            mixed = random.Random(100 + seed).sample(rows, len(rows))
            run = await first_come(fleet, mixed, folder, cap)
            _print_kept(f"random, seed {seed}", run, full)
            kept.append(run.accuracy / full.accuracy)
        if kept:
            print(f"  random, mean of {len(kept)} seeds: {fmean(kept):.1%}")
    held = [f["within"] for run in runs for f in (run.summary.quote or {}).values()]
    print(f"\nintervals that contain the actual figure: {sum(held)} of {len(held)}")


def _print_kept(name: str, run: Run, full: Run) -> None:
    print(f"  {name}: {run.accuracy / full.accuracy:.1%} ({run})", flush=True)


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--split", default="val", help="SPLIT.csv of the photos")
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--random-seeds", type=int, default=3)
    parser.add_argument("--price-scale", type=int, default=1000)
    parser.add_argument("--fleet", default="mini")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(measure(options, Path(temporary)))


if __name__ == "__main__":
    main()
