"""Amounts of money and tokens, their limits, and what is said where they do not fit.

It knows no ledger: the one in a file and the one in memory say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestra.book.keys.budget_names import refill_of
from orchestra.book.messages import OpenAccount, Overrun
from orchestra.core.errors import BookError, BudgetExceeded
from orchestra.core.money import MOST_MICRO, dollars

Unit = Literal["micro", "tokens"]


@dataclass(frozen=True, slots=True)
class Amount:
    """Micro-dollars and tokens together."""

    micro: int = 0
    tokens: int = 0

    def __neg__(self) -> Amount:
        return Amount(-self.micro, -self.tokens)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.micro + other.micro, self.tokens + other.tokens)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.micro - other.micro, self.tokens - other.tokens)

    def beyond(self, most: Amount) -> Amount:
        """What of it is more than `most`, of either."""
        return Amount(max(0, self.micro - most.micro), max(0, self.tokens - most.tokens))


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Limits of an account in micro-dollars and tokens; None does not bind."""

    micro: int | None = None
    tokens: int | None = None


def bounds_of(opened: OpenAccount) -> tuple[AccountLimits, AccountLimits]:
    """Limits and ceilings of an account that is to be opened.

    Raises `BookError` where one is no amount, or a hold has none.
    """
    limits = checked_limits(opened.id, opened.cost_micro, opened.tokens)
    ceilings = checked_limits(opened.id, opened.ceiling_micro, opened.ceiling_tokens)
    if opened.hold and limits == ceilings == AccountLimits():
        raise BookError(
            f"Account {opened.id!r} holds nothing: hold=True needs cost_micro, tokens or a "
            "ceiling. Set one."
        )
    return limits, ceilings


def checked_limits(id: str, cost_micro: int | None, tokens: int | None) -> AccountLimits:
    """The limits of account `id`. Raises `BookError` where one is no amount."""
    check_amount("cost_micro", cost_micro, about=f"account {id!r}")
    check_amount("tokens", tokens, about=f"account {id!r}")
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
        f"Account {id!r} was opened with other values of (parent, hold, limits, ceilings): "
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
    id: str,
    who: str,
    unit: Unit,
    *,
    limit: int,
    used: int,
    asked: int,
    overruns: Sequence[Overrun] = (),
) -> BudgetExceeded:
    """The error that names the tight limit of account `id`, and who charged beyond its bound.

    `used` of `limit` is spent or reserved, and `who` asks for up to `asked` more.
    """
    if unit == "micro":
        show, of, name, other = dollars, "", "cost", "take a cheaper model"
    else:
        show, of, name, other = str, " tokens", "token", "ask for less"
    cause = _cause(unit, overruns)
    spent = f" ({show(used)} are spent or reserved)" if used > limit else ""
    error = BudgetExceeded(
        f"Budget {id!r} has {show(max(0, limit - used))}{of} left of {show(limit)}{spent}, and "
        f"{who} asks for up to {show(asked)}.{cause} Raise its {name} limit to "
        f"{show(used + asked)} or more, or {other}.{refill_of(id)}"
    )
    error.account = id
    return error


def too_low(
    id: str, unit: Unit, *, limit: int, used: int, overruns: Sequence[Overrun]
) -> BudgetExceeded:
    """The error for a new limit of account `id` under what is spent or reserved in it already."""
    if unit == "micro":
        most, least, name = dollars(limit), dollars(used), "cost"
    else:
        most, least, name = f"{limit} tokens", f"{used} tokens", "token"
    return BudgetExceeded(
        f"Budget {id!r} cannot be set to {most}, as {least} are spent or reserved already."
        f"{_cause(unit, overruns)} Set its {name} limit to {least} or more."
    )


def _cause(unit: Unit, overruns: Sequence[Overrun]) -> str:
    """Which models charged more of it than their bounds."""
    beyond = [one for one in overruns if (one.cost_micro, one.tokens)[unit == "tokens"]]
    return "".join(f" {one}" for one in beyond)
