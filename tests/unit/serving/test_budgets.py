"""Budgets of a served fleet: 64 clients, cheaper models, alerts, runs that wait, batches."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestra.access.principal import Principal
from orchestra.access.secret import id_of
from orchestra.access.webhooks import WebhookFailed, new_webhook_secret, send_webhook
from orchestra.book.book import Book
from orchestra.book.keys.key_messages import Enter, RevokeKey, SaveTenant
from orchestra.book.keys.terms import TenantTerms
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import OpenAccount
from orchestra.book.usage import usage
from orchestra.core.errors import BudgetExceeded, KeyRefused
from orchestra.serving.admission.guard import turnstile_of
from orchestra.serving.batches.entry import LineEntrance
from orchestra.serving.guards.keys import Access
from orchestra.serving.ticker import Ticker
from tests.keyed import JOB, KEYS, bearer, keyed_fleet, made, served, tenant
from tests.parked_graphs import asking as asking_graph
from tests.unit.book.book_audit import discrepancies


class Receiver:
    """Takes webhooks, or answers with a status."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@asynccontextmanager
async def shop(folder: Path, terms: dict[str, Any]) -> AsyncIterator[tuple[Any, Book, str]]:
    """A served fleet with one tenant of these terms: its client, its book, a key."""
    fleet = keyed_fleet(folder / "book.sqlite")
    with Book.open(folder / "book.sqlite", exclusive=False) as book:
        tenant(book, "acme", terms)
        key = made(book, "acme")
        async with served(fleet) as http:
            yield http, book, key


async def test_64_clients_on_one_monthly_budget_never_pass_it(tmp_path: Path) -> None:
    micro = {"bounds": {"usd_per_month": 0.000020}}
    async with shop(tmp_path, micro) as (http, book, key):
        tenant(book, "other")
        free = made(book, "other")

        async def client(number: int, key: str) -> int:
            job = {"text": f"A red apple number {number}. What colour is it?"}
            answer = await http.post("/v1/jobs", json=job, headers=bearer(key))
            if answer.status_code == 402:
                assert "begins anew" in answer.text
            return answer.status_code

        asked = [client(number, key) for number in range(64)]
        asked += [client(number, free) for number in range(64, 72)]
        statuses = await asyncio.gather(*asked)
        assert statuses[:64].count(200) == 20 and statuses[:64].count(402) == 44
        assert statuses[64:] == [200] * 8  # others go on
        spent = usage(book, ["tenant"]).lines
        assert {one.names[0]: one.line.cost_micro for one in spent} == {"acme": 20, "other": 8}
        refused = await http.post("/v1/jobs", json=JOB, headers=bearer(key))
        assert "orchestra tenants set BOOK acme --usd-per-month N" in refused.text
        with book.transaction(is_shared=True):
            more = TenantTerms.model_validate({"bounds": {"usd_per_month": 1}})
            book.do(SaveTenant("acme", more, is_new=False))
        assert (await http.post("/v1/jobs", json=JOB, headers=bearer(key))).is_success
    assert discrepancies(tmp_path / "book.sqlite") == []


async def test_beyond_a_share_cheaper_models_answer_and_the_result_says_so(tmp_path: Path) -> None:
    terms = {
        "bounds": {"usd_per_day": 0.000002},
        "cheaper": {"at": 0.5, "models": ["r1"]},
    }
    async with shop(tmp_path, terms) as (http, _, key):
        first = (await http.post("/v1/jobs", json=JOB, headers=bearer(key))).json()
        assert not any("cheaper" in note or "planned with" in note for note in first["notes"])
        job = {"text": "A green pear. What is it?"}
        second = (await http.post("/v1/jobs", json=job, headers=bearer(key))).json()
        assert second["notes"][0].startswith(
            "planned with r1 alone: $0.000001 of the tenant's $0.000002 for this day"
        )
        shut = await http.post(
            "/v1/chat/completions",
            json={"model": "vl", "messages": [{"role": "user", "content": "What?"}]},
            headers=bearer(key),
        )
        assert shut.status_code == 403 and "the models" in shut.text and "r1" in shut.text


async def test_an_alert_of_each_share_is_sent_once_signed_and_after_a_restart_no_more(
    tmp_path: Path, receiver: Receiver
) -> None:
    secret = new_webhook_secret()
    alerts = {"url": receiver.url, "secret": secret, "allow_private": True, "at": [0.5, 1]}
    terms = {"bounds": {"usd_per_day": 0.000002}, "alerts": alerts}
    receiver.status = 500
    async with shop(tmp_path, terms) as (http, _, key):
        assert (await http.post("/v1/jobs", json=JOB, headers=bearer(key))).is_success
    with Book.open(tmp_path / "book.sqlite") as book:
        time = datetime.now(UTC)
        book.now = lambda: time
        ticker = Ticker(LocalLedger(book))
        await ticker.look()
        assert len(receiver.got) == 1  # it was not taken
        receiver.status = 302
        await ticker.look()
        assert len(receiver.got) == 1  # and is not sent again at once
        time += timedelta(seconds=11)
        await ticker.look()
        assert len(receiver.got) == 2  # a redirect is no answer, and is not followed
        receiver.status = 204
        time += timedelta(seconds=21)
        await ticker.look()
        time += timedelta(hours=2)
        await ticker.look()
        assert len(receiver.got) == 3
    with Book.open(tmp_path / "book.sqlite") as book:
        await Ticker(LocalLedger(book)).look()
    assert len(receiver.got) == 3
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    headers, body = receiver.got[-1]
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key_bytes = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key_bytes, said, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    told = json.loads(body)
    assert told["type"] == "budget.share_reached"
    assert (told["data"]["share"], told["data"]["spent_usd"]) == (0.5, 0.000001)


async def test_a_webhook_goes_into_no_own_network_unless_it_may(receiver: Receiver) -> None:
    secret = new_webhook_secret()
    for url in (receiver.url, "http://169.254.169.254/latest", "http://[::1]:80/", "http://0/"):
        with pytest.raises(WebhookFailed, match="may not be reached"):
            await send_webhook(url, secret, "id", b"{}")
    with pytest.raises(WebhookFailed, match="may not be reached"):
        await send_webhook("http://169.254.169.254/", secret, "id", b"{}", allow_private=True)
    assert not receiver.got
    await send_webhook(receiver.url, secret, "id", b"{}", allow_private=True)
    assert len(receiver.got) == 1


async def test_a_run_that_waits_is_its_tenants_and_goes_on_with_the_money_it_began_with(
    tmp_path: Path,
) -> None:
    fleet = keyed_fleet(tmp_path / "book.sqlite")
    with Book.open(tmp_path / "book.sqlite", exclusive=False) as book:
        tenant(book, "acme")
        tenant(book, "other")
        one, same, two = made(book, "acme"), made(book, "acme"), made(book, "other")
        async with served(fleet, KEYS, {"parked": asking_graph}) as http:
            asked = (await http.post("/v1/jobs", json=JOB, headers=bearer(one))).json()
            assert asked["status"] == "waiting", asked
            path = f"/v1/threads/{asked['thread_id']}"
            assert "/" not in asked["thread_id"]
            assert (await http.get("/v1/threads", headers=bearer(two))).json()["data"] == []
            assert (await http.get(path, headers=bearer(two))).status_code == 404
            yes = {"answer": "yes"}
            for key, status in ((two, 404), (same, 200)):
                answer = await http.post(f"{path}/answer", json=yes, headers=bearer(key))
                assert answer.status_code == status, answer.text
            month = f"{datetime.now(UTC):%Y-%m}"
            paid = book.spent(f"key:{id_of(one)}@{month}").cost_micro
            assert paid == book.spent(f"tenant:acme@{month}").cost_micro
    assert discrepancies(tmp_path / "book.sqlite") == []


async def test_a_line_of_a_batch_passes_the_gate_until_its_key_is_revoked(tmp_path: Path) -> None:
    with Book.open(tmp_path / "book.sqlite") as book:
        tenant(book, "acme", {"bounds": {"usd_per_day": 1}})
        key = id_of(made(book, "acme"))
        left, ledger = Principal("acme", key), LocalLedger(book)
        entrance = LineEntrance(ledger, KEYS, turnstile_of(4, 4))
        async with entrance(left, "/v1/jobs") as now:
            assert (now.tenant, now.lane, now.is_bounded) == ("acme", "batch", True)
            assert now.account == f"key:{key}@{datetime.now(UTC):%Y-%m}"
        book.do(RevokeKey(key))
        with pytest.raises(KeyRefused):
            async with entrance(left, "/v1/jobs"):
                pass
        unasked = LineEntrance(ledger, Access(day_micro=0), turnstile_of(4, 4))
        async with unasked(Principal(), "/v1/jobs") as now:
            assert now.key == "" and now.account


def test_what_the_money_of_who_asks_does_not_hold_names_the_budget(tmp_path: Path) -> None:
    with Book.open(tmp_path / "b.sqlite") as book:
        who = book.do(Enter("u", day_micro=5))
        with pytest.raises(BudgetExceeded, match="Its day begins anew at 00:00 UTC") as caught:
            book.do(OpenAccount("job:1", parent=who.account, ceiling_micro=6, hold=True))
        assert caught.value.account == who.account
