"""The limits of a minute of models that are hosted here."""

from __future__ import annotations

from orchestra.fleet.source import load_fleet
from orchestra.graph.pacing import Paces
from tests.meeting import Meeting, at_once


def test_threads_that_call_first_at_one_moment_share_one_minute() -> None:
    card = load_fleet("mini")[0].card("r1")
    limits = card.limits.model_copy(update={"requests_per_minute": 1})
    paced = card.model_copy(update={"name": Meeting().name("r1"), "limits": limits})
    paces = Paces()
    first, second = at_once(lambda: paces.of(paced))
    assert first is not None and first is second
