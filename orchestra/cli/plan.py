"""`orchestra plan`: how a job would be routed, or what the batch of a table would come to.

A job's plan spends nothing; a table's runs a small sample, unless it is dry.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.cli.options import (
    budget_of,
    budget_options,
    fail,
    fleet_option,
    json_option,
    policy_option,
    print_json,
)
from orchestra.cli.plan_table import (
    is_table,
    plan_table_command,
    refuse_table_options,
    table_options,
)
from orchestra.core.errors import OrchestraError, UsageError
from orchestra.core.job import Job
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


@click.command(epilog=EPILOG)
@click.argument("text", required=False)
@click.option("--image", "images", multiple=True, help="Photo: path, URL or data URI.")
@click.option("--graph", help="Graph  [default: answer, of a table listing].")
@fleet_option
@click.option("--local", is_flag=True, help="Use only models that keep data on this machine.")
@click.option("--explain", is_flag=True, help="Say also which budget would change the plan.")
@click.option("--picture", is_flag=True, help="Print a mermaid flowchart instead of the table.")
@policy_option
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Price the calls that this cache answers at nothing.",
)
@table_options
@budget_options
@json_option
def plan(
    text: str | None,
    images: tuple[str, ...],
    graph: str | None,
    fleet: str,
    local: bool,
    explain: bool,
    picture: bool,
    policy: Path | None,
    cache: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Print the plan for TEXT and photos, or for a table: routes, prices, and why not others.

    For a table (.csv, .tsv, .jsonl, .ndjson or .parquet) a small sample is run, which is paid
    into the batch's book in --out. Then it prints what the whole batch will come to.
    """
    limits = {name: options.pop(name) for name in LIMITS}
    if text is not None and is_table(text):
        where = Path(text), graph or "listing", fleet
        plan_table_command(*where, limits, as_json, policy, cache, options)
        return
    try:
        refuse_table_options(options)
        job = Job(
            text=text,
            images=images,
            budget=budget_of(**limits),
            data="local" if local else "any",
        )
        opened, build = Fleet.open(fleet, policy=policy), load_graph(graph or "answer")
        if cache is not None:
            _refuse_with_cache(explain or picture)
            planned = asyncio.run(_with_cache(fleet, policy, build, job, cache))
        else:
            asked = opened.explain if explain or picture else opened.plan
            planned = asked(build, job)
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(planned.public())
    elif picture and isinstance(planned, Explanation):
        click.echo(drawn(planned))
    else:
        click.echo(str(planned))


def _refuse_with_cache(also: bool) -> None:
    if also:
        raise UsageError(
            "--cache prices one plan; --explain and --picture compare plans, which a cache does "
            "not change. Give one or the other."
        )


async def _with_cache(name: str, policy: Path | None, build: Build, job: Job, cache: Path) -> Plan:
    async with Fleet.open(name, policy=policy, cache=cache) as fleet:
        return await fleet.plan_with_cache(build, job)
