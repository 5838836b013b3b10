"""Amounts of money and tokens, their limits, and what is said where they do not fit.

It knows no ledger: the one in a file and the one in memory say the same.
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

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.micro + other.micro, self.tokens + other.tokens)

    def within(self, most: Amount) -> Amount:
        """No more than `most` of either."""
        return Amount(min(self.micro, most.micro), min(self.tokens, most.tokens))


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Limits of an account in micro-dollars and tokens; None does not bind."""

    micro: int | None
    tokens: int | None

    def less(self, spent: Amount) -> Amount:
        """What is left of the limits that bind; 0 for those that do not."""
        return Amount(
            0 if self.micro is None else self.micro - spent.micro,
            0 if self.tokens is None else self.tokens - spent.tokens,
        )


def checked_limits(
    id: str, cost_micro: int | None, tokens: int | None, *, hold: bool = False
) -> AccountLimits:
    """The limits of account `id`. Raises `BookError` where one is no amount, or a hold has none."""
    check_amount("cost_micro", cost_micro, about=f"account {id!r}")
    check_amount("tokens", tokens, about=f"account {id!r}")
    if hold and cost_micro is None and tokens is None:
        raise BookError(
            f"Account {id!r} holds nothing: hold=True needs cost_micro or tokens. Set one."
        )
    return AccountLimits(cost_micro, tokens)


def check_amount(name: str, value: int | None, *, about: str) -> None:
    """Raise `BookError` unless `value` is None or a whole amount of 0 or more that can be added.

    `about` names the account or call.
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
    return BookError(f"No account {id!r} in this book. Open it with OpenAccount first.")


def other_values(id: str, known: object, now: object) -> BookError:
    """The error for an account that is open with other values."""
    return BookError(
        f"Account {id!r} was opened with other values of (parent, hold, cost_micro, tokens): "
        f"{known!r}, now {now!r}. Take another id."
    )


def closed_account(id: str, who: str) -> BookError:
    """The error for a reservation in a closed account."""
    return BookError(
        f"Account {id!r} is closed, so {who} cannot use it. Open it again with OpenAccount."
    )


def busy_account(id: str, pending: int) -> BookError:
    """The error for closing an account that is in use."""
    return BookError(
        f"Account {id!r} has {pending} open calls or held accounts under it. "
        "Settle, release or close them before closing it."
    )


def exceeded(
    id: str, who: str, limits: AccountLimits, used: Amount, amount: Amount
) -> BudgetExceeded:
    """The error that names the tight limit of account `id`: dollars before tokens."""
    left = limits.less(used)
    if limits.micro is not None and amount.micro > left.micro:
        return BudgetExceeded(
            f"Budget {id!r} has {dollars(left.micro)} left of {dollars(limits.micro)}, and {who} "
            f"asks for up to {dollars(amount.micro)}. Raise its cost limit to "
            f"{dollars(used.micro + amount.micro)} or more, or take a cheaper model."
        )
    return BudgetExceeded(
        f"Budget {id!r} has {left.tokens} tokens left of {limits.tokens}, and {who} asks for up "
        f"to {amount.tokens}. Raise its token limit to {used.tokens + amount.tokens} or more, "
        f"or ask for less."
    )
