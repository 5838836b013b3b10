"""The file of metrics that a batch leaves for node_exporter."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestra.batch.output.metrics_file import check_metrics_file, metrics_of, write_metrics
from orchestra.batch.output.summary import Summary
from orchestra.book.messages import Overrun
from orchestra.core.errors import UsageError

DONE = Summary(
    rows=7,
    complete=4,
    failed=1,
    pending=2,
    cost_usd=Decimal("0.25"),
    overruns=(Overrun("greedy", 1, 130_000, 9),),
    tokens=900,
    seconds=12.5,
    stopped="Interrupted",
)


def test_prometheus_reads_the_figures_of_a_batch() -> None:
    text = metrics_of(DONE, 'spring "24"', 1000.0)
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    assert {sample.labels["batch"] for sample in samples} == {'spring "24"'}
    rows = {s.labels["status"]: s.value for s in samples if s.name == "orchestra_batch_rows"}
    assert rows["complete"] == 4
    assert rows["pending"] == 2
    assert sum(rows.values()) == DONE.rows
    figures = {s.name.removeprefix("orchestra_batch_"): s.value for s in samples}
    assert figures["cost_usd"] == 0.25
    assert figures["overrun_usd"] == 0.13
    assert figures["seconds"] == 12.5
    assert figures["stopped"] == 1
    assert figures["ended_timestamp_seconds"] == 1000


def test_a_file_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "batch.prom"
    write_metrics(path, DONE, "spring")
    write_metrics(path, Summary(), "autumn")
    text = path.read_text(encoding="utf-8")
    assert "autumn" in text
    assert "spring" not in text
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_nobody_would_read_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Name it batch\.prom"):
        check_metrics_file(tmp_path / "batch.txt")
    with pytest.raises(UsageError, match="is not there"):
        check_metrics_file(tmp_path / "none" / "batch.prom")
    with pytest.raises(UsageError, match=r"summary\.json"):
        write_metrics(tmp_path / "none" / "batch.prom", DONE, "spring")
