"""`orchestra batch`: a graph over every row of a table, into an output folder."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.batch.duplicates.groups import duplicate_lines
from orchestra.batch.output.summary import Summary, promise_lines
from orchestra.batch.plan.batch_plan import load_plan, money
from orchestra.batch.progress import Bar
from orchestra.batch.spec import DEFAULT_IN_FLIGHT, RunSettings
from orchestra.batch.start import run_batch
from orchestra.cli.command import Output, command
from orchestra.cli.options import (
    PATH,
    budget_options,
    cache_of,
    cache_options,
    fleet_option,
    graph_option,
    image_limits_of,
    policy_option,
    private_option,
    tag_option,
)
from orchestra.cli.spec import spec_of, spec_options
from orchestra.core.errors import ConfirmationNeeded
from orchestra.core.job import Budget
from orchestra.core.tags import read_tags
from orchestra.core.values import duration
from orchestra.observe import otlp

ALL_KINDS = "*"
EPILOG = """\b
Examples:
  orchestra batch products.csv --out out --limit 20
  orchestra batch products.csv --out out --cost-usd 40
  orchestra batch products.csv --out out --plan plan.json
  orchestra batch products.csv --out out --retry-failed ModelUnavailable
  orchestra batch products.csv --out out --on ray
  orchestra batch products.csv --out out --tag client=acme --tag season=spring
  orchestra batch photos.csv --image-column photo --text-columns "" --out out
  orchestra batch shopify_export.csv --out out
  orchestra batch export.txt --delimiter tab --encoding cp1252 --out out
"""


@command("batch", EPILOG)
@click.argument("table", type=PATH)
@click.option(
    "--out",
    type=PATH,
    default=Path("out"),
    help="Folder for the book, the tables and the report; the same one goes on with a batch.",
)
@graph_option("listing")
@fleet_option
@click.option("--limit", type=int, help="Only the first N rows: a pilot, continued later.")
@spec_options
@click.option(
    "--in-flight",
    type=int,
    default=DEFAULT_IN_FLIGHT,
    help="Rows that are worked on at once.",
)
@click.option(
    "--on",
    metavar="CLUSTER",
    help='Run on Ray: "ray" starts a cluster here; auto, host:port or ray://host:port uses one.',
)
@click.option("--maps", is_flag=True, help="Mark in each photo what decided its values.")
@click.option(
    "--attempts",
    type=click.IntRange(1),
    metavar="N",
    help="Tries at a row that a model fails on while it answers others (default: its card's).",
)
@click.option(
    "--retry-failed",
    "kinds",
    is_flag=False,
    flag_value=ALL_KINDS,
    multiple=True,
    metavar="[KIND,...]",
    help="Run rows that have an error once more: all, or those with an error of these types.",
)
@click.option("--plan", type=PATH, help="Plan of `orchestra plan --save`.")
@click.option(
    "--first-come",
    is_flag=True,
    help="Spend the budget in the table's order, without a sample and a plan.",
)
@click.option("--yes", is_flag=True, help="Do not ask before a paid fleet runs without a budget.")
@private_option
@policy_option
@tag_option
@cache_options
@budget_options
def batch_command(
    table: Path,
    graph: str,
    fleet: str,
    policy: Path | None,
    allow_private: bool,
    cache: Path | None,
    cache_mib: int | None,
    out: Path,
    limit: int | None,
    in_flight: int,
    on: str | None,
    attempts: int | None,
    kinds: tuple[str, ...],
    plan: Path | None,
    first_come: bool,
    yes: bool,
    tags: tuple[str, ...],
    cost_usd: str | None,
    latency_ms: str | None,
    memory_gib: str | None,
    tokens: str | None,
    **spec_values: Any,
) -> Output:
    """Enrich TABLE: a file, an address, or a folder of photos (see docs/tables.md).

    Run it again to continue where it stopped.

    A budget that may not do for all rows is spent where it helps most: a small sample is run
    first, and each kind of row gets the route that is worth it. See `orchestra plan TABLE`.
    """
    otlp.begin()
    settings = RunSettings(
        out=out,
        limit=limit,
        budget=Budget(
            cost_usd=cost_usd, latency_ms=latency_ms, memory_gib=memory_gib, tokens=tokens
        ),
        in_flight=in_flight,
        tags=read_tags(tags),
        spread=not first_come,
        yes=yes,
        on=on,
        attempts=attempts,
        retry_failed=_retried(kinds),
    )
    known = None if plan is None else load_plan(plan)

    async def run(settings: RunSettings) -> Summary:
        store, photos = cache_of(cache, cache_mib), image_limits_of(allow_private)
        opening = Fleet.open(fleet, policy=policy, cache=store, image_limits=photos)
        async with opening as opened:
            spec = spec_of(table, graph, opened, **spec_values)
            return await run_batch(opened, spec, settings, plan=known, progress=Bar())

    summary = _confirmed(run, settings)
    return Output(summary.public(), summary_lines(summary), is_failed=bool(summary.stopped))


def _retried(kinds: tuple[str, ...]) -> bool | tuple[str, ...]:
    """What `--retry-failed` was given: nothing, no type (all), or types with commas between."""
    if ALL_KINDS in kinds:
        return True
    return tuple(name.strip() for part in kinds for name in part.split(",") if name.strip())


def _confirmed(
    run: Callable[[RunSettings], Coroutine[Any, Any, Summary]], settings: RunSettings
) -> Summary:
    """Run, once more where a person at the terminal lets it go without a budget."""
    try:
        return asyncio.run(run(settings))
    except ConfirmationNeeded as question:
        if not sys.stdin.isatty():
            raise
        click.confirm(f"{question}\nRun it without a budget?", abort=True, err=True)
        return asyncio.run(run(settings.model_copy(update={"yes": True})))


def summary_lines(summary: Summary) -> Iterator[str]:
    """What a batch came to, for a person."""
    counts = ", ".join(f"{count} {status}" for status, count in summary.counts().items() if count)
    over = f" ({summary.over_budget} of them over budget)" if summary.over_budget else ""
    yield f"{summary.rows} rows: {counts}{over}"
    if summary.waiting:
        yield f"{summary.waiting} wait for an answer: orchestra resume {_folder_of(summary)}"
    yield (
        f"${summary.cost_usd:f} in {summary.seconds:.1f} s, {summary.reused} reused, "
        f"{summary.contradictions} contradictions"
    )
    if summary.duplicates is not None:
        yield from duplicate_lines(summary.duplicates)
    if summary.decided:
        told = f"orchestra decisions {_folder_of(summary)}"
        yield f"people decided of {summary.decided} rows: {told}"
    for overrun in summary.overruns:
        yield str(overrun)
    if summary.presumed_usd:
        yield f"${summary.presumed_usd:f} of it presumed: no use of these calls was reported"
    if summary.cached:
        yield f"{summary.cached} calls from the cache, saved ${summary.saved_usd:f}"
    if summary.promise is not None:
        yield from promise_lines(summary.promise, summary.rows)
    yield from _quote(summary)
    for name, path in summary.files.items():
        yield f"{name:<8} {path}"


def _folder_of(summary: Summary) -> str:
    return shlex.quote(str(Path(summary.files["report"]).parent))


def _quote(summary: Summary) -> Iterator[str]:
    """Quoted figures beside the actual ones, a line each."""
    shown: dict[str, Callable[[float], str]] = {
        "spend_usd": money,
        "seconds": duration,
        "quality": "{:.1%}".format,
    }
    for name, figure in (summary.quote or {}).items():
        show = shown[name]
        low, high = (show(bound) for bound in figure["interval"])
        verdict = "within" if figure["within"] else figure.get("why", "outside")
        yield (
            f"{name.removesuffix('_usd'):<8} {show(figure['actual'])}, quoted "
            f"{show(figure['quoted'])} [{low}, {high}]: {verdict}"
        )
