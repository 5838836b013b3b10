"""Who asks: the key that a request came with, its tenant, and where what it spends is counted.

A guard of the HTTP face sets it for the time of a request, in the request's own context; whoever
asks beneath it without one is `ANYONE`, whom nothing bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from orchestra.book.keys.key_messages import WIDE, Entered
from orchestra.book.keys.terms import Scope

Lane = Literal["interactive", "batch"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as far as the work beneath must know.

    `key` names the key, never its secret; "" is none. `account` is the account of the ledger that
    what is asked for is spent under; None is no other than the job's own. `weight` is the tenant's
    share where tenants wait for each other, `lane` goes before another or after it. `scope` is what
    may be used, and a job may cost `job_cost_micro` at most; `is_bounded` is whose money is
    counted against a budget. `notes` are for results.
    """

    tenant: str = "anyone"
    key: str = ""
    account: str | None = None
    weight: float = 1.0
    lane: Lane = "interactive"
    scope: Scope = WIDE
    job_cost_micro: int | None = None
    is_bounded: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, who: Entered) -> Principal:
        """Who came in at the gate."""
        return cls(
            who.tenant,
            who.key,
            who.account,
            who.weight,
            "batch" if who.lane == "batch" else "interactive",
            who.scope,
            who.job_cost_micro,
            who.is_bounded,
            who.notes,
        )


ANYONE = Principal()
_ASKING: ContextVar[Principal] = ContextVar("orchestra_principal", default=ANYONE)


def principal() -> Principal:
    """Who asks here."""
    return _ASKING.get()


@contextmanager
def asking(who: Principal) -> Iterator[None]:
    """`who` asks, in this block and the tasks that begin in it."""
    token = _ASKING.set(who)
    try:
        yield
    finally:
        _ASKING.reset(token)
