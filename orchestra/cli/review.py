"""`orchestra review`: a page on which a batch's rows are approved, edited and rejected."""

from __future__ import annotations

import getpass
import secrets
import webbrowser
from contextlib import closing, suppress
from pathlib import Path

import click

from orchestra.batch.redo import why_not_refreshed
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.core.files.atomic import atomic_file
from orchestra.review.desk import Desk
from orchestra.review.index import Choice
from orchestra.review.server import LOOPBACK, listen, server_of
from orchestra.review.sheet import sheet_bytes

EPILOG = """\b
Examples:
  orchestra review out
  orchestra review out --by anna --open
  orchestra review out --xlsx queue.xlsx
\b
The page is served to this machine alone, under an address that holds a secret. Each decision is in
the book of OUT at once. Ctrl-C ends it, and writes the tables and the report anew.
With --xlsx the queue is a file instead: fill in its columns 'decision' and 'new value', and give
it to `orchestra apply OUT --file queue.xlsx`.
"""


@command("review", EPILOG)
@click.argument("out", type=PATH)
@click.option("--by", help="Who decides (default: the name of the user).")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; 0: any free one.")
@click.option("--open", "is_opened", is_flag=True, help="Open the page in a browser.")
@click.option("--xlsx", type=PATH, metavar="FILE", help="Write the queue to FILE, and serve none.")
def review_command(
    out: Path, by: str | None, port: int, is_opened: bool, xlsx: Path | None
) -> Output:
    """Review the batch in OUT: approve, edit, reject what needs a person, on a page."""
    name = by or getpass.getuser()
    with closing(Desk.open(out, name)) as desk:
        if xlsx is not None:
            return _written(desk, xlsx)
        before = desk.folder.book.state
        _serve(desk, port, is_opened)
        made = desk.folder.book.state - before
        progress = dict(desk.index.progress())
    left_as_they_were = why_not_refreshed(out) if made else ""
    return Output(
        {"out": str(out), "by": name, "decisions": made, **progress},
        [f"review   {made} decisions by {name}, {progress['left']} fields left"],
        [left_as_they_were] if left_as_they_were else (),
    )


def _serve(desk: Desk, port: int, is_opened: bool) -> None:
    own, secret = listen(port), secrets.token_urlsafe(24)
    taken = own.getsockname()[1]
    address = f"http://{LOOPBACK}:{taken}/{secret}/"
    left = desk.index.progress()["left"]
    click.echo(f"review   {left} fields need a person; Ctrl-C ends", err=True)
    click.echo(f"page     {address}", err=True)
    if is_opened:
        webbrowser.open(address)
    with suppress(KeyboardInterrupt):
        server_of(desk, taken, secret).run(sockets=[own])


def _written(desk: Desk, path: Path) -> Output:
    content = sheet_bytes(desk, Choice())
    with atomic_file(path) as file:
        file.write(content)
    left = desk.index.progress()["left"]
    return Output({"file": str(path), "fields": left}, [f"queue    {path}: {left} fields"])
