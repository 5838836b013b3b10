"""`orchestra keys`: keys of a server made, listed, changed, rotated and revoked, in its book."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click

from orchestra.access.keeping import (
    MOST_DAYS,
    MOST_OVERLAP_S,
    changed,
    key_public,
    new_key_message,
    rotated_message,
)
from orchestra.access.secret import MARK, read_key
from orchestra.book.keys.key_messages import ListKeys, RevokeKey, SetKey
from orchestra.book.keys.terms import KeyTerms, Route
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, stack
from orchestra.cli.server.access_options import (
    bounds_of,
    bounds_options,
    budget_words,
    live_book,
    told,
)
from orchestra.core.errors import UsageError

EPILOG = """\b
Examples:
  orchestra keys new book.sqlite --tenant acme --name shop
  orchestra keys new book.sqlite --tenant acme --route chat --model small --local --days 90
  orchestra keys set book.sqlite 3f9c01d2a4b7 --usd-per-day 5
  orchestra keys rotate book.sqlite 3f9c01d2a4b7 --overlap-hours 2
  orchestra keys revoke book.sqlite 3f9c01d2a4b7
  orchestra keys list book.sqlite --tenant acme --json
\b
A key is shown once, as it is made: the book keeps its SHA-256. A running server that has the book
hears of a change with the next request.
"""

terms_options = stack(
    click.option("--name", metavar="TEXT", help="What the key is for."),
    click.option(
        "--route",
        "routes",
        multiple=True,
        type=click.Choice(get_args(Route)),
        help="What it may be used for (default: all but metrics and admin); may be repeated.",
    ),
    click.option("--model", "models", multiple=True, help="Only this model; may be repeated."),
    click.option("--graph", "graphs", multiple=True, help="Only this graph; may be repeated."),
    click.option(
        "--local/--anywhere",
        "is_local",
        default=None,
        help="Only models that keep data on this machine, or any.",
    ),
    click.option(
        "--lane",
        type=click.Choice(["interactive", "batch"]),
        help="Where its requests wait (default: interactive).",
    ),
    bounds_options,
)


@click.group("keys", epilog=EPILOG)
def keys_command() -> None:
    """Make, list, change, rotate and revoke the keys of a server, in the book that it has."""


@command("new", "\b\nExamples:\n  orchestra keys new book.sqlite --tenant acme --name shop")
@click.argument("book", type=PATH)
@click.option("--tenant", required=True, help="Whose key it is (see: orchestra tenants new).")
@click.option(
    "--days", type=click.FloatRange(0, MOST_DAYS, min_open=True), help="Valid for so long."
)
@terms_options
def new_command(book: Path, tenant: str, days: float | None, **options: Any) -> Output:
    """Make a key of a tenant in BOOK. It is shown this once."""
    terms = changed(KeyTerms, KeyTerms(), _changes(options))
    key, message = new_key_message(tenant, terms, days=days)
    saved, _ = told(book, message)
    notes = [f"id {saved.id}, of {tenant}. The key is not shown again: keep it where secrets are."]
    return Output({**key_public(saved), "key": key}, [key], notes)


@command("list", "\b\nExamples:\n  orchestra keys list book.sqlite --tenant acme")
@click.argument("book", type=PATH)
@click.option("--tenant", help="Only keys of this one.")
def list_command(book: Path, tenant: str | None) -> Output:
    """List the keys in BOOK; never a secret."""
    found, left = told(book, ListKeys(tenant))
    shown = [key_public(one, left) for one in found]
    return Output(shown, [_line(one) for one in shown] or ["no keys"])


@command("show", "\b\nExamples:\n  orchestra keys show book.sqlite 3f9c01d2a4b7")
@click.argument("book", type=PATH)
@click.argument("key")
def show_command(book: Path, key: str) -> Output:
    """Show KEY in BOOK, by its id or all of it: a slip in it is told."""
    id = _id(key)
    found, left = told(book, ListKeys(id=id))
    if not found:
        raise UsageError(f"There is no key {id!r} in {str(book)!r}. See: orchestra keys list")
    shown = key_public(found[0], left)
    terms = found[0].terms.model_dump_json(exclude_defaults=True)
    return Output(shown, [_line(shown), f"terms  {terms}"])


@command("set", "\b\nExamples:\n  orchestra keys set book.sqlite 3f9c01d2a4b7 --usd-per-day 5")
@click.argument("book", type=PATH)
@click.argument("key")
@terms_options
def set_command(book: Path, key: str, **options: Any) -> Output:
    """Change what is given of KEY in BOOK; the rest stays. It holds at once."""
    id = _id(key)
    with live_book(book) as opened:
        known = opened.do(ListKeys(id=id))
        before = known[0].terms if known else KeyTerms()
        saved = opened.do(SetKey(id, changed(KeyTerms, before, _changes(options))))
        shown = key_public(saved, opened.left())
    return Output(shown, [_line(shown)])


@command("rotate", "\b\nExamples:\n  orchestra keys rotate book.sqlite 3f9c01d2a4b7")
@click.argument("book", type=PATH)
@click.argument("key")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, MOST_OVERLAP_S / 3600),
    default=24.0,
    help="So long what was before stays valid.",
)
def rotate_command(book: Path, key: str, overlap_hours: float) -> Output:
    """Give KEY in BOOK another secret, which is shown this once; id, terms and budgets stay."""
    secret, message = rotated_message(_id(key), overlap_hours * 3600)
    saved, _ = told(book, message)
    notes = [f"what was before is valid until {saved.old_until}"]
    return Output({**key_public(saved), "key": secret}, [secret], notes)


@command("revoke", "\b\nExamples:\n  orchestra keys revoke book.sqlite 3f9c01d2a4b7")
@click.argument("book", type=PATH)
@click.argument("key")
def revoke_command(book: Path, key: str) -> Output:
    """Make KEY in BOOK invalid for ever, from the next request on. What is under way ends."""
    saved, _ = told(book, RevokeKey(_id(key)))
    shown = key_public(saved)
    return Output(shown, [_line(shown)])


for each in (
    new_command,
    list_command,
    show_command,
    set_command,
    rotate_command,
    revoke_command,
):
    keys_command.add_command(each)


def _id(key: str) -> str:
    """The id that was given, or that of a whole key. Raises `UsageError` for one with a slip."""
    return read_key(key) if key.startswith(f"{MARK}_") else key


def _line(shown: Mapping[str, Any]) -> str:
    name = shown["terms"]["name"]
    named = f"  {name!r}" if name else ""
    ends = f"  until {shown['expires']}" if shown["expires"] else ""
    return (
        f"{shown['id']}  {shown['tenant']}  {shown['state']}{named}  made {shown['made']}{ends}"
        f"{budget_words(shown['budgets'])}"
    )


def _changes(options: Mapping[str, Any]) -> dict[str, Any]:
    scope: dict[str, Any] = {
        name: list(options[name]) for name in ("routes", "models", "graphs") if options[name]
    }
    if options["is_local"] is not None:
        scope["data"] = "local" if options["is_local"] else "any"
    changes: dict[str, Any] = {"scope": scope, "bounds": bounds_of(options)}
    return changes | {name: options[name] for name in ("name", "lane") if options[name] is not None}
