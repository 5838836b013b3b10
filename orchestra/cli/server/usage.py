"""`orchestra usage`: what a book's calls came to by tenant, key, graph, model, tag or time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from orchestra.batch.folder import BOOK
from orchestra.book.book import Book
from orchestra.book.usage import UsageSums, usage
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.core.money import dollars

EPILOG = """\b
Examples:
  orchestra usage book.sqlite
  orchestra usage book.sqlite --by tenant,model --since 2026-11-01
  orchestra usage book.sqlite --by month,tenant,key --csv > november.csv
  orchestra usage book.sqlite --by day --tenant acme --json
\b
Sums are those of the book, corrections of prices counted in (see orchestra costs). Days are UTC.
"""
DAY = click.DateTime(formats=["%Y-%m-%d"])


@command("usage", EPILOG)
@click.argument("book", type=PATH)
@click.option(
    "--by",
    default="tenant",
    help="Headings with commas: tenant, key, graph, model, tag, day, month, node, row.",
)
@click.option("--since", type=DAY, metavar="DAY", help="First day, as 2026-11-01.")
@click.option("--until", type=DAY, metavar="DAY", help="Last day, counted in.")
@click.option("--tenant", help="Only what this one used.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def usage_command(
    book: Path,
    by: str,
    since: datetime | None,
    until: datetime | None,
    tenant: str | None,
    as_csv: bool,
) -> Output:
    """Sum what the calls of BOOK used, which a server may have at the same time.

    BOOK may also be the folder of a batch.
    """
    headings = tuple(filter(None, (part.strip() for part in by.split(","))))
    with Book.open(book / BOOK if book.is_dir() else book, exclusive=False) as opened:
        found = usage(
            opened,
            headings,
            since=since and since.date(),
            until=until and until.date(),
            tenant=tenant,
        )
    lines = found.csv().splitlines() if as_csv else list(_lines(found))
    return Output(found.public(), lines)


def _lines(found: UsageSums) -> Iterator[str]:
    rows = [("  ".join(one.names), one.line) for one in found.lines]
    rows.append(("total", found.total))
    width = max(len(name) for name, _ in rows)
    for name, line in rows:
        cost = dollars(line.cost_micro)
        yield f"{name:<{width}}  {cost:>12}  {line.calls} calls  {line.tokens} tokens"
