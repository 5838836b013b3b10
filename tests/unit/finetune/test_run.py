"""An order from table to fleet, with a trainer that trains nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestra.core.errors import InvalidFleet, OutputMismatch, UsageError
from orchestra.finetune.order import FinetuneSettings, Order
from orchestra.finetune.run import finetune
from orchestra.fleet.source import load_fleet, load_graph
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from tests.tuning import cups, write_fleet, write_table

STUB = {"worker": "tests.tuning:StubWorker", "checkpoint": "weights"}


def order(folder: Path, **changes: Any) -> Order:
    fleet = write_fleet(
        folder,
        {"name": "r1", "hosting": STUB, "scores": ["old"], "can": "Old."},
        {"name": "other", "hosting": {**STUB, "checkpoint": "more"}, "fallback": "r1"},
        {"name": "public", "hosting": {**STUB, "checkpoint": "org/name"}},
        {"name": "fixed", "hosting": {"worker": "tests.tuning:Untrainable", "checkpoint": "w"}},
        {"name": "far", "hosting": {"worker": None}},
    )
    (folder / "more").mkdir(exist_ok=True)
    table = write_table(folder / "mine.jsonl", cups(10))
    given: dict[str, Any] = {"base": f"{fleet}/r1", "data": table, "out": folder / "out", **changes}
    return Order(**given)


def quiet(line: str) -> None:
    """Nobody listens."""


def test_the_result_takes_the_place_of_its_base_in_a_fleet_that_loads(tmp_path: Path) -> None:
    report = finetune(order(tmp_path), quiet)
    assert report["rows"] == {"train": 8, "held_out": 2}
    assert report["before"]["kind"]["share"] == 0 and report["after"]["kind"]["share"] == 1
    file, folder = load_fleet(report["fleet"])
    assert [card.name for card in file.models] == ["r1-tuned", "other", "public", "fixed", "far"]
    tuned, other, public = file.models[:3]
    assert (folder / (tuned.hosting.checkpoint or "")).resolve() == tmp_path / "out"
    assert (tuned.quality["text"].score, tuned.quality["text"].origin) == (100.0, "measured")
    assert "old" not in tuned.scores and "kind: 100.0% right" in tuned.scores[0]
    assert not tuned.hosting.schema_in_prompt
    assert other.hosting.checkpoint == str(tmp_path / "more") and other.fallback == "r1-tuned"
    assert public.hosting.checkpoint == "org/name"


def test_the_written_graph_asks_what_the_rows_ask(tmp_path: Path) -> None:
    report = finetune(order(tmp_path), quiet)
    graph = view(compile_graph(load_graph(report["graph"])))
    (node,) = graph.asks.values()
    assert (node.capability, node.instruction) == ("text", "What?")
    assert list(json.loads(node.schema_json or "{}")["properties"]) == ["kind"]


def test_a_finished_run_is_not_run_again_and_another_needs_another_folder(tmp_path: Path) -> None:
    first = finetune(order(tmp_path), quiet)
    assert finetune(order(tmp_path), quiet) == first
    assert (tmp_path / "out" / "runs.txt").read_text() == "x"
    with pytest.raises(OutputMismatch, match=r"another run.*Give another --out"):
        finetune(order(tmp_path, settings=FinetuneSettings(seed=1)), quiet)


@pytest.mark.parametrize(
    ("name", "told"),
    [("fixed", "names no trainer"), ("far", "not here"), ("none", "has no model 'none'")],
)
def test_a_model_that_cannot_be_trained_is_an_error_with_a_cure(
    tmp_path: Path, name: str, told: str
) -> None:
    wanted = order(tmp_path)
    fleet = wanted.base.rpartition("/")[0]
    with pytest.raises(InvalidFleet, match=told):
        finetune(order(tmp_path, base=f"{fleet}/{name}"), quiet)


def test_a_folder_that_cannot_be_written_and_wrong_numbers_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/out.*cannot be written.*--out"):
        finetune(order(tmp_path, out=tmp_path / "file" / "out"), quiet)
    with pytest.raises(UsageError, match=r"--val is 1\.5"):
        order(tmp_path, val=1.5)
    with pytest.raises(UsageError, match="Give one"):
        FinetuneSettings(steps=3, minutes=1)
    with pytest.raises(UsageError, match="--lr is nan"):
        FinetuneSettings(lr=float("nan"))
