"""`orchestra advise`: which models of a fleet suit a need, ranked, with reasons; spends nothing."""

from __future__ import annotations

from typing import get_args

import click

from orchestra.cli.command import Output, command
from orchestra.cli.options import fleet_option
from orchestra.core.errors import InvalidBudget
from orchestra.core.job import Budget
from orchestra.fleet.source import load_fleet
from orchestra.routing.advice import RULES, Aim, Deployment, Modality, Need, advise, render

EPILOG = """\b
Examples:
  orchestra advise --fleet article --modality both
  orchestra advise --fleet article --modality image --aim accuracy
  orchestra advise --fleet article --deployment edge --latency-ms 100
  orchestra advise --fleet article --aim research --json
"""
AIMS = "; ".join(f"{aim}: {rule}" for aim, rule in RULES.items())


@command("advise", EPILOG)
@fleet_option
@click.option(
    "--modality",
    type=click.Choice(get_args(Modality)),
    default="text",
    help="What jobs hold.",
)
@click.option(
    "--aim",
    type=click.Choice(get_args(Aim)),
    default="balance",
    help=f"What comes first. {AIMS}.",
)
@click.option(
    "--deployment",
    type=click.Choice(get_args(Deployment)),
    default="server",
    help="edge: a small device without a network; server: one machine hosts all models; "
    "cluster: a node hosts one.",
)
@click.option("--latency-ms", metavar="N", help="Longest answer, in milliseconds.")
@click.option("--memory-gib", metavar="N", help="Memory of the machine, or of each node, in GiB.")
@click.option("--top", default=5, metavar="N", help="Options to show.")
def advise_command(
    fleet: str,
    modality: Modality,
    aim: Aim,
    deployment: Deployment,
    latency_ms: str | None,
    memory_gib: str | None,
    top: int,
) -> Output:
    """Rank the models of a fleet, alone and in pairs, for a modality, an aim and limits."""
    limits = Budget(latency_ms=latency_ms, memory_gib=memory_gib)
    need = Need(modality, aim, deployment, limits.latency_ms, limits.memory_gib)
    if top < 1:
        raise InvalidBudget(f"--top {top!r} shows nothing. Give 1 or more.")
    advice = advise(need, load_fleet(fleet)[0])
    return Output(advice.public(), [render(advice, top)])
