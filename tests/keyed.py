"""A served fleet that asks for keys, over a real book and scripted engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from graphs.answer import build
from orchestra.access.keeping import new_key_message
from orchestra.app import Fleet
from orchestra.book.book import Book
from orchestra.book.keys.key_messages import SaveTenant
from orchestra.book.keys.terms import KeyTerms, TenantTerms
from orchestra.clients.inprocess import InProcessClient
from orchestra.fleet.source import load_fleet
from orchestra.serving.guards.keys import Access
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine
from tests.scripted import Answers, first_allowed

KEYS = Access(keys=True)
JOB = {"text": "A red apple from Italy. What colour is it?"}


def keyed_fleet(
    book: Path, name: str = "mini", delay_s: float = 0.0, answers: Answers = first_allowed
) -> Fleet:
    """A fleet with scripted engines that spends into a real book."""
    file, _ = load_fleet(name)
    engines = {card.name: ScriptedEngine(answers) for card in file.models}
    clients = {
        model: InProcessClient(model, lambda engine=engine: engine)
        for model, engine in engines.items()
    }
    return Fleet.open(name, clients=dict(clients), book=book)


def made(book: Book, tenant: str, terms: Mapping[str, Any] | None = None) -> str:
    """A new key of a tenant that there is; all of it."""
    key, message = new_key_message(tenant, KeyTerms.model_validate(terms or {}))
    with book.transaction(is_shared=True):
        book.do(message)
    return key


def tenant(book: Book, name: str, terms: Mapping[str, Any] | None = None) -> None:
    """A new tenant."""
    with book.transaction(is_shared=True):
        book.do(SaveTenant(name, TenantTerms.model_validate(terms or {}), is_new=True))


@asynccontextmanager
async def served(
    fleet: Fleet,
    access: Access = KEYS,
    graphs: Mapping[str, Callable[..., Any]] | None = None,
    address: str = "203.0.113.9",
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the fleet's application, from an address."""
    app = make_app(Service(fleet, graphs or {"answer": build}), HttpSettings(access=access))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        yield client
    await fleet.close()


def bearer(key: str) -> dict[str, str]:
    """The header of a key."""
    return {"Authorization": f"Bearer {key}"}
