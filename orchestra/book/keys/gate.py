"""Lets requests in: their key, what it may, its money by day and month, its rates.

The money of a key, its tenant and the server is a chain of accounts, one each a month. An
account's limit is the tighter of the month's budget, and of what was spent before today with the
day's, so that one reservation holds both. What is under way at midnight counts in the day in which
it ends, and in the month in which it began. How keys and accounts are kept is `keys`' (in a file)
and `memory`'s.
"""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, NoReturn

from orchestra.book.keys.budget_names import budget_parts
from orchestra.book.keys.door import Attendance, Bound
from orchestra.book.keys.key_messages import (
    Enter,
    Entered,
    KeyEntry,
    Leave,
    Left,
    ReadLeft,
    Stay,
    Tick,
    Ticked,
)
from orchestra.book.keys.terms import (
    ANYONE,
    PERIODS,
    SERVER,
    Bounds,
    KeyTerms,
    Period,
    Scope,
    TenantTerms,
    month_of,
    refills,
)
from orchestra.book.messages import OpenAccount
from orchestra.book.reservation import Standing
from orchestra.core.errors import BudgetExceeded, KeyRefused, NotAllowed
from orchestra.core.money import dollars, limit_micro, usd

NO_KEY = (
    "No valid key came with this request. Send one that was not revoked as 'Authorization: Bearer "
    "orc_...'; an operator makes one with: orchestra keys new"
)
NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with the SHA-256 of its secrets, as the book has it."""

    entry: KeyEntry
    digest: bytes
    old_digest: bytes = NO_DIGEST


@dataclass(frozen=True, slots=True)
class Mark:
    """What an account had spent when its `day` began."""

    day: str
    base_micro: int


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose money it is, and how much of it there is."""

    kind: Literal["server", "tenant", "key"]
    name: str
    bounds: Bounds

    def account(self, month: str) -> str:
        """Its account of a month."""
        return f"{SERVER}@{month}" if self.kind == SERVER else f"{self.kind}:{self.name}@{month}"

    @property
    def shown(self) -> str:
        """As messages call it."""
        return "The server" if self.kind == SERVER else f"The {self.kind} {self.name!r}"

    @property
    def command(self) -> str:
        """What an operator raises its bounds with."""
        kind, name = ("keys", self.name) if self.kind == "key" else ("tenants", self.name)
        return f"orchestra {kind} set BOOK {name}"

    def limit(self, period: Period) -> int | None:
        """Its budget of a period, in micro-dollars."""
        most = self.bounds.usd_per_day if period == "day" else self.bounds.usd_per_month
        return None if most is None else limit_micro(most)


class KeyedEntrance(ABC):
    """Does what is said of who comes in and leaves."""

    door: Attendance
    now: Callable[[], datetime]  # in UTC

    def _let_in(self, asked: Enter) -> Entered:
        stored = self._asker(asked)
        terms = KeyTerms() if stored is None else stored.entry.terms
        tenant = ANYONE if stored is None else stored.entry.tenant
        scope = Scope() if stored is None else terms.scope
        if stored is not None and asked.route is not None and asked.route not in scope.routes:
            raise NotAllowed(
                f"The key {asked.key!r} may not be used for {asked.route!r}; it may for: "
                f"{', '.join(scope.routes) or 'nothing'}. Use another key, or have its scope "
                "widened with: orchestra keys set"
            )
        of_tenant = self._tenant_terms(tenant) or TenantTerms()
        who = Entered(tenant, asked.key, None, of_tenant.weight, terms.lane, scope)
        if not asked.is_work:
            return who
        chain = list(self._chain_of(asked, stored))
        account: str | None = None
        left: list[Left] = []
        for payer in chain:
            account = self._ready(payer, account)
            left += self._left(payer)
        who = _narrowed(who, account, of_tenant, left)
        if of_tenant.cheaper is None:
            self._check_left(chain, left)
        self.door.enter(asked.uid, [self._bound(payer) for payer in chain])
        return who

    def _let_out(self, gone: Leave) -> None:
        names = self.door.leave(gone.uid)
        month = month_of(self.today)
        payers = [self._payer(f"{name}@{month}") for name in names]
        self.door.see([self._bound(payer) for payer in payers if payer is not None])

    def _let_stay(self, here: Stay) -> None:
        self.door.stay(here.uids)

    def _tick(self, asked: Tick) -> Ticked:
        month, today = month_of(self.today), self.today.isoformat()
        left: list[Left] = []
        for account in self._budgets(month):
            payer = self._payer(account, asked.day_micro)
            if payer is None:
                continue
            mark = self._mark(account)
            if mark is not None and mark.day < today:
                self._ready(payer, None)
            left += self._left(payer)
        return Ticked(tuple(left))

    def left(self, day_micro: int | None = None) -> list[Left]:
        """What the budgets of this month have left; changes nothing."""
        payers = [self._payer(name, day_micro) for name in self._budgets(month_of(self.today))]
        return [left for payer in payers if payer is not None for left in self._left(payer)]

    @property
    def today(self) -> date:
        """The day it is, in UTC."""
        return self.now().date()

    def _asker(self, asked: Enter) -> StoredKey | None:
        """The key that came; None where none is asked for. Raises `KeyRefused`.

        Both digests are compared whatever is known, so that the time tells nothing.
        """
        if asked.digest is None and not asked.key:
            return None
        stored = self._stored_key(asked.key)
        now = self.now().isoformat()
        sent = asked.digest or NO_DIGEST
        is_it = hmac.compare_digest(stored.digest if stored else NO_DIGEST, sent)
        is_old = hmac.compare_digest(stored.old_digest if stored else NO_DIGEST, sent)
        if stored is None:
            _refuse("unknown")
        is_valid = is_it or (is_old and (stored.entry.old_until or "") > now)
        if not is_valid and asked.digest is not None:
            _refuse("rotated" if is_old else "wrong")
        if stored.entry.revoked is not None:
            _refuse("revoked")
        if stored.entry.expires is not None and stored.entry.expires <= now:
            _refuse("expired")
        return stored

    def _chain_of(self, asked: Enter, stored: StoredKey | None) -> Iterator[Payer]:
        """Who pays, the server first."""
        yield self._server(asked.day_micro)
        if stored is not None:
            tenant = stored.entry.tenant
            yield Payer("tenant", tenant, (self._tenant_terms(tenant) or TenantTerms()).bounds)
            yield Payer("key", stored.entry.id, stored.entry.terms.bounds)

    def _server(self, day_micro: int | None) -> Payer:
        bounds = (self._tenant_terms(SERVER) or TenantTerms()).bounds
        if day_micro is not None:
            most = usd(day_micro)
            most = most if bounds.usd_per_day is None else min(most, bounds.usd_per_day)
            bounds = bounds.model_copy(update={"usd_per_day": most})
        return Payer("server", SERVER, bounds)

    def _payer(self, account: str, day_micro: int | None = None) -> Payer | None:
        """Whose account that is, by the terms of now."""
        parts = budget_parts(account)
        if parts is None:
            return None
        kind, name, _ = parts
        if kind == SERVER:
            return self._server(day_micro)
        if kind == "tenant":
            return Payer("tenant", name, (self._tenant_terms(name) or TenantTerms()).bounds)
        stored = self._stored_key(name)
        return None if stored is None else Payer("key", name, stored.entry.terms.bounds)

    def _ready(self, payer: Payer, parent: str | None) -> str:
        """Make its account of this month ready for today, and say which one that is."""
        day = self.today
        account = payer.account(month_of(day))
        mark = self._mark(account)
        if mark is None:
            self._open_account(OpenAccount(account, parent=parent))
            self._end_month(payer, day)
            mark = Mark(day.isoformat(), 0)
            self._put_mark(account, mark)
        standing = self._standing_of(account)
        if standing is None:
            return account
        if mark.day < day.isoformat():
            mark = Mark(day.isoformat(), standing.spent_micro)
            self._put_mark(account, mark)
        wanted = _limit(payer, mark)
        self._bind(account, standing, wanted)
        return account

    def _end_month(self, payer: Payer, day: date) -> None:
        """The days of a month that is over bind no longer: runs that began in it may go on."""
        before = payer.account(month_of(day.replace(day=1) - timedelta(days=1)))
        standing = self._standing_of(before)
        if standing is not None:
            self._bind(before, standing, payer.limit("month"))

    def _bind(self, account: str, standing: Standing, wanted: int | None) -> None:
        """Limit an account; what is spent or reserved by now is not taken back."""
        if wanted is not None:
            wanted = max(wanted, standing.used_micro - standing.overrun_micro)
        if wanted != standing.limit_micro:
            self._put_limit(account, wanted)

    def _left(self, payer: Payer) -> list[Left]:
        account = payer.account(month_of(self.today))
        standing, mark = self._standing_of(account), self._mark(account)
        spent = 0 if standing is None else standing.spent_micro
        opened = 0 if standing is None else standing.open_micro
        base = 0 if mark is None else mark.base_micro
        if mark is not None and mark.day < self.today.isoformat():
            base = spent
        found: list[Left] = []
        for period in PERIODS:
            limit = payer.limit(period)
            if limit is not None:
                of_period = spent - base if period == "day" else spent
                found.append(Left(payer.kind, payer.name, period, limit, of_period, opened))
        return found

    def _check_left(self, chain: list[Payer], left: list[Left]) -> None:
        """Raise `BudgetExceeded` where nothing is left; what costs nothing may go on under $0."""
        for one in left:
            if not one.left_micro and one.limit_micro:
                payer = next(p for p in chain if (p.kind, p.name) == (one.kind, one.name))
                again = datetime.combine(refills(one.period, self.today), time(), UTC)
                error = BudgetExceeded(
                    f"{payer.shown} has no money left for this {one.period}: "
                    f"{dollars(one.spent_micro)} of {dollars(one.limit_micro)} are spent, "
                    f"{dollars(one.open_micro)} reserved. It begins anew on {again:%Y-%m-%d} at "
                    f"00:00 UTC; an operator raises it with: {payer.command} "
                    f"--usd-per-{one.period} N"
                )
                error.account = payer.account(month_of(self.today))
                error.retry_after_s = (again - self.now()).total_seconds()
                raise error

    def _bound(self, payer: Payer) -> Bound:
        standing = self._standing_of(payer.account(month_of(self.today)))
        tokens = 0 if standing is None else standing.used_tokens
        name = SERVER if payer.kind == SERVER else f"{payer.kind}:{payer.name}"
        return Bound(name, payer.shown, payer.bounds, tokens)

    @abstractmethod
    def _open_account(self, opened: OpenAccount) -> None: ...

    @abstractmethod
    def _stored_key(self, id: str) -> StoredKey | None:
        """The key of that id."""

    @abstractmethod
    def _tenant_terms(self, name: str) -> TenantTerms | None:
        """What was set for the tenant called so."""

    @abstractmethod
    def _standing_of(self, account: str) -> Standing | None:
        """An account as it stands; None where it was never opened."""

    @abstractmethod
    def _put_limit(self, account: str, micro: int | None) -> None:
        """Set the limit of an account, under which what is reserved lies already."""

    @abstractmethod
    def _mark(self, account: str) -> Mark | None:
        """Where the account's day began."""

    @abstractmethod
    def _put_mark(self, account: str, mark: Mark) -> None: ...

    @abstractmethod
    def _budgets(self, month: str) -> list[str]:
        """The budgets' accounts of a month."""


def _refuse(reason: str) -> NoReturn:
    raise KeyRefused(NO_KEY, reason=reason)


def _limit(payer: Payer, mark: Mark) -> int | None:
    day, month = payer.limit("day"), payer.limit("month")
    bounds = (month, None if day is None else mark.base_micro + day)
    return min((bound for bound in bounds if bound is not None), default=None)


def _narrowed(who: Entered, account: str | None, terms: TenantTerms, left: list[Left]) -> Entered:
    """Who came in with the account that pays, and with cheaper models where a budget runs out."""
    cheaper, notes, job_micro, scope = terms.cheaper, (), None, who.scope
    for one in left if cheaper is not None else ():
        used = one.spent_micro + one.open_micro
        if cheaper is not None and used >= float(cheaper.at) * one.limit_micro:
            if cheaper.models is not None:
                allowed = scope.models
                models = tuple(m for m in cheaper.models if allowed is None or m in allowed)
                scope = scope.model_copy(update={"models": models})
            if cheaper.job_cost_usd is not None:
                job_micro = limit_micro(cheaper.job_cost_usd)
            notes = (_note(one, used, cheaper.models, job_micro),)
            break
    return replace(
        who,
        account=account,
        scope=scope,
        job_cost_micro=job_micro,
        is_bounded=bool(left),
        notes=notes,
    )


def _note(one: Left, used: int, models: tuple[str, ...] | None, job_micro: int | None) -> str:
    means = [] if models is None else [f"with {', '.join(models) or 'no model'} alone"]
    means += [] if job_micro is None else [f"for at most {dollars(job_micro)}"]
    name = "the server's" if one.kind == SERVER else f"the {one.kind}'s"
    return (
        f"planned {' and '.join(means)}: {dollars(used)} of {name} {dollars(one.limit_micro)} for "
        f"this {one.period} are spent or reserved"
    )


# By message; `Any` is an `KeyedEntrance` of any kind and the message.
GATE_DEEDS: dict[type, Callable[[Any, Any], Any]] = {
    Enter: KeyedEntrance._let_in,
    Leave: KeyedEntrance._let_out,
    Stay: KeyedEntrance._let_stay,
    ReadLeft: lambda gate, asked: gate.left(asked.day_micro),
    Tick: lambda gate, asked: gate._tick(asked),
}


def utc_now() -> datetime:
    """The time it is."""
    return datetime.now(UTC)
