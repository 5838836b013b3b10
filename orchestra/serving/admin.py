"""Routes by which keys and tenants are kept, and by which a tenant sees what it used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from pydantic import Field as Attribute

from orchestra.access.keeping import (
    MOST_DAYS,
    MOST_OVERLAP_S,
    changed,
    key_public,
    new_key_message,
    rotated_message,
    tenant_public,
    with_webhook_secret,
)
from orchestra.access.using import used
from orchestra.book.keys.key_messages import (
    ListKeys,
    ListTenants,
    RevokeKey,
    SaveTenant,
    SetKey,
)
from orchestra.book.keys.terms import KeyTerms, TenantTerms
from orchestra.book.ledger import Ledger
from orchestra.core.errors import UsageError
from orchestra.core.job import Word
from orchestra.serving.json_types import Day
from orchestra.serving.service import Service


class NewKey(Word):
    """A key to be made, valid for `days` (None: until it is revoked)."""

    tenant: str
    days: float | None = Attribute(default=None, gt=0, le=MOST_DAYS)
    terms: KeyTerms = KeyTerms()


class Rotation(Word):
    """How long the secret before stays valid beside the new one."""

    overlap_hours: float = Attribute(default=24.0, ge=0, le=MOST_OVERLAP_S / 3600)


def add_keys(app: FastAPI, service: Service) -> None:
    """The routes of keys and tenants."""

    ledger = service.fleet.ledger

    @app.get("/v1/keys")
    async def keys(tenant: str | None = None) -> dict[str, Any]:
        """All keys, or those of a tenant; never a secret."""
        left = await service.left()
        return {"data": [key_public(one, left) for one in await ledger.send(ListKeys(tenant))]}

    @app.post("/v1/keys")
    async def new_key(asked: NewKey) -> dict[str, Any]:
        """Make a key, which is told in this answer and never again."""
        secret, message = new_key_message(asked.tenant, asked.terms, days=asked.days)
        return {**key_public(await ledger.send(message)), "key": secret}

    @app.get("/v1/keys/{id}")
    async def key(id: str) -> dict[str, Any]:
        """One key."""
        return key_public(await _key(ledger, id), await service.left())

    @app.post("/v1/keys/{id}")
    async def set_key(id: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Change the terms of a key: those that are given, the others stay."""
        known = await _key(ledger, id)
        terms = changed(KeyTerms, known.terms, changes)
        return key_public(await ledger.send(SetKey(id, terms)))

    @app.post("/v1/keys/{id}/rotate")
    async def rotate(id: str, asked: Rotation) -> dict[str, Any]:
        """Give a key another secret, which is told in this answer and never again."""
        secret, message = rotated_message(id, asked.overlap_hours * 3600)
        return {**key_public(await ledger.send(message)), "key": secret}

    @app.delete("/v1/keys/{id}")
    async def revoke(id: str) -> dict[str, Any]:
        """Make a key invalid, for ever and at once."""
        return key_public(await ledger.send(RevokeKey(id)))

    @app.get("/v1/tenants")
    async def tenants() -> dict[str, Any]:
        """All tenants, with what their budgets have left."""
        left = await service.left()
        found = await ledger.send(ListTenants())
        return {"data": [tenant_public(one, left) for one in found]}

    @app.post("/v1/tenants/{name}")
    async def set_tenant(name: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Make a tenant, or change the terms that are given of one; they hold at once."""
        found = await ledger.send(ListTenants(name))
        before = found[0].terms if found else TenantTerms()
        terms, secret = with_webhook_secret(changed(TenantTerms, before, changes))
        saved = await ledger.send(SaveTenant(name, terms, is_new=not found))
        told = {} if secret is None else {"webhook_secret": secret}
        return {**tenant_public(saved), **told}


def add_usage(app: FastAPI, service: Service) -> None:
    """The route by which a tenant sees what it used."""

    @app.get("/v1/usage")
    async def usage(
        by: str = "tenant", since: Day | None = None, until: Day | None = None
    ) -> dict[str, Any]:
        """What was used since a day (this month's first), by headings with commas between them.

        A key sees its own tenant's; one with the scope `admin`, and who needs no key, all.
        """
        first = datetime.now(UTC).date().replace(day=1)
        headings = tuple(filter(None, (part.strip() for part in by.split(","))))
        return (await used(service.book_path, headings, since or first, until)).public()


async def _key(ledger: Ledger, id: str) -> Any:
    found = await ledger.send(ListKeys(id=id))
    if not found:
        raise UsageError(f"There is no key {id!r}. GET /v1/keys lists them.")
    return found[0]
