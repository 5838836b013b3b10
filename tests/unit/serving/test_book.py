"""What an ingress with a shared ledger tells of its book, and what it does while that is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from graphs.answer import build
from orchestra import Fleet
from orchestra.book.shared.member import LedgerMember
from orchestra.observe import metrics
from orchestra.observe.together import added
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine
from tests.scripted import scripted_fleet
from tests.unit.book.ledger_house import House
from tests.unit.serving.test_http import told

PATH = "book.sqlite"


@dataclass
class Ingress:
    """One of several, as its clients and its models see it."""

    http: httpx.AsyncClient
    engines: dict[str, ScriptedEngine]
    member: LedgerMember

    @property
    def calls(self) -> int:
        return sum(len(engine.calls) for engine in self.engines.values())

    async def job(self, text: str) -> httpx.Response:
        return await self.http.post("/v1/jobs", json={"text": text})

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        text = (await self.http.get("/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        )


def ingress(house: House) -> Ingress:
    fleet, engines = scripted_fleet(told, told)
    member = house.member(metrics.exposition)
    shared = Fleet(fleet.file, fleet.folder, ledger=member, clients=fleet._clients)
    app = make_app(Service(shared, {"answer": build}, ledger=member))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://orchestra")
    return Ingress(client, engines, member)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / PATH)


@pytest.fixture
async def one(house: House) -> AsyncIterator[Ingress]:
    made = ingress(house)
    yield made
    await made.http.aclose()


async def state(of: Ingress) -> tuple[int, Any]:
    answer = await of.http.get("/readyz")
    return answer.status_code, answer.json()


async def test_a_book_that_is_gone_is_told_and_nothing_is_called_until_it_is_back(
    house: House, one: Ingress, tmp_path: Path
) -> None:
    assert (await one.job("A red apple.")).status_code == 200
    await house.wait(1)
    ready, said = await state(one)
    assert (ready, said["status"], said["book"]) == (200, "ok", "ready")
    before = one.calls
    (tmp_path / PATH).rename(tmp_path / "aside")
    await house.wait(1)
    ready, said = await state(one)
    assert (ready, said["status"]) == (503, "not ready")
    assert PATH in said["book"] and "deleted" in said["book"]
    for path, asked in (
        ("/v1/jobs", {"text": "A green pear."}),
        ("/v1/chat/completions", {"model": "r1", "messages": [{"role": "user", "content": "hi"}]}),
    ):
        answer = await one.http.post(path, json=asked)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "BookUnavailable")
        assert answer.headers["retry-after"]
    assert one.calls == before
    assert await one.metric("orchestra_book_up") == 0
    (tmp_path / "aside").rename(tmp_path / PATH)
    await house.wait(1)
    assert (await one.job("A green pear.")).status_code == 200
    assert (await state(one))[0] == 200 and await one.metric("orchestra_book_up") == 1


async def test_a_full_disk_is_507_before_anything_is_called(house: House, one: Ingress) -> None:
    assert (await one.job("A red apple.")).status_code == 200
    book = house.server._book
    assert book is not None
    pages = book._read("PRAGMA page_count")[0][0]
    book._database.execute(f"PRAGMA max_page_count = {pages}")
    answers = [await one.job(f"A red apple, lot {number}.") for number in range(40)]
    assert answers[-1].json()["error"]["code"] == "DiskFull"
    assert {answer.status_code for answer in answers} <= {200, 507}  # one under way is answered
    await house.wait(1)
    before = one.calls
    assert (await one.job("A green pear.")).status_code == 507 and one.calls == before
    assert "DiskFull" in (await state(one))[1]["book"]


async def test_any_ingress_tells_what_all_of_them_spent_also_after_one_has_left(
    house: House, one: Ingress
) -> None:
    other, paid = ingress(house), 0.0
    for number, each in enumerate((one, other, one)):
        result = (await each.job(f"A red apple, lot {number}.")).json()
        paid += result["cost_usd"]
    spent = await one.metric("orchestra_cost_usd_total")
    assert spent == await other.metric("orchestra_cost_usd_total") == pytest.approx(paid)
    assert paid > 0
    assert await one.metric("orchestra_booked_calls_total") == 3
    jobs = await one.metric("orchestra_jobs_total")
    await other.member.leave()
    await other.http.aclose()
    assert await one.metric("orchestra_cost_usd_total") == spent
    assert await one.metric("orchestra_jobs_total") >= jobs


def test_expositions_are_added_by_name_and_labels_and_gauges_of_the_dead_go() -> None:
    text = (
        b"# HELP orchestra_jobs_total Jobs.\n# TYPE orchestra_jobs_total counter\n"
        b'orchestra_jobs_total{status="a\\"b"} 2.0\norchestra_jobs_total{status="c"} 1.0\n'
        b"# HELP orchestra_depth D.\n# TYPE orchestra_depth gauge\norchestra_depth 3.0\n"
        b"# HELP orchestra_s S.\n# TYPE orchestra_s histogram\n"
        b'orchestra_s_bucket{le="1.0"} 1.0\norchestra_s_bucket{le="+Inf"} 2.0\n'
        b"orchestra_s_count 2.0\norchestra_s_sum 3.5\n"
        b"# HELP process_open_fds F.\n# TYPE process_open_fds gauge\nprocess_open_fds 9.0\n"
    )
    twice = added((text, text)).decode()
    assert 'orchestra_jobs_total{status="a\\"b"} 4.0' in twice and "orchestra_depth 6.0" in twice
    assert 'orchestra_s_bucket{le="+Inf"} 4.0' in twice and "orchestra_s_sum 7.0" in twice
    assert "process_open_fds" not in twice
    again = added((added((text,)), text)).decode()
    assert again == twice
    ended = added((text,), kinds=("counter", "histogram")).decode()
    assert "orchestra_depth" not in ended and 'orchestra_s_bucket{le="1.0"} 1.0' in ended
    assert "orchestra_jobs" not in added((text,), without=("orchestra_jobs",)).decode()
