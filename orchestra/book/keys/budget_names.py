"""The names of accounts that budgets of keys, tenants and the server are kept in.

`key:ID@2026-11` is paid for by `tenant:NAME@2026-11`, and that by `server@2026-11`.
"""

from __future__ import annotations

import re

_BUDGET = re.compile(r"(?:(key|tenant):([a-z0-9._-]+)|(server))@(\d{4}-\d{2})")


def budget_parts(account: str) -> tuple[str, str, str] | None:
    """Of `key:ID@2026-11` what it is, whose, and the month; None for an account of another kind."""
    found = _BUDGET.fullmatch(account)
    if found is None:
        return None
    kind, name, server, month = found.groups()
    return (server or kind), (server or name), month


def refill_of(account: str) -> str:
    """What an error says of when such a budget begins anew; empty for another account."""
    if budget_parts(account) is None:
        return ""
    return " Its day begins anew at 00:00 UTC, its month on the 1st."
