"""`orchestra tenants`: who has keys of a server, what they may spend, and who hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestra.access.keeping import changed, tenant_public, with_webhook_secret
from orchestra.book.keys.key_messages import ListTenants, SaveTenant
from orchestra.book.keys.terms import SERVER, TenantTerms
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, stack
from orchestra.cli.server.access_options import (
    bounds_of,
    bounds_options,
    budget_words,
    given_or_none,
    live_book,
    told,
)

EPILOG = f"""\b
Examples:
  orchestra tenants new book.sqlite acme --usd-per-month 200 --requests-per-minute 60
  orchestra tenants set book.sqlite acme --usd-per-month 300 --alert-url https://acme.example/hook
  orchestra tenants set book.sqlite acme --cheaper-at 0.8 --cheaper-model small
  orchestra tenants set book.sqlite {SERVER} --usd-per-day 50
  orchestra tenants list book.sqlite --json
\b
A running server that has the book hears of a change with the next request. {SERVER!r} is no tenant:
its bounds are those of the whole server.
"""

terms_options = stack(
    bounds_options,
    click.option("--weight", metavar="N", help="Share where tenants wait for each other."),
    click.option(
        "--cheaper-at", metavar="SHARE", help="From this share of a budget on: cheaper, or 'none'."
    ),
    click.option(
        "--cheaper-model", "models", multiple=True, help="Then only this model; may be repeated."
    ),
    click.option("--cheaper-job-usd", metavar="N", help="Then a job may cost this at most."),
    click.option("--alert-url", metavar="URL", help="Webhook at shares of budgets, or 'none'."),
    click.option(
        "--alert-at", "shares", multiple=True, metavar="SHARE", help="0.5, 0.8 and 1 without it."
    ),
    click.option(
        "--alert-private", is_flag=True, default=None, help="Send it into your own network too."
    ),
)


@click.group("tenants", epilog=EPILOG)
def tenants_command() -> None:
    """Make, change and list the tenants of a server, in the book that it has."""


@command("new", "\b\nExamples:\n  orchestra tenants new book.sqlite acme --usd-per-month 200")
@click.argument("book", type=PATH)
@click.argument("name")
@terms_options
def new_command(book: Path, name: str, **options: Any) -> Output:
    """Make the tenant NAME in BOOK, which is made where there is none."""
    return _saved(book, name, options, is_new=True)


@command("set", "\b\nExamples:\n  orchestra tenants set book.sqlite acme --usd-per-month 300")
@click.argument("book", type=PATH)
@click.argument("name")
@terms_options
def set_command(book: Path, name: str, **options: Any) -> Output:
    """Change what is given of the tenant NAME in BOOK; the rest stays. It holds at once."""
    return _saved(book, name, options, is_new=False)


@command("list", "\b\nExamples:\n  orchestra tenants list book.sqlite --json")
@click.argument("book", type=PATH)
def list_command(book: Path) -> Output:
    """List the tenants in BOOK, with what they have spent of their budgets."""
    found, left = told(book, ListTenants())
    shown = [tenant_public(one, left) for one in found]
    lines = [f"{one['name']}  made {one['made']}{budget_words(one['budgets'])}" for one in shown]
    return Output(shown, lines or ["no tenants; make one with: orchestra tenants new"])


for each in (new_command, set_command, list_command):
    tenants_command.add_command(each)


def _saved(path: Path, name: str, options: Mapping[str, Any], *, is_new: bool) -> Output:
    with live_book(path, is_made=is_new) as book:
        known = book.do(ListTenants(name))
        before = known[0].terms if known else TenantTerms()
        terms, secret = with_webhook_secret(changed(TenantTerms, before, _changes(options)))
        saved = book.do(SaveTenant(name, terms, is_new))
        public = tenant_public(saved, book.left())
    if secret is not None:
        public["webhook_secret"] = secret
    lines = [f"tenant   {name}{budget_words(public['budgets'])}"]
    lines += [f"webhook  {secret}   signs its alerts; shown this once"] if secret else []
    return Output(public, lines)


def _changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, as terms have it; None takes a part away."""
    changes: dict[str, Any] = {"bounds": bounds_of(options)}
    if options["weight"] is not None:
        changes["weight"] = options["weight"]
    cheaper = {
        "at": options["cheaper_at"],
        "models": list(options["models"]) or None,
        "job_cost_usd": options["cheaper_job_usd"],
    }
    alerts = {
        "url": options["alert_url"],
        "at": list(options["shares"]) or None,
        "allow_private": options["alert_private"],
    }
    parts = (("cheaper", "at", cheaper), ("alerts", "url", alerts))
    for name, main, part in parts:
        given = {key: value for key, value in part.items() if value is not None}
        if given:
            is_gone = main in given and given_or_none(given[main]) is None
            changes[name] = None if is_gone else given
    return changes
