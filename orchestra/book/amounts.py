"""Amounts of money and tokens, chains of accounts, and what is said when they do not fit.

It knows no database.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.core.errors import BookError, BudgetExceeded
from orchestra.core.money import MOST_MICRO, dollars


@dataclass(frozen=True, slots=True)
class Amount:
    """Micro-dollars and tokens together."""

    micro: int = 0
    tokens: int = 0

    def __neg__(self) -> Amount:
        return Amount(-self.micro, -self.tokens)


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an account in micro-dollars and tokens; None does not bind."""

    micro: int | None
    tokens: int | None

    @property
    def kinds(self) -> tuple[bool, bool]:
        """Which of the two bind."""
        return self.micro is not None, self.tokens is not None

    def less(self, spent: Amount) -> Amount:
        """What is left of the limits that bind; 0 for those that do not."""
        return Amount(
            0 if self.micro is None else self.micro - spent.micro,
            0 if self.tokens is None else self.tokens - spent.tokens,
        )


@dataclass(frozen=True, slots=True)
class Link:
    """One account of a chain to the root, with what of it is held."""

    number: int
    hold: bool
    holds_micro: bool
    holds_tokens: bool


Chain = tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Spent:
    """What an account and everything under it has spent and reserved, in micro-dollars, tokens.

    `presumed_*` is the part of `cost_micro` that recovery presumed: calls that were on their way
    when a process died.
    """

    cost_micro: int
    tokens: int
    open_cost_micro: int
    open_tokens: int
    presumed_micro: int
    presumed_entries: int


def check_amount(name: str, value: int | None, *, about: str) -> None:
    """Raise `BookError` unless `value` is None or a whole amount of 0 or more that can be added.

    `about` names the account or entry.
    """
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_MICRO:
        raise BookError(
            f"{name}={value!r} of {about} is not an amount: it must be a whole number between 0 "
            f"and {MOST_MICRO}. Convert dollars with orchestra.core.money."
        )


def unknown_account(id: str | int) -> BookError:
    """The error for an account that was never opened."""
    return BookError(f"No account {id!r} in this book. Open it with open_account first.")


def closed_account(id: str, who: str) -> BookError:
    """The error for a reservation in a closed account."""
    return BookError(
        f"Account {id!r} is closed, so {who} cannot use it. Open it again with open_account."
    )


def exceeded(id: str, who: str, limits: Limits, used: Amount, asked: Amount) -> BudgetExceeded:
    """The error that names the tight limit of account `id`: dollars before tokens."""
    left = limits.less(used)
    if limits.micro is not None and asked.micro > left.micro:
        return BudgetExceeded(
            f"Budget {id!r} has {dollars(left.micro)} left of {dollars(limits.micro)}, and {who} "
            f"asks for up to {dollars(asked.micro)}. Raise its cost limit to "
            f"{dollars(used.micro + asked.micro)} or more, or take a cheaper model."
        )
    return BudgetExceeded(
        f"Budget {id!r} has {left.tokens} tokens left of {limits.tokens}, and {who} asks for up "
        f"to {asked.tokens}. Raise its token limit to {used.tokens + asked.tokens} or more, "
        f"or ask for less."
    )
