"""The part of `orchestra plan` that plans a table; it prints, and decides nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestra.app import Fleet
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.survey import DEFAULT_SAMPLE, Wish
from orchestra.batch.progress import Bar
from orchestra.batch.spec import DEFAULT_IN_FLIGHT
from orchestra.batch.start import plan_batch
from orchestra.batch.tables.table import READERS
from orchestra.cli.options import budget_of, fail, print_json
from orchestra.cli.spec import spec_of, spec_options
from orchestra.core.errors import InvalidBudget, OrchestraError, UsageError
from orchestra.core.job import Budget

Command = TypeVar("Command", bound=Callable[..., Any])
UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?\s*", re.IGNORECASE)

_OPTIONS = (
    click.option("--deadline", metavar="TIME", help="For the whole table: 90s, 45min, 2h, 1h30m."),
    click.option("--hosts", type=int, help="Hosts there are; without it, those needed are told."),
    click.option("--sample", type=int, help=f"Rows of the sample.  [default: {DEFAULT_SAMPLE}]"),
    click.option("--seed", type=int, help="Seed of the sample.  [default: 0]"),
    click.option("--dry", is_flag=True, help="Run no sample: prices of the cards, no intervals."),
    click.option(
        "--out", type=click.Path(path_type=Path), help="The batch's folder [default: out]."
    ),
    click.option("--save", type=click.Path(path_type=Path), help="Save the plan as JSON."),
    click.option(
        "--gold",
        multiple=True,
        metavar="FIELD=COLUMN",
        help="A column of the table with true values of a field.",
    ),
    click.option("--field", "fields", multiple=True, help="Field that counts  [default: all]."),
    spec_options,
    click.option("--limit", type=int, help="Plan only the first N rows."),
    click.option("--in-flight", type=int, help=f"Rows at once.  [default: {DEFAULT_IN_FLIGHT}]"),
    click.option("--yes", is_flag=True, help="Do not ask before a paid fleet runs its sample."),
)


def table_options(command: Command) -> Command:
    """Options that only a table has."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_table(argument: str) -> bool:
    """Whether the argument names a table: by its suffix, as a text rarely ends so."""
    return Path(argument).suffix.lower() in READERS and "\n" not in argument


def refuse_table_options(options: dict[str, Any]) -> None:
    """Raise `UsageError` when an option for tables is given for a job."""
    for name, value in options.items():
        if value not in (None, (), False):
            option = {"fields": "field", "photos": "images"}.get(name, name).replace("_", "-")
            raise UsageError(
                f"--{option} is for the plan of a table, and the argument names none. "
                f"Give a file that ends with {', '.join(READERS)}."
            )


def plan_table_command(
    table: Path,
    graph: str,
    fleet: str,
    limits: dict[str, Any],
    as_json: bool,
    policy: Path | None,
    cache: Path | None,
    options: dict[str, Any],
) -> None:
    """Plan, print, and save where that was asked for."""
    save: Path | None = options.pop("save")

    async def plan() -> BatchPlan:
        async with Fleet.open(fleet, policy=policy, cache=cache) as opened:
            return await _plan(opened, table, graph, budget_of(**limits), **options)

    try:
        made = asyncio.run(plan())
        if save is not None:
            made.save(save)
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(made.public())
    else:
        click.echo(str(made))
        if save is not None:
            click.echo(f"saved to {save}: orchestra batch {table} --plan {save}")


async def _plan(
    fleet: Fleet,
    table: Path,
    graph: str,
    budget: Budget,
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
    in_flight: int | None,
    yes: bool,
    **asked: Any,
) -> BatchPlan:
    wish = Wish(
        budget=budget,
        deadline_s=None if deadline is None else seconds_of(deadline),
        hosts=hosts,
        sample=DEFAULT_SAMPLE if sample is None else sample,
        seed=seed or 0,
        gold=pairs_of(gold),
        fields=fields,
        limit=limit,
    )
    return await plan_batch(
        fleet,
        spec_of(table, graph, fleet, **asked),
        wish,
        out=None if dry else out or Path("out"),
        in_flight=DEFAULT_IN_FLIGHT if in_flight is None else in_flight,
        yes=yes,
        progress=Bar(),
    )


def pairs_of(given: tuple[str, ...]) -> dict[str, str]:
    """`field=column` pairs. Raises `UsageError`."""
    pairs: dict[str, str] = {}
    for pair in given:
        name, equals, column = pair.partition("=")
        if not (name.strip() and equals and column.strip()):
            raise UsageError(
                f"--gold {pair!r} is no pair. Give the field and the column of its true values, "
                "as in --gold category=true_category."
            )
        pairs[name.strip()] = column.strip()
    return pairs


def seconds_of(text: str) -> float:
    """A duration as `90s`, `45min`, `2h` or `1h30m`; a bare number is seconds.

    Raises `InvalidBudget`.
    """
    parts = DURATION.findall(text)
    if not parts or DURATION.sub("", text).strip():
        raise InvalidBudget(f"deadline={text!r} is no duration. Give one as in 90s, 45min or 2h.")
    return sum(float(number) * UNITS_S[(unit or "s").lower()] for number, unit in parts)
