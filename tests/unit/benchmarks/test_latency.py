"""The mechanics of benchmarks/latency.py, with scripted models: no figure here is a time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.latency import (
    Bench,
    Given,
    Timed,
    given_jobs,
    known_photos,
    photo,
    summary,
    told,
    without_latencies,
)
from orchestra.core.job import ErrorRecord, Job, Result
from orchestra.refit.refit import with_latencies
from tests.scripted import scripted_fleet


def timed(actual_ms: float, deadline_ms: float, accepted: bool, late: bool = False) -> Timed:
    errors = (ErrorRecord(stage="read", type="DeadlineExceeded", message=""),) if late else ()
    result = Result(status="failed" if late else "complete", errors=errors)
    told_ms = {"before": actual_ms * 2, "after": actual_ms * 1.1}
    given = Given("answer", "text", Job(text="a"))
    return Timed(given, actual_ms, result, told_ms, deadline_ms, accepted, ease=deadline_ms / 8)


def test_the_summary_counts_what_was_promised_and_kept() -> None:
    jobs = [timed(10, 20, True) for _ in range(20)]
    jobs += [timed(30, 20, True, late=True), timed(15, 20, False), timed(25, 20, False)]
    figures = summary(jobs)
    assert (figures["accepted"], figures["met"]) == (21, 20)
    assert (figures["refused"], figures["refused_in_vain"]) == (2, 1)
    assert figures["error_before"] == pytest.approx(1.0)
    assert figures["error_after"] == pytest.approx(0.1)
    assert figures["left_out"] == 1
    assert figures["by_ease"] == {"2 to 3": [23, 21]}
    assert "10.0% after the re-fit" in told(figures)


def test_photos_are_parts_of_those_given_or_drawn_and_no_two_alike(tmp_path: Path) -> None:
    shown = tmp_path / "grocery" / "images" / "pear.jpg"
    shown.parent.mkdir(parents=True)
    Image.linear_gradient("L").convert("RGB").save(shown)
    given = known_photos(tmp_path)
    assert given == [shown]
    part, scene = photo(tmp_path, 3, given), photo(tmp_path, 4, ())
    with Image.open(part) as opened:
        assert opened.size == (224, 224)
    with Image.open(scene) as opened:
        assert opened.size == (400, 400)
    assert part.read_bytes() != photo(tmp_path, 5, given).read_bytes()
    assert photo(tmp_path, 4, ()).read_bytes() == scene.read_bytes()


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no grocery/images.*or none"):
        known_photos(tmp_path)


async def test_jobs_run_on_drawn_models_and_within_deadlines_that_the_plan_accepts(
    tmp_path: Path,
) -> None:
    draw = random.Random(3)
    fleet, engines = scripted_fleet()
    fleet.file = without_latencies(fleet.file)
    slow = fleet.file.card("r1").latency
    assert slow is None and fleet.file.overhead is None
    jobs = given_jobs(tmp_path, draw)
    async with fleet:
        bench = Bench(fleet, draw, {"before": fleet.file})
        first = await bench.arriving([next(jobs) for _ in range(16)], 0.001, bench.on_drawn_models)
        bench.files["after"] = with_latencies(fleet.file, {}, None)
        second = await bench.arriving([next(jobs) for _ in range(12)], 0.001, bench.within_deadline)
    asked = {name for name, engine in engines.items() if engine.calls}
    assert {"r1", "v2", "v3", "vl"} <= asked
    assert all(set(job.told_ms) == {"before"} for job in first)
    for job in second:
        assert job.told_ms["before"] == job.told_ms["after"] > 0
        assert job.deadline_ms is not None
        assert job.accepted == bool(job.result.plan["budget"])
