"""What `/metrics` tells where several ingresses share a ledger."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestra.book.messages import BeginCall, OpenAccount, SettleCall
from orchestra.book.shared.member import LedgerMember
from orchestra.book.shared.server import LedgerServer
from orchestra.core.job import CallRecord
from orchestra.observe import metrics
from orchestra.serving.told_metrics import exposition


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
