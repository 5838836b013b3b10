"""Options of `orchestra serve`, and what of them the served application is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestra.book.postgres import is_postgres
from orchestra.cli.options import PATH, cache_options, fleet_option, policy_option, stack
from orchestra.fleet.source import graph_place, load_graph
from orchestra.observe.export import DEFAULT_MIB
from orchestra.observe.lines import SERVICE_NAME
from orchestra.serving.admission.guard import PLACES
from orchestra.serving.courier import webhook_of

GRACE_S = 30.0

_canary_options = stack(
    click.option(
        "--canary-percent",
        type=click.FloatRange(0, 100),
        default=0.0,
        metavar="N",
        help="Share of requests that a second version answers, until it is worse.",
    ),
    click.option("--canary-fleet", default="", help="Its fleet, where that is another."),
    click.option("--canary-policy", default="", help="Its policy."),
    click.option("--canary-graph", default="", help="What it runs instead of the first graph."),
)

# Their values are arguments of the application, by name; `cache_mib` is kept with the cache.
app_options = stack(
    fleet_option,
    click.option(
        "--book",
        help="File or postgresql:// that keeps the ledger over restarts (default: spending counts "
        "from the start).",
    ),
    click.option("--keys", is_flag=True, help="Every request needs a key of the book."),
    click.option(
        "--cost-usd-per-day",
        metavar="N",
        help="Most that the server spends in a day (UTC); a fleet that bills needs it, or --yes.",
    ),
    click.option("--yes", is_flag=True, help="Serve a fleet that bills without that ceiling."),
    click.option(
        "--ingresses",
        type=click.IntRange(1),
        default=1,
        help="Processes that run graphs; they share one ledger.",
    ),
    policy_option,
    cache_options,
    _canary_options,
    click.option(
        "--webhook",
        help="Address to tell of batches that end and runs that wait, signed by the secret in "
        "ORCHESTRA_WEBHOOK_SECRET.",
    ),
    click.option(
        "--queue",
        type=click.IntRange(1),
        default=PLACES,
        show_default=True,
        help="Requests that may wait to be served; others are refused at once.",
    ),
    click.option(
        "--max-ongoing",
        type=click.IntRange(1),
        help="Requests served at once (default: found by how long they take).",
    ),
    click.option(
        "--host-name",
        "host_names",
        multiple=True,
        metavar="NAME",
        help="Name that clients reach the server by, beside its addresses; may be given again.",
    ),
)

# Their values are those of a `Told`, by name, but for the grace.
end_options = stack(
    click.option(
        "--grace-s",
        type=click.FloatRange(0),
        default=GRACE_S,
        metavar="N",
        help="Seconds that requests under way have when it is stopped.",
    ),
    click.option(
        "--service-name",
        "service",
        envvar=SERVICE_NAME,
        default="orchestra",
        help="Name of the service in its log lines and spans.",
    ),
    click.option(
        "--log-level",
        "level",
        type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
        default="info",
    ),
    click.option(
        "--log", type=PATH, help="Write the log lines, JSON, to this file instead of stderr."
    ),
    click.option(
        "--traces",
        type=PATH,
        help="Write the spans of every request to this file, one JSON object a line.",
    ),
    click.option(
        "--traces-mib",
        "most_mib",
        type=click.IntRange(1),
        default=DEFAULT_MIB,
        metavar="N",
        help="Most MiB of that file, and of --log, with the one before it; the newest stay.",
    ),
)


def args_of(graphs: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, str]:
    """What `app_options` were given, as replicas read it; what is a default is left out.

    `graphs` are those beside the application's own. Raises `InvalidGraph` for one that there is
    not, and `UsageError` for a webhook that cannot be sent, before anything starts.
    """
    webhook_of(given["webhook"] or "")
    told: dict[str, str | None] = {
        "graphs": ",".join(map(_found, graphs)),
        "book": given["book"] and _book(given["book"]),
        "webhook": given["webhook"],
        "keys": given["keys"] and "true",
        "yes": given["yes"] and "true",
        "cost_usd_per_day": given["cost_usd_per_day"],
        "host_names": ",".join(given["host_names"]),
        "ingresses": _other_than(1, given["ingresses"]),
        "queue": _other_than(PLACES, given["queue"]),
        "max_ongoing": _other_than(None, given["max_ongoing"]),
        "canary_percent": _other_than(0.0, given["canary_percent"]),
        "canary_fleet": _fleet(given["canary_fleet"]),
        "canary_graph": given["canary_graph"] and _found(given["canary_graph"]),
    }
    for name in ("policy", "cache", "canary_policy"):
        told[name] = given[name] and str(Path(given[name]).resolve())
    return {"fleet": _fleet(given["fleet"])} | {name: one for name, one in told.items() if one}


def _other_than(usual: float | None, value: float | None) -> str:
    return "" if value == usual else str(value)


def _book(book: str) -> str:
    return book if is_postgres(book) else str(Path(book).resolve())


def _fleet(fleet: str) -> str:
    """Replicas run in other folders, so a file is named by its whole path."""
    return str(Path(fleet).resolve()) if fleet.endswith((".yaml", ".yml")) else fleet


def _found(graph: str) -> str:
    """A graph as replicas find it: a file by its whole path. Raises `InvalidGraph`."""
    place = graph_place(load_graph(graph))
    return place if place and ".py:" in graph else graph
