"""Routing learned from a user's labels, as a user types it: two batches, a policy, its plans."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestra.cli.main import main
from tests.unit.cli.specialists import LONG, rows, write_fleets


def called(*arguments: str | Path) -> Any:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fleets, graph, a labelled table and a policy fitted from two batches."""
    folder = tmp_path_factory.mktemp("learned")
    fleets = write_fleets(folder)
    with (folder / "lamps.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "colour"])
        writer.writerows((number, *row) for number, row in enumerate(rows(60), start=1))
    for name in ("quick", "thorough"):
        called(
            "batch", folder / "lamps.csv", "--graph", f"{folder / 'colours.py'}:build",
            "--text-columns", "text", "--id-column", "id",
            "--fleet", fleets[name], "--out", folder / f"out-{name}",
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def fitted(place: Path) -> Any:
    return called(
        "calibrate", place / "out-quick", place / "out-thorough", "--gold", place / "lamps.csv",
        "--encoder", "", "--out", place / "policy.yaml",
    )  # fmt: skip


def plan(place: Path, text: str, *more: str | Path) -> Any:
    graph = f"{place / 'colours.py'}:build"
    # A row's text begins with its column; without that a text is at the edge of what was learnt.
    return called(
        "plan", f"text: {text}", "--graph", graph, "--fleet", place / "both.yaml",
        "--policy", place / "policy.yaml", "--json", *more,
    )  # fmt: skip


def test_calibrate_says_what_routing_by_the_text_gains_on_texts_left_out(fitted: str) -> None:
    assert "read: which of quick, thorough answers a text well" in fitted
    assert "asking the model of the best estimate gains +0." in fitted


def test_a_plan_takes_the_model_that_is_expected_to_answer_this_text(
    place: Path, fitted: str
) -> None:
    (short,) = plan(place, "Lamp 70 is red, not blue.")["nodes"]
    (long,) = plan(place, "Lamp 71 is red, not blue." + LONG)["nodes"]
    assert (short["model"], long["model"]) == ("quick", "thorough")
    assert short["quality_origin"] == "learned from 60 texts, for this one"
    assert short["quality_range"][0] <= short["quality"] <= short["quality_range"][1]


def test_rows_of_a_batch_go_to_the_model_of_their_text(place: Path, fitted: str) -> None:
    called(
        "batch", place / "lamps.csv", "--graph", f"{place / 'colours.py'}:build",
        "--text-columns", "text", "--id-column", "id", "--fleet", place / "both.yaml",
        "--policy", place / "policy.yaml", "--out", place / "out",
    )  # fmt: skip
    lamps = place / "lamps.csv"
    scored = called("eval", place / "out", "--truth", lamps, "--field", "colour", "--json")
    assert (scored["rows"], scored["coverage"], scored["accuracy"]) == (60, 1.0, 1.0)


def test_a_tables_plan_knows_kinds_by_what_a_better_model_gains(place: Path, fitted: str) -> None:
    planned = called(
        "plan", place / "lamps.csv", "--graph", f"{place / 'colours.py'}:build",
        "--text-columns", "text", "--id-column", "id", "--fleet", place / "both.yaml",
        "--policy", place / "policy.yaml", "--dry", "--out", place / "new", "--json",
    )  # fmt: skip
    routes = {
        kind["name"]: max(kind["ways"], key=lambda way: way["worth"])["route"]
        for kind in planned["kinds"]
    }
    assert any("gain" in name for name in routes)
    assert {"quick", "thorough"} <= {
        model for route in routes.values() for model in ("quick", "thorough") if model in route
    }
