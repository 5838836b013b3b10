"""How an amount goes up a chain of accounts: where it counts, and where there is no room for it.

Pure, and the same for every ledger. A reservation counts in its account and those above, up to the
first that *holds* (has reserved what may be spent in it from its parent already). What is spent
counts everywhere: above a hold it turns a part of the held amount into spent, which needs no room.
Costs and tokens are held separately: an account that bounds only costs lets tokens count on
upwards.

A call may be charged more than was reserved for it. That is spent all the same, so that it is never
refused; it may leave an account above its limit. Then nothing more begins under it, also in what
was held before, until what is spent and on its way fits again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from orchestra.book.amounts import (
    NOTHING,
    UNITS,
    AccountLimits,
    Amount,
    Unit,
    closed_account,
    exceeded,
)
from orchestra.book.messages import Overrun


@dataclass(frozen=True, slots=True)
class Standing:
    """An account as it stands; `overrun` is what of `spent` was never reserved."""

    id: str
    hold: bool
    closed: bool
    limits: AccountLimits
    ceilings: AccountLimits
    spent: Amount
    open: Amount
    overrun: Amount

    @property
    def is_over(self) -> bool:
        """Whether more is spent and reserved than a limit allows."""
        return any(self._over(unit) for unit in UNITS)

    @property
    def taken(self) -> Amount:
        """What a hold takes of its parent's room: what is reserved in it, and may be yet."""
        return Amount(*(self._taken(unit) for unit in UNITS))

    def used(self, unit: Unit) -> int:
        """What is spent or reserved."""
        return self.spent.of(unit) + self.open.of(unit)

    def bound(self, unit: Unit) -> int | None:
        """What may be spent and reserved; a ceiling counts none of the overrun."""
        limit, ceiling = self.limits.of(unit), self.ceilings.of(unit)
        if ceiling is None:
            return limit
        planned = ceiling + self.overrun.of(unit)
        return planned if limit is None else min(limit, planned)

    def _taken(self, unit: Unit) -> int:
        bound = self.bound(unit)
        if bound is None:
            return self.open.of(unit)
        return max(self.open.of(unit), bound - self.spent.of(unit))

    def _over(self, unit: Unit) -> bool:
        limit = self.limits.of(unit)
        return limit is not None and self.used(unit) > limit


@dataclass(frozen=True, slots=True)
class Step:
    """What is added to one account of a chain."""

    open: Amount
    spent: Amount
    overrun: Amount
    pending: int


@dataclass(frozen=True, slots=True)
class Above:
    """What is known of a chain beside its accounts, by their place in it; asked only in need.

    `on_its_way` is what all calls under an account reserve now, what is held left out.
    """

    overruns: Callable[[int], Sequence[Overrun]]
    on_its_way: Callable[[int], Amount]


def steps(
    chain: Sequence[Standing],
    reserved: Amount,
    above: Above,
    *,
    who: str,
    spent: Amount = NOTHING,
    overrun: Amount = NOTHING,
    pending: int = 0,
) -> list[Step]:
    """What each account of `chain`, beginning with the lowest, gets of it; the rest gets nothing.

    `reserved` is negative where something is given back. `who` stands in messages.

    Raises `BudgetExceeded` where there is no room, `BookError` for a closed account.
    """
    found: list[Step] = []
    opened = reserved
    for place, account in enumerate(chain):
        if opened == NOTHING and spent == NOTHING and not pending:
            break
        if account.closed:
            raise closed_account(account.id, who)
        for unit in UNITS:
            _check_room(account, opened.of(unit), unit, who, lambda p=place: above.overruns(p))
        found.append(Step(opened, spent, overrun, pending))
        if account.hold:
            after = replace(
                account,
                spent=account.spent + spent,
                open=account.open + opened,
                overrun=account.overrun + overrun,
            )
            opened, pending = after.taken - account.taken, 0
    _check_above_holds(chain, reserved, above, who)
    return found


def _check_room(
    account: Standing, asked: int, unit: Unit, who: str, overruns: Callable[[], Sequence[Overrun]]
) -> None:
    bound = account.bound(unit)
    if bound is not None and asked > 0 and bound < account.used(unit) + asked:
        raise exceeded(
            account.id,
            who,
            unit,
            limit=bound,
            used=account.used(unit),
            asked=asked,
            overruns=overruns() if account.overrun != NOTHING else (),
        )


def _check_above_holds(chain: Sequence[Standing], asked: Amount, above: Above, who: str) -> None:
    """What is held was reserved before; it is of no use once it is spent beyond its bounds."""
    held = False
    for place, account in enumerate(chain):
        limits = account.limits
        for unit in UNITS if held and account.is_over else ():
            limit, more = limits.of(unit), asked.of(unit)
            if limit is None or more <= 0 or account.used(unit) <= limit:
                continue
            used = account.spent.of(unit) + above.on_its_way(place).of(unit)
            if used + more > limit:
                raise exceeded(
                    account.id,
                    who,
                    unit,
                    limit=limit,
                    used=used,
                    asked=more,
                    overruns=above.overruns(place),
                )
        held = held or account.hold
