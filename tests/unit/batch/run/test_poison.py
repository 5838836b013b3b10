"""Rows that a model fails on while it answers others, and finished rows that are run again."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from graphs.answer import build
from orchestra import Budget
from orchestra.app import Fleet
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.output.summary import Summary
from orchestra.batch.progress import Progress
from orchestra.batch.run.silence import MOST_ASIDE
from orchestra.book.costs import costs
from orchestra.core.card import FleetFile
from orchestra.core.errors import BatchPaused, UsageError
from orchestra.images.limits import ImageLimits
from tests.servers.failing_servers import ModelServer, PhotoServer
from tests.servers.fake_server import endpoint_card

PRICE = {"as_of": "2026-11-01", "usd_per_million_output_tokens": "10000"}


def table(folder: Path, rows: int = 12) -> Path:
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name"])
        writer.writerows([[f"A{n}", f"Lot {n}, red apple"] for n in range(1, rows + 1)])
    return path


async def run(
    url: str,
    source: Path,
    *,
    price: dict[str, str] = PRICE,
    sees: bool = False,
    **options: Any,
) -> Summary:
    card = endpoint_card(url, price=price, capabilities=["text", *["vision"] * sees])
    defaults = {"yes": True, "probe_delays_s": (0.0, 0.0), "text_columns": ["name"]}
    file, limits = FleetFile(name="far", models=(card,)), ImageLimits(allow_private=True)
    async with Fleet(file, source.parent, image_limits=limits) as fleet:
        return await fleet.batch(
            build, source, out=source.parent / "out", **{**defaults, **options}
        )


def errors(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "out" / "errors.jsonl").read_text(encoding="utf-8").splitlines()
    return [(line["id"], line["type"]) for line in map(json.loads, lines)]


def book_of(folder: Path) -> Any:
    return Folder.read(folder / "out").book


class Killed(BaseException):
    """The end of a process."""


class KilledAtRetry(Progress):
    """Ends the run where it would run a row again."""

    def say(self, message: str) -> None:
        if "are run again" in message:
            raise Killed


@pytest.mark.parametrize("in_flight", [1, 2, 32])
@pytest.mark.parametrize("poison", ["Lot 1", "Lot 6", "Lot 12"])
async def test_a_row_that_a_model_always_fails_on_fails_alone_after_its_attempts(
    tmp_path: Path, in_flight: int, poison: str
) -> None:
    server = ModelServer((f"{poison},",))
    with server.serving() as url:
        summary = await run(url, table(tmp_path), in_flight=in_flight)
    assert (summary.rows, summary.failed, summary.pending) == (12, 1, 0)
    assert errors(tmp_path) == [(poison.replace("Lot ", "A"), "ModelUnavailable")]
    assert server.count(f"{poison},") == 3
    failed = poison.replace("Lot ", "A")
    with book_of(tmp_path) as book:
        spent = {line.name: (line.calls, line.cost_micro) for line in costs(book, "row").lines}
    calls, micro = spent.pop(failed)
    assert calls == 3 and micro == 3 * 660_000  # each at its worst case
    probes, _ = spent.pop("(no row)", (0, 0))
    assert probes <= 3
    assert spent == {f"A{n}": (1, 10_000) for n in range(1, 13) if f"A{n}" != failed}


async def test_many_rows_that_fail_by_themselves_are_run_again_before_the_tables_end(
    tmp_path: Path,
) -> None:
    poison = range(1, 2 * MOST_ASIDE + 2)
    server = ModelServer(tuple(f"Lot {number}," for number in poison))
    rows = 3 * MOST_ASIDE
    with server.serving() as url:
        summary = await run(url, table(tmp_path, rows), attempts=2)
    assert (summary.failed, summary.pending) == (len(poison), 0)
    first = next(at for at, body in enumerate(server.asked) if f"Lot {rows}," in body)
    again = max(at for at, body in enumerate(server.asked) if "Lot 1," in body)
    assert again < first and [server.count(f"Lot {n},") for n in poison] == [2] * len(poison)


@pytest.mark.parametrize("in_flight", [1, 32])
async def test_rows_that_fail_side_by_side_at_the_end_are_told_from_a_model_that_is_down(
    tmp_path: Path, in_flight: int
) -> None:
    server = ModelServer(("Lot 11,", "Lot 12,", "Lot 10,"))
    with server.serving() as url:
        summary = await run(url, table(tmp_path), in_flight=in_flight)
    assert (summary.failed, summary.pending) == (3, 0)
    assert [server.count(f"Lot {n},") for n in (9, 10, 11, 12)] == [1, 3, 3, 3]


@pytest.mark.parametrize("status", [500, 503, 429])
@pytest.mark.parametrize("rows", [1, 12])
async def test_a_model_that_fails_for_all_rows_pauses_the_batch_and_fails_none(
    tmp_path: Path, status: int, rows: int
) -> None:
    server = ModelServer(status=status, is_down=True)
    with server.serving() as url:
        with pytest.raises(BatchPaused, match=rf"{rows} rows wait, none of them failed"):
            await run(url, table(tmp_path, rows), in_flight=4)
        assert errors(tmp_path) == []
        server.is_down = False
        summary = await run(url, table(tmp_path, rows))
    assert (summary.failed, summary.pending) == (0, 0)


@pytest.mark.parametrize("price", [PRICE, {"as_of": "2026-11-01"}])
@pytest.mark.parametrize("status", [503, 429])
async def test_a_row_that_is_always_turned_away_fails_alone_too(
    tmp_path: Path, status: int, price: dict[str, str]
) -> None:
    server = ModelServer(("Lot 6,",), status)
    with server.serving() as url:
        summary = await run(url, table(tmp_path), price=price, attempts=2)
    kind = "RateLimited" if status == 429 else "ModelUnavailable"
    assert errors(tmp_path) == [("A6", kind)]
    assert (summary.failed, summary.pending) == (1, 0)


async def test_a_resume_goes_on_counting_the_attempts(tmp_path: Path) -> None:
    server = ModelServer(("Lot 1,",))
    source = table(tmp_path)
    with server.serving() as url:
        for attempts in (1, 2):
            with pytest.raises(Killed):
                await run(url, source, progress=KilledAtRetry())
            with book_of(tmp_path) as book:
                assert list(book.attempts().values()) == [attempts]
            assert server.count("Lot 1,") == attempts
        summary = await run(url, source)
    assert server.count("Lot 1,") == 3
    assert (summary.failed, summary.pending) == (1, 0)


async def test_failed_rows_are_run_again_when_asked_and_what_they_spent_stays(
    tmp_path: Path,
) -> None:
    server = ModelServer(("Lot 2,", "Lot 5,"))
    source = table(tmp_path)
    with server.serving() as url:
        first = await run(url, source, attempts=1)
        assert first.failed == 2
        server.poison = ("Lot 5,",)
        same = await run(url, source)
        assert (same.failed, same.cost_usd) == (2, first.cost_usd)
        other = await run(url, source, retry_failed=["AnswerInvalid"])
        assert other.failed == 2
        before = len(server.asked)
        again = await run(url, source, retry_failed=["ModelError"], attempts=1)
    assert errors(tmp_path) == [("A5", "ModelUnavailable")]
    assert again.failed == 1 and again.rows == 12
    assert again.cost_usd > first.cost_usd + Decimal("0.1")
    retried = [said for said in server.asked[before:] if "Lot " in said]
    assert len(retried) == 2
    with book_of(tmp_path) as book:
        by_row = {line.name: line for line in costs(book, "row").lines}
        assert by_row["A5"].calls == 2 and by_row["A2"].calls == 2
        total = sum(line.cost_micro for line in by_row.values())
        assert total == book.spent(BATCH_ACCOUNT).cost_micro


async def test_a_stopped_retry_leaves_the_old_records(tmp_path: Path) -> None:
    server = ModelServer(("Lot 2,", "Lot 5,"))
    source = table(tmp_path)
    with server.serving() as url:
        first = await run(url, source, attempts=1)
        server.is_down = True
        with pytest.raises(BatchPaused):
            await run(url, source, retry_failed=True)
        assert [row for row, _ in errors(tmp_path)] == ["A2", "A5"]
        server.is_down, server.poison = False, ()
        done = await run(url, source, retry_failed=True)
    assert (first.failed, done.failed, done.pending) == (2, 0, 0)


async def test_a_type_of_error_that_there_is_not_is_refused_before_anything_is_run(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=r"'ModelUnavailible'.*Did you mean 'ModelUnavailable'"):
        await run("http://127.0.0.1:9/v1", table(tmp_path), retry_failed=["ModelUnavailible"])
    assert not (tmp_path / "out").exists()


async def test_a_row_that_fails_alone_in_the_sample_does_not_keep_the_batch_from_running(
    tmp_path: Path,
) -> None:
    server = ModelServer(("Lot 1,", "Lot 4,", "Lot 7,", "Lot 10,"))
    with server.serving() as url:
        budget = Budget(cost_usd=30)  # the table may cost more, so that a sample is run first
        summary = await run(url, table(tmp_path), budget=budget, spread=True, attempts=1)
    assert {row for row, _ in errors(tmp_path)} == {"A1", "A4", "A7", "A10"}
    assert (summary.failed, summary.pending) == (4, 0)
    assert summary.cost_usd <= 30


async def test_a_row_whose_photo_may_come_later_is_taken_up_by_the_next_run(tmp_path: Path) -> None:
    photos = PhotoServer(status=503)
    source = tmp_path / "products.csv"
    with photos.serving() as address, ModelServer().serving() as url:
        lines = ["id,name,image", f"A1,red apple,{address}/a.png", f"A2,pear,{address}/gone.png"]
        source.write_text("\n".join([*lines, "A3,plum,"]), encoding="utf-8")
        first = await run(url, source, sees=True)
        assert errors(tmp_path) == [("A1", "ImageUnavailable"), ("A2", "ImageNotFound")]
        photos.status = 200
        asked = dict(photos.asked)
        second = await run(url, source, sees=True)
        third = await run(url, source, sees=True)
    assert [one.failed for one in (first, second, third)] == [2, 1, 1]
    assert errors(tmp_path) == [("A2", "ImageNotFound")]
    assert asked == {"/a.png": 4, "/gone.png": 1}
    assert photos.asked == {"/a.png": 5, "/gone.png": 1}
