"""What a key and a tenant may: routes, models, graphs, money, rates; it knows no table."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field as Attribute

from orchestra.core.errors import UsageError
from orchestra.core.job import Usd, Word

Route = Literal["chat", "jobs", "embeddings", "batches", "threads", "metrics", "admin"]
Period = Literal["day", "month"]
WORKING: tuple[Route, ...] = ("chat", "jobs", "embeddings", "batches", "threads")
PERIODS: tuple[Period, ...] = ("day", "month")
SERVER = "server"  # the tenant whose bounds are those of the whole server; it has no keys
ANYONE = "anyone"  # who asks where no keys are asked for
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
MOST_A_MINUTE = 100_000
Share = Annotated[float, Attribute(gt=0, le=1)]
Dollars = Annotated[Usd, Attribute(ge=0, le=1_000_000_000)]


class Bounds(Word):
    """The most of a key, a tenant or the server; an absent one does not bind.

    Days and months are those of UTC. A minute is any 60 seconds, not those of the clock.
    `concurrent` requests may be under way at once.
    """

    usd_per_day: Dollars | None = None
    usd_per_month: Dollars | None = None
    requests_per_minute: int | None = Attribute(default=None, ge=1, le=MOST_A_MINUTE)
    tokens_per_minute: int | None = Attribute(default=None, ge=1)
    concurrent: int | None = Attribute(default=None, ge=1)


class Scope(Word):
    """What a key may be used for: None of `models` and `graphs` is all of them.

    A key whose `data` is "local" reaches only models that keep data on this machine.
    """

    routes: tuple[Route, ...] = WORKING
    models: tuple[str, ...] | None = None
    graphs: tuple[str, ...] | None = None
    data: Literal["any", "local"] = "any"


class Cheaper(Word):
    """From the share `at` of a budget on: only `models`, and no job that may cost more than that.

    One of the two at least narrows something.
    """

    at: Share = 0.8
    models: tuple[str, ...] | None = None
    job_cost_usd: Dollars | None = None


class Alerts(Word):
    """Where a webhook is sent at each of these shares of a budget; `secret` signs it (`whsec_...`).

    `allow_private` lets it go to an address of one's own network.
    """

    url: str
    secret: str = ""
    at: tuple[Share, ...] = (0.5, 0.8, 1.0)
    allow_private: bool = False


class TenantTerms(Word):
    """What an operator set for a tenant; `weight` is its share where tenants wait in line."""

    bounds: Bounds = Bounds()
    weight: float = Attribute(default=1.0, gt=0, le=1000)
    cheaper: Cheaper | None = None
    alerts: Alerts | None = None


class KeyTerms(Word):
    """What an operator set for a key; `lane` is where its requests wait."""

    name: str = Attribute(default="", max_length=200)
    scope: Scope = Scope()
    bounds: Bounds = Bounds()
    lane: Literal["interactive", "batch"] = "interactive"


def check_tenant(name: str) -> str:
    """`name`, where a tenant may be called so. Raises `UsageError`."""
    if NAME.fullmatch(name) is None or name == ANYONE:
        raise UsageError(
            f"A tenant cannot be called {name!r}. Take 1 to 64 of a-z, 0-9, '.', '_' and '-', "
            f"beginning and ending with a letter or digit, and not {ANYONE!r}."
        )
    return name


def month_of(day: date) -> str:
    """The month that a budget is kept for, as 2026-11."""
    return day.isoformat()[:7]


def next_month(day: date) -> date:
    """The first day of the month after that of `day`."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def refills(period: Period, today: date) -> date:
    """The day on which the budget of a period begins anew, at 00:00 UTC."""
    return today + timedelta(days=1) if period == "day" else next_month(today)
