"""Ingresses that judge a canary together: what one saw, ledgers that die, restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest

from orchestra.book.shared.server import LedgerServer
from orchestra.core.errors import BookUnavailable
from orchestra.serving.canary.court import CanaryCourt, CanaryReport, CanaryVerdict
from orchestra.serving.canary.seen import CANARY, STABLE
from orchestra.serving.canary.telling import CanaryTelling
from orchestra.serving.canary.trial import CanaryTrial


class Place:
    """The process of a court, which can die or be away; its book stays."""

    def __init__(self, book: Path | None) -> None:
        self._book = book
        self.is_away = False
        self.heard = 0
        self.begin()

    def begin(self) -> None:
        self.server = LedgerServer(self._book)
        self._court = CanaryCourt(self.server.note, self.server.keep_note)

    def die(self) -> None:
        self.server.close()
        self.begin()

    async def hear(self, report: CanaryReport) -> CanaryVerdict:
        if self.is_away:
            raise BookUnavailable("The ledger does not answer.")
        self.heard += len(report.seen)
        return self._court.hear(report)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "book.sqlite")
    yield place
    place.server.close()


def ingress(place: Place, name: str = "next") -> tuple[CanaryTrial, CanaryTelling]:
    trial = CanaryTrial(10, name=name)
    return trial, CanaryTelling(trial, place.hear)


def answer(trial: CanaryTrial, version: str, count: int, *, failed: bool = False) -> None:
    for _ in range(count):
        trial.ended(version, 0.1, is_failed=failed)


def returned() -> float:
    return prometheus_client.REGISTRY.get_sample_value("orchestra_canary_returned_total") or 0


async def test_what_no_ingress_could_judge_alone_all_of_them_do(place: Place) -> None:
    (one, tell_one), (other, tell_other) = ingress(place), ingress(place)
    before = returned()
    answer(one, STABLE, 40)
    answer(other, CANARY, 6, failed=True)  # it has nothing to compare with
    assert not await tell_one.tell() and one.percent == other.percent == 10
    assert await tell_other.tell() and other.percent == 0
    assert await tell_one.tell() and one.percent == 0
    assert one.why == other.why and one.why.startswith("failed: 100.0% of 6 requests")
    assert returned() == before + 1  # told by one of them


async def test_a_verdict_of_one_ingress_holds_for_all_at_once(place: Place) -> None:
    (one, tell_one), (other, tell_other) = ingress(place), ingress(place)
    answer(one, STABLE, 40)
    answer(one, CANARY, 20, failed=True)
    assert one.percent == 0  # by itself
    assert await tell_one.tell() and await tell_other.tell()
    assert other.percent == 0 and other.why == one.why


async def test_a_court_that_died_hears_again_what_was_seen(place: Place) -> None:
    (one, tell_one), (other, tell_other) = ingress(place), ingress(place)
    answer(one, STABLE, 40)
    await tell_one.tell()
    place.die()
    answer(one, STABLE, 1)
    answer(other, CANARY, 6, failed=True)
    await tell_one.tell()
    assert place.heard >= 81 and one.untold == 0
    assert await tell_other.tell()
    assert "of 41" in other.why


async def test_an_outcome_counts_once_however_often_it_is_told(place: Place) -> None:
    trial, (other, tell_other) = CanaryTrial(10, name="next"), ingress(place)
    answer(trial, STABLE, 40)
    report = trial.report("me")
    for _ in range(3):  # its answer was lost
        await place.hear(report)
    answer(other, CANARY, 6, failed=True)
    assert await tell_other.tell()
    assert other.worse is not None and other.worse.stable_of == 40


async def test_a_canary_without_a_share_has_none_after_a_restart(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    trial, telling = ingress(place)
    answer(trial, STABLE, 40)
    answer(trial, CANARY, 20, failed=True)
    await telling.tell()
    place.die()
    before = returned()
    again, tell_again = ingress(place)
    async with tell_again.going_on():  # before any work is taken
        assert again.percent == 0 and again.why == trial.why
    assert returned() == before and "begins a new trial" in caplog.text
    mended, tell_mended = ingress(place, "mended")
    assert not await tell_mended.tell() and mended.percent == 10


async def test_while_the_ledger_is_away_an_ingress_judges_by_itself(place: Place) -> None:
    place.is_away = True
    trial, telling = ingress(place)
    async with telling.going_on():
        answer(trial, STABLE, 40)
        answer(trial, CANARY, 20, failed=True)
        assert not await telling.tell() and trial.percent == 0
        place.is_away = False
        assert await telling.tell()
    verdict = await place.hear(CanaryTrial(10, name="next").report("other"))
    assert str(verdict.worse) == trial.why


async def test_more_than_one_report_holds_is_told_in_several(place: Place) -> None:
    trial, telling = ingress(place)
    answer(trial, STABLE, 4500)  # more than are kept, too
    await telling.tell()
    assert trial.untold == 0 and place.heard == 4000


async def test_without_a_book_a_verdict_holds_as_long_as_the_ledger() -> None:
    place = Place(None)
    trial, telling = ingress(place)
    answer(trial, STABLE, 40)
    answer(trial, CANARY, 20, failed=True)
    await telling.tell()
    again, tell_again = ingress(place)
    await tell_again.tell()
    assert again.percent == 0
