"""Options of `orchestra keys` and `orchestra tenants`, and the book that both write into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestra.book.book import Book
from orchestra.book.keys.key_messages import Left
from orchestra.book.keys.terms import Bounds
from orchestra.book.messages import LedgerMessage
from orchestra.cli.options import stack
from orchestra.core.money import dollars

T = TypeVar("T")
NONE = "none"  # takes a bound away
BOUNDS = tuple(Bounds.model_fields)

bounds_options = stack(
    click.option("--usd-per-day", metavar="N", help="Most dollars a day (UTC), or 'none'."),
    click.option("--usd-per-month", metavar="N", help="Most dollars a month (UTC), or 'none'."),
    click.option("--requests-per-minute", metavar="N", help="In any 60 seconds, or 'none'."),
    click.option("--tokens-per-minute", metavar="N", help="In and out, or 'none'."),
    click.option("--concurrent", metavar="N", help="Requests under way at once, or 'none'."),
)


def given_or_none(value: str | None) -> str | None:
    """What an option was given, where 'none' is None."""
    return None if value == NONE else value


def bounds_of(options: Mapping[str, str | None]) -> dict[str, Any]:
    """The bounds that were given, by name."""
    given = {name: options[name] for name in BOUNDS if options[name] is not None}
    return {name: given_or_none(value) for name, value in given.items()}


@contextmanager
def live_book(path: Path, *, is_made: bool = False) -> Iterator[Book]:
    """The book at `path`, which a running server may have at the same time.

    With `is_made` it is made where there is none. Raises `BookError`.
    """
    if is_made and not path.exists():
        Book.open(path).close()
    with Book.open(path, exclusive=False) as book, book.transaction(is_shared=True):
        yield book


def told(path: Path, message: LedgerMessage[T], *, is_made: bool = False) -> tuple[T, list[Left]]:
    """What the book at `path` answers, and what its budgets have left."""
    with live_book(path, is_made=is_made) as book:
        return book.do(message), book.left()


def budget_words(budgets: Sequence[Mapping[str, Any]]) -> str:
    """What is spent of each budget, in a line."""
    return "".join(
        f"  {_usd(one['spent_usd'])} of {_usd(one['limit_usd'])} this {one['period']}"
        for one in budgets
    )


def _usd(amount: float) -> str:
    return dollars(round(amount * 1_000_000))
