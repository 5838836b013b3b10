"""Which shares of budgets were reached, and which webhooks are to be sent of them; it sends none.

Each share of a budget is told once in its period: that is kept, so that a server which begins anew
tells it no second time. A webhook that nobody took is due again, later each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from orchestra.book.keys.kept import Keys
from orchestra.book.keys.key_messages import AlertSent, DueAlert, Left, Tick, Ticked
from orchestra.book.keys.terms import Alerts, TenantTerms, month_of, refills

FIRST_AGAIN_S, MOST_AGAIN_S = 10.0, 3600.0
MOST_TRIES = 20  # about half a day
MOST_DUE = 32  # that one look at the clock gives out


class BudgetAlerts(Keys):
    """The alerts of a book's budgets."""

    def _tick(self, asked: Tick) -> Ticked:
        left = super()._tick(asked).left
        for one in left:
            self._note_shares(one)
        return Ticked(left, tuple(self._due()))

    def _note_shares(self, one: Left) -> None:
        tenant = self._tenant_of(one)
        alerts = self._alerts_of(tenant)
        for share in () if alerts is None else alerts.at:
            if not one.limit_micro or one.spent_micro < float(share) * one.limit_micro:
                continue
            of_day = self.today.isoformat() if one.period == "day" else month_of(self.today)
            now = self.now().isoformat(timespec="seconds")
            self._write(
                "INSERT INTO alerts (id, tenant, body, next_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (
                    f"{one.kind}:{one.name}@{of_day}#{share:g}",
                    tenant,
                    json.dumps(self._body(one, tenant, share, of_day, now)),
                    now,
                ),
            )

    def _body(self, one: Left, tenant: str, share: float, of_day: str, now: str) -> dict[str, Any]:
        anew = datetime.combine(refills(one.period, self.today), time(), UTC)
        return {
            "type": "budget.share_reached",
            "timestamp": now,
            "data": {
                "tenant": tenant,
                **one.public(),
                "share": share,
                "in": of_day,
                "begins_anew": anew.isoformat(),
            },
        }

    def _tenant_of(self, one: Left) -> str:
        """Whose webhook hears of it: a key's budget is its tenant's matter."""
        stored = self._stored_key(one.name) if one.kind == "key" else None
        return one.name if stored is None else stored.entry.tenant

    def _due(self) -> Iterator[DueAlert]:
        now = self.now()
        for id, tenant, body, tries in self._read(
            "SELECT id, tenant, body, tries FROM alerts WHERE sent IS NULL AND next_at <= ?"
            " AND tries < ? ORDER BY next_at LIMIT ?",
            (now.isoformat(timespec="seconds"), MOST_TRIES, MOST_DUE),
        ):
            again_s = min(MOST_AGAIN_S, FIRST_AGAIN_S * 2.0**tries)
            self._write(
                "UPDATE alerts SET tries = tries + 1, next_at = ? WHERE id = ?",
                ((now + timedelta(seconds=again_s)).isoformat(timespec="seconds"), id),
            )
            to = self._alerts_of(tenant)
            if to is not None:
                yield DueAlert(id, tenant, body, tries, to)

    def _alerts_of(self, tenant: str) -> Alerts | None:
        return (self._tenant_terms(tenant) or TenantTerms()).alerts

    def _alert_sent(self, told: AlertSent) -> None:
        now = self.now().isoformat(timespec="seconds")
        self._write("UPDATE alerts SET sent = ? WHERE id = ?", (now, told.id))


ALERT_DEEDS: dict[type, Callable[[Any, Any], Any]] = {AlertSent: BudgetAlerts._alert_sent}
