"""What a run notes of itself is told, however it comes."""

from __future__ import annotations

from typing import Any

from orchestra.core.job import CallRecord
from orchestra.graph.progress import CallLog


def test_calls_that_come_several_at_once_are_told_one_by_one() -> None:
    told: list[Any] = []
    log = CallLog(tell=lambda mode, record: told.append((mode, record.node)))
    log.extend(CallRecord(node=node, model="r1", instruction="?") for node in "ab")
    assert told == [("call", "a"), ("call", "b")]
    assert [record.node for record in log] == ["a", "b"]
