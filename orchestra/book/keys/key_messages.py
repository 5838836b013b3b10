"""What is said to a ledger of keys, tenants and who is inside; see `messages` for the rest.

A secret never travels: what is said of a key is its id and the SHA-256 of what was presented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestra.book.keys.terms import Alerts, KeyTerms, Period, Route, Scope, TenantTerms
from orchestra.book.messages import LedgerMessage

WIDE = Scope()


@dataclass(frozen=True, slots=True)
class Entered:
    """Who came in, and what holds for what is asked: the account that pays, what may be used.

    `is_bounded`: a budget of money holds, so that a model which nobody priced is no choice. `notes`
    are for the results: that a budget is nearly spent, so that cheaper models answer.
    """

    tenant: str
    key: str
    account: str | None
    weight: float = 1.0
    lane: str = "interactive"
    scope: Scope = WIDE
    job_cost_micro: int | None = None
    is_bounded: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enter(LedgerMessage[Entered]):
    """Let a request in, as `uid`: check its key, count it, and make its account ready.

    `key` is the id on the key and `digest` the SHA-256 of all of it. Without a `digest` the server
    itself asks: for the `key` that it took work in from before, as a batch's, or for nobody, and
    then only its own bounds hold. `route` is what is asked for, None for what any key may.
    `is_work` says that it may spend: bounds of money, rates and concurrency hold for such.
    `day_micro` is the server's own ceiling of a day, beside what the book says of it.

    Sent again under the same `uid` it counts once. Raises `KeyRefused`, `NotAllowed`,
    `BudgetExceeded` where nothing is left, and `RateLimited`.
    """

    uid: str
    key: str = ""
    digest: bytes | None = None
    route: Route | None = None
    is_work: bool = True
    day_micro: int | None = None


@dataclass(frozen=True, slots=True)
class Leave(LedgerMessage[None]):
    """The request `uid` is over; one that is unknown is fine."""

    uid: str


@dataclass(frozen=True, slots=True)
class Stay(LedgerMessage[None]):
    """These requests are still under way: who is not heard of for a while counts as gone."""

    uids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Left:
    """What a budget has left, in micro-dollars: `kind` is "server", "tenant" or "key"."""

    kind: str
    name: str
    period: Period
    limit_micro: int
    spent_micro: int
    open_micro: int

    @property
    def left_micro(self) -> int:
        """What may still be reserved."""
        return max(0, self.limit_micro - self.spent_micro - self.open_micro)

    def public(self) -> dict[str, Any]:
        """As the API and `--json` give it."""
        names = ("limit", "spent", "open", "left")
        amounts = {f"{name}_usd": getattr(self, f"{name}_micro") / 1_000_000 for name in names}
        return {"of": self.kind, "name": self.name, "period": self.period, **amounts}


@dataclass(frozen=True, slots=True)
class DueAlert:
    """A webhook to be sent where `to` says: `id` stays the same at each try, `body` is its JSON."""

    id: str
    tenant: str
    body: str
    tries: int
    to: Alerts


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a look at the clock found."""

    left: tuple[Left, ...] = ()
    due: tuple[DueAlert, ...] = ()


@dataclass(frozen=True, slots=True)
class Tick(LedgerMessage[Ticked]):
    """Let a new day begin, and say what budgets have left and which alerts are due.

    Each due alert is given to one who asks, and again later where `AlertSent` does not come.
    """

    day_micro: int | None = None


@dataclass(frozen=True, slots=True)
class ReadLeft(LedgerMessage[list[Left]]):
    """What the budgets of this month have left, those of who never came in left out."""

    day_micro: int | None = None


@dataclass(frozen=True, slots=True)
class AlertSent(LedgerMessage[None]):
    """The webhook of an alert was taken; it is not sent again."""

    id: str


@dataclass(frozen=True, slots=True)
class TenantEntry:
    """A tenant as it is kept; `made` is UTC, ISO 8601."""

    name: str
    made: str
    terms: TenantTerms = field(default_factory=TenantTerms)


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key as it is kept, without its secret; times are UTC, ISO 8601.

    After a rotation what was before is valid until `old_until`.
    """

    id: str
    tenant: str
    made: str
    terms: KeyTerms = field(default_factory=KeyTerms)
    expires: str | None = None
    revoked: str | None = None
    old_until: str | None = None


@dataclass(frozen=True, slots=True)
class SaveTenant(LedgerMessage[TenantEntry]):
    """Keep a tenant, a new one or (`is_new` False) an old one with other terms.

    Raises `UsageError` for a new one that there is, or an old one that there is not.
    """

    name: str
    terms: TenantTerms
    is_new: bool


@dataclass(frozen=True, slots=True)
class ListTenants(LedgerMessage[list[TenantEntry]]):
    """All tenants by name, or the one called so."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class SaveKey(LedgerMessage[KeyEntry]):
    """Keep a new key of a tenant by its `digest`. Raises `UsageError` for an unknown tenant."""

    id: str
    digest: bytes
    tenant: str
    terms: KeyTerms
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class RotateKey(LedgerMessage[KeyEntry]):
    """Give a key another secret; the one before stays valid for `overlap_s` seconds.

    Raises `UsageError` for a key that there is not, or that was revoked.
    """

    id: str
    digest: bytes
    overlap_s: float


@dataclass(frozen=True, slots=True)
class SetKey(LedgerMessage[KeyEntry]):
    """Give a key other terms. Raises `UsageError` for a key that there is not."""

    id: str
    terms: KeyTerms


@dataclass(frozen=True, slots=True)
class RevokeKey(LedgerMessage[KeyEntry]):
    """Make a key invalid for ever; again changes nothing. Raises `UsageError` for no key."""

    id: str


@dataclass(frozen=True, slots=True)
class ListKeys(LedgerMessage[list[KeyEntry]]):
    """All keys by tenant and time, or those of one, or the one of an id."""

    tenant: str | None = None
    id: str | None = None


# What only a ledger with a book answers.
KEY_MESSAGES: tuple[type, ...] = (
    AlertSent,
    ListKeys,
    ListTenants,
    RevokeKey,
    RotateKey,
    SaveKey,
    SaveTenant,
    SetKey,
)
