"""A bench has a row for each model; one that cannot be reached says so and stops nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestra.app import Fleet
from orchestra.bench.measure import BenchSettings, bench
from orchestra.cli.main import main
from orchestra.core.card import FleetFile
from orchestra.core.errors import ConfirmationNeeded, InvalidFleet
from orchestra.core.job import Budget
from orchestra.core.text_table import joint_table, model_table
from tests.bench_questions import questions
from tests.servers.fake_server import chat, endpoint_card, serving

GONE = "http://127.0.0.1:9/v1"  # the discard port: nothing listens there
FREE = {"as_of": "2026-11-01"}
SAYS_RED = chat('{"answer": "red"}')


def fleet_of(*cards: Any) -> Fleet:
    return Fleet(FleetFile(name="far", models=cards), Path("."))


async def test_a_server_that_is_gone_has_a_row_that_says_so() -> None:
    with serving(SAYS_RED) as server:
        there = endpoint_card(server.url, price=FREE)
        gone = endpoint_card(GONE, name="gone", price=FREE, endpoint={"attempts": 1})
        async with fleet_of(gone, there) as fleet:
            lost, row = await bench(fleet, list(questions()), BenchSettings())
    assert lost["error"]["type"] == "ModelUnavailable"
    assert lost["scores"] == []
    assert row["error"] is None
    assert (row["scores"][0]["right"], row["scores"][0]["asked"]) == (1, 2)
    assert row["latency_p95_ms"] >= row["latency_p50_ms"] > 0
    assert (row["memory_mib"], row["size_mb"]) == (None, None)
    assert "ModelUnavailable" in "\n".join(joint_table([lost, row]))
    assert "not measured" in model_table(lost)[1]


async def test_a_paid_model_needs_a_budget_which_then_holds() -> None:
    with serving(SAYS_RED) as server:
        async with fleet_of(endpoint_card(server.url)) as fleet:
            with pytest.raises(ConfirmationNeeded, match=r"far .*--cost-usd"):
                await bench(fleet, list(questions()), BenchSettings())
            assert not server.asked
        async with fleet_of(endpoint_card(server.url)) as fleet:
            plan = BenchSettings(budget=Budget(cost_usd="0.005"))  # the first call may cost 0.004
            (row,) = await bench(fleet, [*questions()] * 200, plan)
    assert row["error"] is None
    assert 0 < float(row["cost_usd"]) <= 0.005


async def test_what_a_budget_does_not_hold_is_the_models_error() -> None:
    with serving(SAYS_RED) as server:
        async with fleet_of(endpoint_card(server.url)) as fleet:
            plan = BenchSettings(budget=Budget(cost_usd="0.000001"))
            (row,) = await bench(fleet, list(questions()), plan)
    assert row["error"]["type"] == "BudgetExceeded"


async def test_per_kind_bounds_the_questions() -> None:
    with serving(SAYS_RED) as server:
        async with fleet_of(endpoint_card(server.url, price=FREE)) as fleet:
            (row,) = await bench(fleet, list(questions()), BenchSettings(per_kind=1))
    assert row["scores"][0]["asked"] == 1


async def test_a_fleet_for_planning_only_is_told() -> None:
    async with Fleet.open("article") as fleet:
        with pytest.raises(InvalidFleet, match="planning only"):
            await bench(fleet, list(questions()), BenchSettings())


def fleet_file(tmp_path: Path, url: str) -> str:
    path = tmp_path / "far.yaml"
    card = endpoint_card(url, price=FREE, endpoint={"attempts": 1})
    file = FleetFile(name="far", models=(card,)).model_dump(mode="json")
    path.write_text(json.dumps(file), encoding="utf-8")  # JSON is YAML, too
    return str(path)


def test_the_command_prints_both_tables_or_json(tmp_path: Path) -> None:
    with serving(SAYS_RED) as server:
        options = ["--fleet", fleet_file(tmp_path, server.url)]
        options += ["--questions", "tests.bench_questions:questions"]
        shown = CliRunner().invoke(main, ["bench", *options], catch_exceptions=False)
        told = CliRunner().invoke(main, ["bench", "--json", *options], catch_exceptions=False)
    assert shown.exit_code == 0
    head, line = shown.stdout.splitlines()[:2]
    assert " ".join(head.split()) == "model role colour p50 ms p95 ms memory MiB size MB"
    assert line.split()[:3] == ["far", "text", "50.0%"]
    document = json.loads(told.stdout)
    assert document["models"][0]["scores"][0]["accuracy"] == 0.5
    assert document["machine"]["cpus"] >= 1


def test_the_command_fails_when_no_model_could_be_measured(tmp_path: Path) -> None:
    options = ["--fleet", fleet_file(tmp_path, GONE)]
    options += ["--questions", "tests.bench_questions:questions"]
    done = CliRunner().invoke(main, ["bench", *options], catch_exceptions=False)
    assert done.exit_code == 1
    assert "ModelUnavailable" in done.stdout
