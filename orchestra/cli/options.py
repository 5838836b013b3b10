"""Options that several commands share, and what is read from them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestra.cache.store import ReplyStore
from orchestra.core.errors import InvalidDecision, UsageError
from orchestra.images.limits import ImageLimits

Function = TypeVar("Function", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
LANGUAGE = click.Choice(["auto", "en", "zh"])

DEFAULT_FLEET = "mini"
fleet_option = click.option("--fleet", default=DEFAULT_FLEET, help="Fleet: a name, or a YAML file.")
images_option = click.option(
    "--image", "images", multiple=True, help="Photo: path, URL or data URI."
)
local_option = click.option(
    "--local", is_flag=True, help="Use only models that keep data on this machine."
)
private_option = click.option(
    "--allow-private", is_flag=True, help="Fetch photos also from addresses of your own network."
)
policy_option = click.option(
    "--policy",
    type=PATH,
    help="Policy that `orchestra calibrate` wrote: quality from labels, and cascades.",
)
tag_option = click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="KEY=VALUE",
    help="Note what is spent under this tag in the book; may be given again.",
)
by_option = click.option(
    "--by", metavar="NAME", help="Who decides (default: the user of this machine)."
)


def who(by: str | None) -> str:
    """Who decides: as given, else the user of this machine. Raises `InvalidDecision` for nobody."""
    try:
        name = getpass.getuser() if by is None else by.strip()
    except (KeyError, OSError):  # a user without a name, as in a container
        name = ""
    if not name:
        raise InvalidDecision("Nobody is named as who decides. Give --by NAME.")
    return name


def graph_option(default: str) -> Callable[[Function], Function]:
    """`--graph`, with the command's own default."""
    return click.option(
        "--graph", default=default, help="Graph: a name, module:function, or file.py:function."
    )


def stack(*options: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Several options as one decorator, in the order in which `--help` shows them."""

    def add(function: Function) -> Function:
        """Put the options on `function`."""
        for option in reversed(options):
            function = option(function)
        return function

    return add


# Their values are those of a `Budget`, by name.
budget_options = stack(
    click.option(
        "--cost-usd",
        metavar="N",
        help="Most money, in US dollars (of the whole batch, in a batch).",
    ),
    click.option(
        "--latency-ms", metavar="N", help="Deadline in milliseconds (of each row, in a batch)."
    ),
    click.option("--memory-gib", metavar="N", help="Most memory for hosting, in GiB."),
    click.option("--tokens", metavar="N", help="Most tokens, in and out."),
)

cache_options = stack(
    click.option(
        "--cache",
        type=PATH,
        metavar="DIR",
        help="Folder of replies shared by runs: an identical call costs nothing.",
    ),
    click.option(
        "--cache-mib",
        type=click.IntRange(1),
        metavar="N",
        help="Most MiB of the cache; kept with it (at first: 1024).",
    ),
)


def cache_of(folder: Path | None, most_mib: int | None) -> ReplyStore | None:
    """The cache of `cache_options`. Raises `UsageError` for a bound of no cache."""
    if folder is None and most_mib is not None:
        raise UsageError(f"--cache-mib {most_mib} bounds no cache. Give --cache DIR as well.")
    return None if folder is None else ReplyStore(folder, most_mib=most_mib)


def image_limits_of(allow_private: bool) -> ImageLimits:
    """The bounds of photos, with what `private_option` was given."""
    return ImageLimits(allow_private=allow_private)


def columns_by_field(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """FIELD=COLUMN pairs that `option` was given. Raises `UsageError` for what is no pair."""
    columns: dict[str, str] = {}
    for pair in pairs:
        name, _, column = (part.strip() for part in pair.partition("="))
        if not (name and column):
            raise UsageError(
                f"{option} {pair!r} is no pair. Give FIELD=COLUMN for each field with true values, "
                f"as in {option} category=true_category."
            )
        columns[name] = column
    return columns
