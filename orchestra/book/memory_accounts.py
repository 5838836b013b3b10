"""Accounts of a ledger in memory: budgets in a tree, and how an amount moves through them.

What `accounts` says of a book's accounts holds here, too. It knows no message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from orchestra.book.amounts import NOTHING, Amount, Limits, closed_account, exceeded

State = Literal["dispatched", "settled", "released", "presumed"]


@dataclass(eq=False, slots=True)
class Account:
    """A budget; `pending` counts the calls and held accounts open right under it."""

    id: str
    parent: Account | None
    limits: Limits
    hold: bool
    closed: bool = True
    spent: Amount = NOTHING
    open: Amount = NOTHING
    pending: int = 0
    presumed_micro: int = 0
    presumed_calls: int = 0
    has_children: bool = False
    calls: list[MemoryCall] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class MemoryCall:
    """A call by its uid: what it reserved, and how far it is."""

    uid: str
    account: Account
    key: str
    worst: Amount
    state: State = "dispatched"


@dataclass(slots=True)
class _Step:
    """What one account of a chain takes."""

    account: Account
    spent: Amount
    open: Amount
    pending: int


def presume(account: Account | None, worst: Amount) -> None:
    """Count a call that may have been made at its worst case, in `account` and all above it."""
    while account is not None:
        account.presumed_micro += worst.micro
        account.presumed_calls += 1
        account = account.parent


def change(
    account: Account,
    inside: Amount,
    *,
    who: str,
    beyond: Amount = NOTHING,
    spent: Amount = NOTHING,
    pending: int = 0,
) -> None:
    """Add to a chain's counters as `Accounts._change` does: all of it, or nothing."""
    steps: list[_Step] = []
    link: Account | None = account
    while link is not None and (inside != NOTHING or spent != NOTHING or pending):
        used = Amount(link.spent.micro + link.open.micro, link.spent.tokens + link.open.tokens)
        more = Amount(inside.micro + spent.micro, inside.tokens + spent.tokens)
        if link.closed:
            raise closed_account(link.id, who)
        left = link.limits.less(used)
        if (link.limits.micro is not None and more.micro > left.micro) or (
            link.limits.tokens is not None and more.tokens > left.tokens
        ):
            raise exceeded(link.id, who, link.limits, used, inside)
        steps.append(_Step(link, spent, inside, pending))
        if link.hold:
            inside = Amount(
                beyond.micro if link.limits.micro is not None else inside.micro,
                beyond.tokens if link.limits.tokens is not None else inside.tokens,
            )
            pending = 0
        link = link.parent
    for step in steps:
        one = step.account
        one.spent = Amount(one.spent.micro + step.spent.micro, one.spent.tokens + step.spent.tokens)
        one.open = Amount(one.open.micro + step.open.micro, one.open.tokens + step.open.tokens)
        one.pending += step.pending
