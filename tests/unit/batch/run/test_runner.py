"""The batch runner with scripted models: rows, resume, budgets, silence, bad input."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphs.listing import build
from orchestra import Budget
from orchestra.app import Fleet
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.core.call import Call
from orchestra.core.card import FleetFile
from orchestra.core.errors import (
    BatchPaused,
    BookLocked,
    ConfirmationNeeded,
    InvalidBudget,
    InvalidFleet,
    InvalidTable,
    NoFeasiblePlan,
    NoModel,
)
from tests.scripted import first_allowed, scripted_fleet


def table(folder: Path, rows: int, name: str = "products.csv") -> Path:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "description", "price"])
        for number in range(1, rows + 1):
            writer.writerow([f"{number:05}", f"Brand{number}", "A red apple from Italy.", "9.90"])
    return path


def products(out: Path) -> list[dict[str, str]]:
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


async def run(source: Path, out: Path, fleet: Fleet | None = None, **options: Any) -> Any:
    used = fleet or scripted_fleet()[0]
    try:
        return await used.batch(build, source, out=out, **options)
    finally:
        await used.close()


async def test_every_row_comes_out_once_with_its_input_as_it_was(tmp_path: Path) -> None:
    summary = await run(table(tmp_path, 7), tmp_path / "out")
    rows = products(tmp_path / "out")
    assert [row["id"] for row in rows] == [f"{n:05}" for n in range(1, 8)]
    assert rows[0]["price"] == "9.90"
    assert rows[0]["input_name"] == "Brand1"
    assert (rows[0]["colour"], rows[0]["colour_source"]) == ("red", "text")
    assert summary.rows == summary.complete == 7
    written = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert written["plan_mix"] == {"read=r1 write=r1": 7}
    assert Decimal(str(written["cost_usd"])) == summary.cost_usd > 0


async def test_a_pilot_is_continued_and_finished_rows_are_not_paid_again(tmp_path: Path) -> None:
    source = table(tmp_path, 9)
    pilot = await run(source, tmp_path / "out", limit=3)
    assert (pilot.rows, len(products(tmp_path / "out"))) == (3, 3)
    fleet, engines = scripted_fleet()
    whole = await run(source, tmp_path / "out", fleet)
    assert whole.rows == 9
    assert len(engines["r1"].calls) == 2 * 6
    again_fleet, again_engines = scripted_fleet()
    again = await run(source, tmp_path / "out", again_fleet)
    assert again_engines["r1"].calls == []
    assert again.cost_usd == whole.cost_usd


async def test_the_cap_is_never_passed_and_more_budget_continues(tmp_path: Path) -> None:
    source = table(tmp_path, 40)
    cap = Budget(cost_usd="0.000060")
    stopped = await run(source, tmp_path / "out", budget=cap)
    assert "budget" in stopped.stopped
    assert 0 < stopped.cost_usd <= Decimal("0.000060")
    assert 0 < stopped.pending < 40
    assert {row["status"] for row in products(tmp_path / "out")} == {"complete", "pending"}
    whole = await run(source, tmp_path / "out", budget=Budget(cost_usd="1"))
    assert (whole.complete, whole.pending) == (40, 0)


async def test_rows_that_find_no_room_start_as_others_give_back_theirs(tmp_path: Path) -> None:
    source = table(tmp_path, 24)
    free = await run(source, tmp_path / "free", budget=Budget(cost_usd="1"))
    folder = Folder.read(tmp_path / "free")
    ceilings = [json.loads(row.record_json)["plan"]["total"]["cost_usd"]
                for row in folder.book.rows()]  # fmt: skip
    folder.book.close()
    most = Decimal(str(max(ceilings)))
    cap = free.cost_usd + most
    assert cap < 24 * most  # so not all have room at once
    capped = await run(source, tmp_path / "out", budget=Budget(cost_usd=cap), in_flight=24)
    assert (capped.complete, capped.pending, capped.stopped) == (24, 0, "")
    assert capped.cost_usd == free.cost_usd


async def test_a_silent_model_pauses_the_batch_and_fails_no_row(tmp_path: Path) -> None:
    answered = 0

    def dies(call: Call) -> Any:
        nonlocal answered
        answered += 1
        if answered > 10:
            raise RuntimeError("CUDA device lost")
        return first_allowed(call)

    source = table(tmp_path, 30)
    fleet, _ = scripted_fleet(dies)
    with pytest.raises(BatchPaused, match=r"'r1' stopped.*rows wait, none"):
        await run(source, tmp_path / "out", fleet, probe_delays_s=(0.0, 0.0), in_flight=4)
    statuses = [row["status"] for row in products(tmp_path / "out")]
    assert "failed" not in statuses and "pending" in statuses
    whole = await run(source, tmp_path / "out")
    assert (whole.complete, whole.failed) == (30, 0)


@pytest.mark.parametrize("answered", [0, 10])
async def test_no_row_is_started_once_a_model_is_silent(tmp_path: Path, answered: int) -> None:
    calls = 0

    def dies(call: Call) -> Any:
        nonlocal calls
        calls += 1
        if calls > answered:
            raise RuntimeError("CUDA device lost")
        return first_allowed(call)

    fleet, engines = scripted_fleet(dies)
    with pytest.raises(BatchPaused):
        await run(
            table(tmp_path, 80), tmp_path / "out", fleet, probe_delays_s=(0.0, 0.0), in_flight=4
        )
    rows_asked = 4 + 2  # those in flight, and one for each probe
    assert len(engines["r1"].calls) <= answered + 2 * rows_asked  # a call is tried again once


async def test_a_model_that_comes_back_ends_the_pause(tmp_path: Path) -> None:
    calls = 0

    def stumbles(call: Call) -> Any:
        nonlocal calls
        calls += 1
        if 5 < calls < 12:
            raise RuntimeError("out of memory")
        return first_allowed(call)

    fleet, _ = scripted_fleet(stumbles)
    delays = (0.0,) * 12
    summary = await run(
        table(tmp_path, 20), tmp_path / "out", fleet, probe_delays_s=delays, in_flight=4
    )
    assert (summary.complete, summary.pending, summary.failed) == (20, 0, 0)


async def test_interrupting_finishes_what_is_in_flight(tmp_path: Path) -> None:
    pressed: list[Call] = []

    def pressing(call: Call) -> Any:
        if not pressed and call.text and "Brand9" in call.text:
            pressed.append(call)
            os.kill(os.getpid(), signal.SIGINT)
        return first_allowed(call)

    fleet, _ = scripted_fleet(pressing)
    summary = await run(table(tmp_path, 60), tmp_path / "out", fleet, in_flight=4)
    assert summary.stopped == "Interrupted"
    assert 9 <= summary.complete < 60
    assert summary.complete + summary.pending == 60


async def test_a_second_interrupt_is_not_held_back(tmp_path: Path) -> None:
    handlers: list[Any] = []

    def pressing(call: Call) -> Any:
        if not handlers:
            os.kill(os.getpid(), signal.SIGINT)
        handlers.append(signal.getsignal(signal.SIGINT))
        return first_allowed(call)

    fleet, _ = scripted_fleet(pressing)
    await run(table(tmp_path, 20), tmp_path / "out", fleet, in_flight=4)
    assert handlers[0] is not signal.default_int_handler
    assert handlers[-1] is signal.default_int_handler


async def test_a_batch_that_went_on_took_the_time_of_all_its_runs(tmp_path: Path) -> None:
    source, seconds = table(tmp_path, 6), [0.0]
    for limit in (2, 4, 6):
        await run(source, tmp_path / "out", limit=limit)
        book = Folder.read(tmp_path / "out").book
        seconds.append(float(book.meta("seconds") or 0))
        book.close()
    assert all(before < after for before, after in pairwise(seconds))


async def test_bad_rows_fail_alone_with_their_type(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    Image.new("RGB", (30, 30), "red").save(tmp_path / "ok.png")
    path.write_text(
        "id,name,image\n1,Red apple,ok.png\n1,Red apple,ok.png\n2,,\n"
        "3,Red apple on its own,gone.png\n"
        "4,Red apple,ok.png\n",
        encoding="utf-8",
    )
    summary = await run(path, tmp_path / "out")
    errors = [
        json.loads(line)
        for line in (tmp_path / "out" / "errors.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [(e["row"], e["type"]) for e in errors] == [
        (2, "DuplicateId"),
        (3, "EmptyJob"),
        (4, "ImageNotFound"),
    ]
    statuses = [row["status"] for row in products(tmp_path / "out")]
    assert statuses == ["complete", "failed", "failed", "partial", "complete"]
    assert summary.reused == 1


async def test_one_process_at_a_time_writes_a_folder(tmp_path: Path) -> None:
    source = table(tmp_path, 2)
    await run(source, tmp_path / "out", limit=1)
    spec = Folder.read(tmp_path / "out").spec
    held = Folder.open(tmp_path / "out", spec)
    try:
        with pytest.raises(BookLocked):
            await run(source, tmp_path / "out")
    finally:
        held.book.close()


async def test_a_crash_presumes_what_was_on_its_way_and_finishes_the_rest(tmp_path: Path) -> None:
    source = table(tmp_path, 12)
    started = asyncio.Event()

    def hangs(call: Call) -> Any:
        if call.text and "Brand5" in call.text:
            started.set()
        return first_allowed(call)

    fleet, engines = scripted_fleet(hangs)
    engines["r1"].delay_s = 0.05
    task = asyncio.create_task(run(source, tmp_path / "out", fleet, in_flight=3))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    whole = await run(source, tmp_path / "out")
    assert (whole.complete, whole.pending) == (12, 0)
    book = Folder.read(tmp_path / "out").book
    spent = book.spent(BATCH_ACCOUNT)
    assert spent.open_cost_micro == 0
    book.close()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"text_columns": ["nmae"]}, InvalidTable, r"'nmae'.*name"),
        ({"image_column": "photo"}, InvalidTable, "photo"),
        ({"limit": 0}, InvalidBudget, "limit=0"),
        ({"in_flight": 0}, InvalidBudget, "in_flight=0"),
        ({"budget": Budget(latency_ms=1)}, NoFeasiblePlan, "latency_ms"),
        ({"text_columns": []}, InvalidTable, "no column to work on"),
    ],
)
async def test_a_wrong_request_is_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await run(table(tmp_path, 2), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


async def test_a_paid_fleet_without_a_budget_asks_first(tmp_path: Path) -> None:
    fleet, _ = scripted_fleet()
    paid = [
        card.model_copy(
            update={"price": card.price.model_copy(update={"usd_per_million_input_tokens": 1})}
        )
        for card in fleet.file.models
    ]
    fleet.file = FleetFile(name="paid", models=tuple(paid))
    with pytest.raises(ConfirmationNeeded, match=r"--cost-usd.*--yes"):
        await run(table(tmp_path, 1), tmp_path / "out", fleet)


async def test_a_fleet_that_cannot_see_is_refused_before_the_first_row(tmp_path: Path) -> None:
    source = tmp_path / "products.csv"
    source.write_text("id,image\n1,a.png\n", encoding="utf-8")
    fleet, _ = scripted_fleet()
    fleet.file = FleetFile(name="blind", models=(fleet.file.card("r1"),))
    with pytest.raises(NoModel, match="vision"):
        await run(source, tmp_path / "out", fleet)


async def test_a_fleet_for_planning_only_is_refused_before_the_first_row(tmp_path: Path) -> None:
    async with Fleet.open("article") as fleet:
        with pytest.raises(InvalidFleet, match="planning only"):
            await fleet.batch(build, table(tmp_path, 1), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
