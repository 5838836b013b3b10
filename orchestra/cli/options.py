"""Options that several commands share, and how results and errors are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from orchestra.cache.store import ReplyStore
from orchestra.core.errors import NoFeasiblePlan, OrchestraError, UsageError
from orchestra.core.job import Budget

Command = TypeVar("Command", bound=Callable[..., Any])
EXIT_FAILED = 1
EXIT_USAGE = 2


def fleet_option(command: Command) -> Command:
    """`--fleet`."""
    return click.option(
        "--fleet", default="mini", show_default=True, help="Fleet: a name, or a YAML file."
    )(command)


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")(command)


def graph_option(default: str) -> Callable[[Command], Command]:
    """`--graph`, with the command's own default."""
    return click.option(
        "--graph",
        default=default,
        show_default=True,
        help="Graph: a name, module:function, or file.py:function.",
    )


def policy_option(command: Command) -> Command:
    """`--policy`."""
    return click.option(
        "--policy",
        type=click.Path(path_type=Path),
        help="Policy that `orchestra calibrate` wrote: quality from labels, and cascades.",
    )(command)


def budget_options(command: Command) -> Command:
    """`--cost-usd --latency-ms --memory-gib --tokens`; read them with `budget_of`."""
    for name, text in (
        ("--tokens", "Most tokens, in and out."),
        ("--memory-gib", "Most memory for hosting, in GiB."),
        ("--latency-ms", "Deadline in milliseconds (of each row, in a batch)."),
        ("--cost-usd", "Most money, in US dollars (of the whole batch, in a batch)."),
    ):
        command = click.option(name, default=None, metavar="N", help=text)(command)
    return command


def budget_of(
    cost_usd: str | None, latency_ms: str | None, memory_gib: str | None, tokens: str | None
) -> Budget:
    """The budget given on the command line. Raises `InvalidBudget`."""
    return Budget(cost_usd=cost_usd, latency_ms=latency_ms, memory_gib=memory_gib, tokens=tokens)


def tag_option(command: Command) -> Command:
    """`--tag`; read it with `read_tags`."""
    return click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="KEY=VALUE",
        help="Note what is spent under this tag in the book; may be given again.",
    )(command)


def cache_options(command: Command) -> Command:
    """`--cache` and `--cache-mib`; read them with `cache_of`."""
    bound = "Most MiB of the cache; kept with it (at first: 1024)."
    command = click.option("--cache-mib", type=click.IntRange(1), metavar="N", help=bound)(command)
    place = "Folder of replies shared by runs: an identical call costs nothing."
    return click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help=place)(
        command
    )


def cache_of(folder: Path | None, most_mib: int | None) -> ReplyStore | None:
    """The cache given on the command line. Raises `UsageError` for a bound of no cache."""
    if folder is None and most_mib is not None:
        raise UsageError(f"--cache-mib {most_mib} bounds no cache. Give --cache DIR as well.")
    return None if folder is None else ReplyStore(folder, most_mib=most_mib)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def fail(error: OrchestraError, *, as_json: bool) -> NoReturn:
    """Print the error and leave: 2 when the request is wrong, else 1."""
    if as_json:
        body: dict[str, Any] = {"type": error.kind, "message": str(error)}
        if isinstance(error, NoFeasiblePlan):
            body |= {
                "tightest": error.tightest,
                "smallest": error.smallest,
                "rejected": error.rejected,
            }
        print_json({"error": body})
    click.echo(f"{error.kind}: {error}", err=True)
    sys.exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED)
