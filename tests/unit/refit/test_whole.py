"""The bound of whole jobs: which calls waited for which, and whether new jobs keep it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from orchestra.book.book import Book
from orchestra.book.messages import BeginCall, FinishRow, OpenAccount, SettleCall
from orchestra.book.timings import TimedCall
from orchestra.cli.main import main
from orchestra.core.card import FleetFile, parse_fleet
from orchestra.core.job import CallRecord, Result
from orchestra.core.latency import WholeJobs
from orchestra.fleet.source import load_fleet
from orchestra.refit.fit import TimedJob, fit_latency, fit_overhead
from orchestra.refit.refit import refit, with_latencies
from orchestra.refit.whole import chain_ms, fit_whole, whole_ms
from tests.unit.refit.drawn_calls import LOCAL, RAW, drawn_calls, measured

Drawn = tuple[list[TimedCall], list[TimedJob]]


def call(at_ms: float, ms: float, siblings: int = 0) -> TimedCall:
    return TimedCall(0, "a", "asked", ms, 0, 1, 1, 0, {}, siblings, None, "job:0", at_ms)


def taken(calls: list[TimedCall], says: Mapping[float, float]) -> float:
    """The longest chain, each call as long as `says` by when it was sent."""
    return chain_ms(calls, lambda one: says[one.at_ms])


def test_a_call_waits_for_those_that_had_ended_and_for_no_others() -> None:
    diamond = [call(0, 10), call(10, 5, 1), call(10.2, 9, 1), call(19.5, 4)]
    assert taken(diamond, {0: 1, 10: 7, 10.2: 3, 19.5: 2}) == 1 + 7 + 2


def test_calls_that_were_to_run_side_by_side_do_not_wait_for_each_other_by_chance() -> None:
    in_turn = [call(0, 4, 1), call(5, 4, 1), call(10, 4)]
    assert taken(in_turn, {0: 3, 5: 2, 10: 1}) == 3 + 1


def test_a_chain_beside_one_call_stays_a_chain() -> None:
    chain = [call(0, 4, 1), call(0.1, 20, 2), call(5, 4, 1)]
    assert taken(chain, {0: 3, 0.1: 4, 5: 2}) == 3 + 2


def drawn_jobs(count: int, *, seed: int = 0, noise: float = 0.3) -> Drawn:
    """Jobs of two calls in turn and 2 ms of their own, on an idle machine."""
    calls: list[TimedCall] = []
    jobs: list[TimedJob] = []
    draw = random.Random(seed)
    drawn = drawn_calls(2 * count, seed=seed, noise=noise, busy=False)
    for number, (first, second) in enumerate(zip(drawn[::2], drawn[1::2], strict=True)):
        at_ms, account = draw.uniform(0, 1e6), f"job:{number}"
        calls += [
            replace(first, job=number + 1, account=account, at_ms=at_ms),
            replace(second, job=number + 1, account=account, at_ms=at_ms + first.ms + 1),
        ]
        whole = first.ms + second.ms + 2
        jobs.append(TimedJob(2.0, 2, 0, account, whole))
    return calls, jobs


def shop() -> FleetFile:
    return parse_fleet(RAW, origin="shop.yaml")


def test_99_of_100_new_jobs_keep_a_bound_that_is_lower_than_that_of_their_calls() -> None:
    calls, jobs = drawn_jobs(600)
    found = fit_whole(shop(), frozenset("a"), calls, jobs)
    assert found is not None and found.jobs == 600
    latency, own = fit_latency(calls, None, LOCAL), fit_overhead(jobs)
    new_calls, new_jobs = drawn_jobs(1500, seed=7)
    kept = 0
    for job, pair in zip(new_jobs, zip(new_calls[::2], new_calls[1::2], strict=True), strict=True):
        said = whole_ms(pair, job, {"a": latency}, own, LOCAL)
        assert said is not None
        kept += job.whole_ms <= said * found.p99_ratio
    assert 0.98 < kept / len(new_jobs) < 0.999
    assert 1.2 < found.p99_ratio < latency.p99_ratio


def test_under_99_jobs_the_bound_is_the_largest_that_was_seen() -> None:
    calls, jobs = drawn_jobs(90, noise=0.05)
    slow = replace(jobs[5], whole_ms=jobs[5].whole_ms * 10)
    found = fit_whole(shop(), frozenset("a"), calls, [*jobs[:5], slow, *jobs[6:]])
    assert found is not None and 8 < found.p99_ratio < 12


@pytest.mark.parametrize("lost", ["call", "job"])
def test_jobs_that_the_book_does_not_tell_are_left_out(lost: str) -> None:
    calls, jobs = drawn_jobs(70)
    if lost == "call":
        calls = [one for number, one in enumerate(calls) if number % 8]
    else:
        jobs = jobs[:59]
    assert fit_whole(shop(), frozenset("a"), calls, jobs) is None


def test_a_job_of_a_model_without_a_latency_is_left_out() -> None:
    calls, jobs = drawn_jobs(90)
    assert fit_whole(shop(), frozenset(), calls, jobs) is None


def test_a_refit_proposes_the_bound_of_whole_jobs_and_drops_one_of_other_latencies() -> None:
    calls, jobs = drawn_jobs(120)
    found = refit(shop(), calls, jobs)
    assert found.new.whole_jobs == found.whole_jobs
    assert found.whole_jobs is not None and found.whole_jobs.jobs == 120
    assert found.public()["whole_jobs"]["jobs"] == 120
    known = WholeJobs(jobs=500, p99_ratio=1.2)
    old = with_latencies(shop().model_copy(update={"whole_jobs": known}), {}, None)
    assert old.whole_jobs is not None
    assert refit(old, calls, jobs[:40]).new.whole_jobs is None


def kept_in(path: Path, calls: list[TimedCall], jobs: list[TimedJob]) -> Path:
    """A batch's book with these jobs as its rows."""
    with Book.open(path) as book, book.transaction():
        for ordinal, job in enumerate(jobs, 1):
            book.do(OpenAccount(job.account))
            made: list[CallRecord] = []
            for number, one in enumerate(one for one in calls if one.account == job.account):
                uid = f"{job.account}:{number}"
                book.do(BeginCall(uid, job.account, uid, "read", "a", 5, 900))
                book.do(SettleCall(uid, 3, 100, measured=measured(one)))
                made.append(CallRecord(node="read", model="a", instruction="Read."))
            seconds = job.whole_ms / 1000
            result = Result(
                status="complete",
                calls=tuple(made),
                seconds=seconds,
                model_seconds=seconds - job.overhead_ms / 1000,
            )
            record = result.model_dump_json()
            end = FinishRow(job.account, ordinal, str(ordinal), "complete", record, job.account)
            book.do(end)
    return path


def test_what_a_batchs_rows_took_is_shown_and_read_again_once_accepted(tmp_path: Path) -> None:
    shop_yaml = tmp_path / "shop.yaml"
    shop_yaml.write_text(yaml.safe_dump(RAW), encoding="utf-8")
    calls, jobs = drawn_jobs(120)
    book = kept_in(tmp_path / "book.sqlite", calls, jobs)
    told = CliRunner().invoke(main, ["refit", str(book), "--fleet", str(shop_yaml), "--accept"])
    assert told.exit_code == 0, told.output
    expected = fit_whole(shop(), frozenset("a"), calls, jobs)
    assert expected is not None
    assert f"99 of 100 end within {expected.p99_ratio:g} times what is expected" in told.output
    assert "120 jobs" in told.output
    assert load_fleet(str(shop_yaml))[0].whole_jobs == expected
