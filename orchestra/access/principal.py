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

Lane = Literal["interactive", "batch"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as far as the work beneath must know.

    `key` names the key, never its secret; "" is none. `account` is the account of the ledger that
    what is asked for is spent under; None is no other than the job's own. `weight` is the tenant's
    share where tenants wait for each other, `lane` goes before another or after it.
    """

    tenant: str = "anyone"
    key: str = ""
    account: str | None = None
    weight: float = 1.0
    lane: Lane = "interactive"


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
