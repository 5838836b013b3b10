"""What `/metrics` tells where several ingresses share a ledger."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestra.book.messages import BeginCall, OpenAccount, ReadSpent, SettleCall
from orchestra.book.shared.member import LedgerMember
from orchestra.book.shared.server import LedgerServer
from orchestra.book.shared.words import GRACE_S
from orchestra.core.job import CallRecord
from orchestra.observe import metrics
from orchestra.serving.told_metrics import exposition
from tests.unit.book.ledger_house import House


@pytest.mark.parametrize("samples", [metrics.exposition, bytes])
async def test_no_series_is_told_twice_and_money_is_the_books(
    tmp_path: Path, samples: type[bytes]
) -> None:
    call = CallRecord(node="look", model="twice", instruction="?", cost_usd=Decimal(7))
    metrics.count_calls([call.model_copy(update={"saved_usd": Decimal(3), "reused": True})])
    server = LedgerServer(tmp_path / "book.sqlite")
    member = LedgerMember(server, samples, beat_s=3600)
    await member.send(OpenAccount("shop"))
    await member.send(BeginCall("one", "shop", "key", "look", "twice", 500_000, 5))
    await member.send(SettleCall("one", 500_000, 5))
    text = (await exposition(member)).decode()
    families = list(text_string_to_metric_families(text))
    told = Counter((s.name, *sorted(s.labels.items())) for f in families for s in f.samples)
    assert [series for series, times in told.items() if times > 1] == []
    helped = Counter(line for line in text.splitlines() if line.startswith("# TYPE "))
    assert [line for line, times in helped.items() if times > 1] == []
    costs = {
        s.labels["model"]: s.value
        for f in families
        for s in f.samples
        if s.name == "orchestra_cost_usd_total"
    }
    assert costs == {"twice": 0.5}
    await member.leave()
    server.close()


def counted(value: int) -> bytes:
    return f"# TYPE orchestra_jobs_total counter\norchestra_jobs_total {value}.0\n".encode()


def jobs(text: bytes) -> float | None:
    found = [line for line in text.decode().splitlines() if line.startswith("orchestra_jobs_total")]
    return float(found[0].split()[-1]) if found else None


async def told(member: LedgerMember) -> float | None:
    return jobs(await exposition(member))


async def test_no_counter_runs_backwards_when_the_ledgers_process_dies(tmp_path: Path) -> None:
    house = House(tmp_path / "book.sqlite")
    counts = {"one": 5, "other": 7, "gone": 100}
    one, other, gone = (house.member(lambda name=name: counted(counts[name])) for name in counts)
    for member in (one, other, gone):
        await told(member)
        await member.send(OpenAccount("shop"))
        await member.send(ReadSpent("shop"))
    await gone.leave()
    assert await told(one) == 112
    house.die()
    counts["one"] = 6
    assert await told(one) == 113  # though the other has not been heard again
    counts["other"] = 8
    assert await told(other) == 114


async def test_what_members_counted_that_died_with_the_ledger_stays_counted(
    tmp_path: Path,
) -> None:
    house = House(tmp_path / "book.sqlite")
    one, other = house.member(lambda: counted(5)), house.member(lambda: counted(7))
    for member in (one, other):
        await member.send(OpenAccount("shop"))
        await member.send(ReadSpent("shop"))
        await told(member)
    house.die()
    await one.send(ReadSpent("shop"))
    assert await told(one) == 12
    for _ in range(2):
        await house.wait(GRACE_S)
        await one.send(ReadSpent("shop"))
        assert await told(one) == 12
    house.die()
    await one.send(ReadSpent("shop"))
    assert await told(one) == 12


async def test_counters_go_on_after_a_restart_in_order(tmp_path: Path) -> None:
    house = House(tmp_path / "book.sqlite")
    first = house.member(lambda: counted(5))
    await first.send(OpenAccount("shop"))
    await first.send(ReadSpent("shop"))
    await first.leave()
    house.die()
    assert await told(house.member(lambda: counted(1))) == 6
