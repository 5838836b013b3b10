"""`orchestra plan`: how a job would be routed, or what the batch of a table would come to.

A job's plan spends nothing; a table's runs a small sample, unless it is dry.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.survey import DEFAULT_SAMPLE, Wish
from orchestra.batch.progress import Bar
from orchestra.batch.spec import DEFAULT_IN_FLIGHT
from orchestra.batch.start import plan_batch
from orchestra.batch.tables.table import SUFFIXES, is_table_name
from orchestra.cli.command import Output, command
from orchestra.cli.options import (
    PATH,
    budget_options,
    columns_by_field,
    fleet_option,
    image_limits_of,
    images_option,
    local_option,
    policy_option,
    private_option,
    stack,
)
from orchestra.cli.spec import spec_of, spec_options
from orchestra.core.errors import InvalidBudget, UsageError
from orchestra.core.job import Budget, Job
from orchestra.fleet.opened import Build
from orchestra.fleet.source import load_graph
from orchestra.routing.explain import Explanation
from orchestra.routing.explain import picture as drawn
from orchestra.routing.options import LIMITS
from orchestra.routing.plan import Plan

EPILOG = """\b
Examples:
  orchestra plan "Red cotton shirt" --image shirt.jpg --graph listing
  orchestra plan "Is it ripe?" --fleet article --memory-gib 4 --explain
  orchestra plan "Is it ripe?" --image apple.jpg --picture > plan.mmd
  orchestra plan "Red cotton shirt" --graph listing --cache cache
  orchestra plan products.csv --cost-usd 40 --deadline 2h --save plan.json
  orchestra plan products.csv --cost-usd 40 --gold category=true_category --dry
"""
UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
OPTION_NAMES = {"fields": "field", "photos": "images", "format_": "format"}
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?\s*", re.IGNORECASE)
# None, empty or false where they are not given: a job's plan takes none of them.
table_options = stack(
    click.option("--deadline", metavar="TIME", help="For the whole table: 90s, 45min, 2h, 1h30m."),
    click.option("--hosts", type=int, help="Hosts there are; without it, those needed are told."),
    click.option("--sample", type=int, help=f"Rows of the sample.  [default: {DEFAULT_SAMPLE}]"),
    click.option("--seed", type=int, help="Seed of the sample.  [default: 0]"),
    click.option("--dry", is_flag=True, help="Run no sample: prices of the cards, no intervals."),
    click.option("--out", type=PATH, help="The batch's folder [default: out]."),
    click.option("--save", type=PATH, help="Save the plan as JSON."),
    click.option(
        "--gold",
        multiple=True,
        metavar="FIELD=COLUMN",
        help="A column of the table with true values of a field.",
    ),
    click.option("--routes", is_flag=True, help="Print also which rows take which route, and why."),
    click.option("--field", "fields", multiple=True, help="Field that counts  [default: all]."),
    spec_options,
    click.option("--limit", type=int, help="Plan only the first N rows."),
    click.option("--in-flight", type=int, help=f"Rows at once.  [default: {DEFAULT_IN_FLIGHT}]"),
    click.option("--yes", is_flag=True, help="Do not ask before a paid fleet runs its sample."),
)


@command("plan", EPILOG)
@click.argument("text", required=False)
@images_option
@click.option("--graph", help="Graph  [default: answer, of a table listing].")
@fleet_option
@local_option
@private_option
@click.option("--explain", is_flag=True, help="Say also which budget would change the plan.")
@click.option("--picture", is_flag=True, help="Print a mermaid flowchart instead of the table.")
@policy_option
@click.option(
    "--cache",
    type=PATH,
    metavar="DIR",
    help="Price the calls that this cache answers at nothing.",
)
@table_options
@budget_options
def plan_command(
    text: str | None,
    images: tuple[str, ...],
    graph: str | None,
    fleet: str,
    local: bool,
    allow_private: bool,
    explain: bool,
    picture: bool,
    policy: Path | None,
    cache: Path | None,
    **options: Any,
) -> Output:
    """Print the plan for TEXT and photos, or for a table: routes, prices, and why not others.

    For a table (see docs/tables.md) a small sample is run, which is paid into the batch's book in
    --out. Then it prints what the whole batch will come to: money, time, rows for a person, quality
    and what is left out; with --routes also by which routes.
    """
    limits = {name: options.pop(name) for name in LIMITS}
    photos = image_limits_of(allow_private)
    if text is not None and is_table_name(text):
        opened = Fleet.open(fleet, policy=policy, cache=cache, image_limits=photos)
        return _plan_table(opened, Path(text), graph or "listing", limits, **options)
    _refuse_table_options(options)
    data = "local" if local else "any"
    job = Job(text=text, images=images, budget=Budget(**limits), data=data)
    if cache is not None and (explain or picture):
        raise UsageError(
            "--cache prices one plan; --explain and --picture compare plans, which a cache does "
            "not change. Give one or the other."
        )
    opened = Fleet.open(fleet, policy=policy, cache=cache, image_limits=photos)
    build = load_graph(graph or "answer")
    if cache is not None:
        planned = asyncio.run(_with_cache(opened, build, job))
    else:
        planned = (opened.explain if explain or picture else opened.plan)(build, job)
    if picture and isinstance(planned, Explanation):
        return Output(planned.public(), [drawn(planned)])
    return Output(planned.public(), [str(planned)])


async def _with_cache(opened: Fleet, build: Build, job: Job) -> Plan:
    async with opened as fleet:
        return await fleet.plan_with_cache(build, job)


def _refuse_table_options(options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value not in (None, (), False):
            option = OPTION_NAMES.get(name, name).replace("_", "-")
            raise UsageError(
                f"--{option} is for the plan of a table, and the argument names none. "
                f"Give a file that ends with {', '.join(SUFFIXES)}."
            )


def _plan_table(
    opened: Fleet,
    table: Path,
    graph: str,
    limits: dict[str, Any],
    *,
    deadline: str | None,
    hosts: int | None,
    sample: int | None,
    seed: int | None,
    gold: tuple[str, ...],
    fields: tuple[str, ...],
    limit: int | None,
    dry: bool,
    out: Path | None,
    save: Path | None,
    in_flight: int | None,
    yes: bool,
    routes: bool,
    **spec_values: Any,
) -> Output:
    async def plan() -> BatchPlan:
        async with opened as fleet:
            wish = Wish(
                budget=Budget(**limits),
                deadline_s=None if deadline is None else seconds_of(deadline),
                hosts=hosts,
                sample=DEFAULT_SAMPLE if sample is None else sample,
                seed=seed or 0,
                gold=columns_by_field("--gold", gold),
                fields=fields,
                limit=limit,
            )
            return await plan_batch(
                fleet,
                spec_of(table, graph, fleet, **spec_values),
                wish,
                out=None if dry else out or Path("out"),
                in_flight=DEFAULT_IN_FLIGHT if in_flight is None else in_flight,
                yes=yes,
                progress=Bar(),
            )

    planned = asyncio.run(plan())
    lines = [str(planned), *(["", planned.routes()] if routes else [])]
    if save is not None:
        planned.save(save)
        told = ["orchestra", "batch", str(table), "--plan", str(save)]
        told += [] if out is None else ["--out", str(out)]  # where the sample is booked
        lines.append(f"saved to {save}: {shlex.join(told)}")
    return Output(planned.public(), lines)


def seconds_of(text: str) -> float:
    """A duration as `90s`, `45min`, `2h` or `1h30m`; a bare number is seconds.

    Raises `InvalidBudget`.
    """
    parts = DURATION.findall(text)
    if not parts or DURATION.sub("", text).strip():
        raise InvalidBudget(f"deadline={text!r} is no duration. Give one as in 90s, 45min or 2h.")
    return sum(float(number) * UNITS_S[(unit or "s").lower()] for number, unit in parts)
