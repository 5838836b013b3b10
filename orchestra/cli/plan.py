"""`orchestra plan`: how a job would be routed and what it would cost; spends nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from orchestra.cli.options import (
    budget_of,
    budget_options,
    fail,
    fleet_option,
    graph_option,
    json_option,
    policy_option,
    print_json,
)
from orchestra.errors import OrchestraError, UsageError
from orchestra.fleet.fleet import Build, Fleet
from orchestra.fleet.source import load_graph
from orchestra.job import Job
from orchestra.routing.explain import Explanation
from orchestra.routing.explain import picture as drawn
from orchestra.routing.plan import Plan

EPILOG = """\b
Examples:
  orchestra plan "Red cotton shirt" --image shirt.jpg --graph listing
  orchestra plan "Is it ripe?" --fleet article --memory-gib 4 --explain
  orchestra plan "Is it ripe?" --image apple.jpg --picture > plan.mmd
  orchestra plan "Red cotton shirt" --graph listing --cache cache
"""


@click.command(epilog=EPILOG)
@click.argument("text", required=False)
@click.option("--image", "images", multiple=True, help="Photo: path, URL or data URI.")
@graph_option("answer")
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
@budget_options
@json_option
def plan(
    text: str | None,
    images: tuple[str, ...],
    graph: str,
    fleet: str,
    local: bool,
    explain: bool,
    picture: bool,
    policy: Path | None,
    cache: Path | None,
    as_json: bool,
    **limits: str | None,
) -> None:
    """Print the plan for TEXT and photos: route, models, prices, and why not the others."""
    try:
        job = Job(
            text=text,
            images=images,
            budget=budget_of(**limits),
            data="local" if local else "any",
        )
        opened, build = Fleet.open(fleet, policy=policy), load_graph(graph)
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
