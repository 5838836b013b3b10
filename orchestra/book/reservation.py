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
from dataclasses import dataclass
from typing import Any

from orchestra.book.amounts import NOTHING, Amount, Unit, closed_account, exceeded
from orchestra.book.messages import Overrun


@dataclass(eq=False, slots=True)
class Standing:
    """An account as it stands; `overrun_*` is what of `spent_*` was never reserved.

    Each call asks for a few of these, so that they are plain numbers.
    """

    id: str
    hold: bool
    closed: bool
    limit_micro: int | None
    limit_tokens: int | None
    ceiling_micro: int | None
    ceiling_tokens: int | None
    spent_micro: int = 0
    spent_tokens: int = 0
    open_micro: int = 0
    open_tokens: int = 0
    overrun_micro: int = 0
    overrun_tokens: int = 0

    @property
    def used_micro(self) -> int:
        """Micro-dollars that are spent or reserved."""
        return self.spent_micro + self.open_micro

    @property
    def used_tokens(self) -> int:
        """Tokens that are spent or reserved."""
        return self.spent_tokens + self.open_tokens

    @property
    def bound_micro(self) -> int | None:
        """Micro-dollars that may be spent and reserved."""
        return _bound(self.limit_micro, self.ceiling_micro, self.overrun_micro)

    @property
    def bound_tokens(self) -> int | None:
        """Tokens that may be spent and reserved."""
        return _bound(self.limit_tokens, self.ceiling_tokens, self.overrun_tokens)

    @property
    def is_over(self) -> bool:
        """Whether more is spent and reserved than a limit allows."""
        return (self.limit_micro is not None and self.used_micro > self.limit_micro) or (
            self.limit_tokens is not None and self.used_tokens > self.limit_tokens
        )

    @property
    def taken(self) -> Amount:
        """What a hold takes of its parent's room: what is reserved in it, and may be yet."""
        return Amount(
            _taken(self.bound_micro, self.open_micro, self.spent_micro),
            _taken(self.bound_tokens, self.open_tokens, self.spent_tokens),
        )

    def excuse(self, presumed: Amount) -> None:
        """Raise the ceiling by what a call cost that nobody told the end of, so that another fits.

        The limit stays: it is money. What is held of a parent stays as well.
        """
        if self.hold:
            return
        if self.ceiling_micro is not None:
            self.ceiling_micro += presumed.micro
        if self.ceiling_tokens is not None:
            self.ceiling_tokens += presumed.tokens

    def add(self, opened: Amount, spent: Amount, overrun: Amount) -> None:
        """Count it."""
        self.open_micro += opened.micro
        self.open_tokens += opened.tokens
        self.spent_micro += spent.micro
        self.spent_tokens += spent.tokens
        self.overrun_micro += overrun.micro
        self.overrun_tokens += overrun.tokens


def is_same(known: Sequence[Any], given: Sequence[Any]) -> bool:
    """Whether an account is opened again as it was; its ceilings may have risen meanwhile."""
    *fixed, micro, tokens = known
    *asked, least_micro, least_tokens = given
    pairs = ((micro, least_micro), (tokens, least_tokens))
    return fixed == asked and all(
        now == first or (now is not None and first is not None and now > first)
        for now, first in pairs
    )


def _bound(limit: int | None, ceiling: int | None, overrun: int) -> int | None:
    """The tighter of both; a ceiling counts none of the overrun."""
    if ceiling is None or (limit is not None and limit < ceiling + overrun):
        return limit
    return ceiling + overrun


def _taken(bound: int | None, opened: int, spent: int) -> int:
    return opened if bound is None else max(opened, bound - spent)


@dataclass(frozen=True, slots=True)
class Above:
    """What is known of a chain beside its accounts, by their place in it; asked only in need.

    `on_its_way` is what all calls under an account reserve now, what is held left out.
    """

    overruns: Callable[[int], Sequence[Overrun]]
    on_its_way: Callable[[int], Amount]


def count(
    chain: Sequence[Standing],
    reserved: Amount,
    above: Above,
    *,
    who: str,
    spent: Amount = NOTHING,
    overrun: Amount = NOTHING,
    pending: bool = False,
) -> list[Amount]:
    """Count an amount in `chain`, beginning with the lowest account, and say what each reserves.

    The accounts above those that are answered get nothing of it. `reserved` is negative where
    something is given back, and `pending` says that a call or hold begins or ends with it. `who`
    stands in messages.

    Raises `BudgetExceeded` where there is no room, `BookError` for a closed account; then nothing
    was counted.
    """
    found: list[Amount] = []
    opened, held = reserved, False
    begins = reserved.micro > 0 or reserved.tokens > 0
    goes_on = bool(spent.micro or spent.tokens or pending)
    for place, account in enumerate(chain):
        if held and begins and account.is_over:
            _check_really(account, place, reserved, above, who)
        if not (goes_on or opened.micro or opened.tokens):
            if begins:
                continue  # what is held was reserved before; all above may yet be over its limit
            break
        if account.closed:
            raise closed_account(account.id, who)
        if opened.micro > 0 or opened.tokens > 0:
            _check_room(account, place, opened, above, who)
        found.append(opened)
        if account.hold:
            opened = _beyond(account, opened, spent, overrun)
            goes_on, held = bool(spent.micro or spent.tokens), True
    for account, step in zip(chain, found, strict=False):
        account.add(step, spent, overrun)
    return found


def _beyond(account: Standing, opened: Amount, spent: Amount, overrun: Amount) -> Amount:
    """What a hold reserves more or less of its parent once it has counted these."""
    one = account
    micro, tokens = opened.micro, opened.tokens
    before = one.bound_micro
    if before is not None:
        after = _bound(one.limit_micro, one.ceiling_micro, one.overrun_micro + overrun.micro)
        held = _taken(after, one.open_micro + micro, one.spent_micro + spent.micro)
        micro = held - _taken(before, one.open_micro, one.spent_micro)
    before = one.bound_tokens
    if before is not None:
        after = _bound(one.limit_tokens, one.ceiling_tokens, one.overrun_tokens + overrun.tokens)
        held = _taken(after, one.open_tokens + tokens, one.spent_tokens + spent.tokens)
        tokens = held - _taken(before, one.open_tokens, one.spent_tokens)
    return Amount(micro, tokens)


def _check_room(account: Standing, place: int, asked: Amount, above: Above, who: str) -> None:
    micro, tokens = account.bound_micro, account.bound_tokens
    unit: Unit
    if micro is not None and asked.micro > 0 and micro < account.used_micro + asked.micro:
        unit, limit, used, more = "micro", micro, account.used_micro, asked.micro
    elif tokens is not None and asked.tokens > 0 and tokens < account.used_tokens + asked.tokens:
        unit, limit, used, more = "tokens", tokens, account.used_tokens, asked.tokens
    else:
        return
    overran = account.overrun_micro or account.overrun_tokens
    overruns = above.overruns(place) if overran else ()
    raise exceeded(account.id, who, unit, limit=limit, used=used, asked=more, overruns=overruns)


def _check_really(account: Standing, place: int, asked: Amount, above: Above, who: str) -> None:
    """What is held is of no use once the money is spent: count what is on its way, not held."""
    away = above.on_its_way(place)
    micro, tokens = account.limit_micro, account.limit_tokens
    unit: Unit
    if _is_short(micro, account.used_micro, account.spent_micro + away.micro, asked.micro):
        unit, limit, used, more = "micro", micro, account.spent_micro + away.micro, asked.micro
    elif _is_short(tokens, account.used_tokens, account.spent_tokens + away.tokens, asked.tokens):
        unit, limit, used, more = "tokens", tokens, account.spent_tokens + away.tokens, asked.tokens
    else:
        return
    overruns = above.overruns(place)
    raise exceeded(
        account.id, who, unit, limit=limit or 0, used=used, asked=more, overruns=overruns
    )


def _is_short(limit: int | None, used: int, really: int, asked: int) -> bool:
    return limit is not None and asked > 0 and limit < used and limit < really + asked
