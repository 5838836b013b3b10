"""Labelled rows of every form, and a reader that they teach, as a fleet that runs at once."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from orchestra import Fleet, Job
from orchestra.core.errors import BookError, InvalidTable, OutputMismatch, UsageError
from orchestra.finetune.labelled import Labels, read_labelled
from orchestra.finetune.learn import learn
from orchestra.finetune.reading import ReadingOrder
from orchestra.finetune.values import Counts, counted, gain, total
from orchestra.fleet.source import load_fleet, load_graph
from tests.stub_worker import write_fleet
from tests.tagged import titles
from tests.tuning import write_table


def quiet(line: str) -> None:
    """Nobody listens."""


def write_titles(path: Path, count: int = 60, labelled: int = 50) -> Path:
    """A CSV of titles whose fields are filled in the first rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["title", "brand", "colour", "size", "department"])
        for at, (text, values) in enumerate(titles(count)):
            cells = ["".join(given) or "(none)" for given in values.values()]
            writer.writerow([text, *(cells if at < labelled else [""] * 4)])
    return path


def order(folder: Path, **changes: Any) -> ReadingOrder:
    labels = Labels(write_titles(folder / "mine.csv"), text=("title",))
    base = f"{write_fleet(folder)}/r1"
    return ReadingOrder(labels, **{"out": folder / "out", "base": base, **changes})


def test_empty_cells_are_not_known_and_none_is_known_to_be_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('text,a,b\nx 1,1,(none)\ny 2,"[""y"", ""2""]",\nz,,\n', encoding="utf-8")
    first, second = read_labelled(Labels(path))
    assert first.values == {"a": ["1"], "b": []}
    assert second.values == {"a": ["y", "2"]}
    (only,) = read_labelled(Labels(path, fields=("b",)))
    assert only.values == {"b": []}


def test_answers_of_json_lines_are_values_and_chats_are_refused(tmp_path: Path) -> None:
    answer = {"item": "cup", "eur": 4, "new": True, "no": None}
    line = {"instruction": "Extract.", "text": "Red cup, 4 EUR", "answer": answer}
    (row,) = read_labelled(Labels(write_table(tmp_path / "t.jsonl", [line])))
    assert row.values == {"item": ["cup"], "eur": ["4"], "new": ["true"], "no": []}
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    path = write_table(tmp_path / "c.jsonl", [{"messages": chat}])
    with pytest.raises(InvalidTable, match=r"Line 1 .*--method full"):
        read_labelled(Labels(path))


def test_a_table_without_labels_or_columns_is_told_with_its_cure(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,a\nx,\n", encoding="utf-8")
    with pytest.raises(InvalidTable, match=r"1 rows, and none has.*orchestra label"):
        read_labelled(Labels(path))
    with pytest.raises(InvalidTable, match="no field column 'b'"):
        read_labelled(Labels(path, fields=("b",)))
    with pytest.raises(BookError, match="holds no batch"):
        read_labelled(Labels(tmp_path))


def test_the_gain_is_the_interval_of_paired_rows() -> None:
    assert counted({"a": ["x", "y"]}, {"a": ["x"], "b": ["z"]}, ["a", "b"]) == Counts(1, 2, 2)
    assert total([Counts(1, 2, 2)]).f1 == 0.5 and total([]).f1 == 0
    wrong, right = [Counts(0, 1, 1)] * 40, [Counts(1, 1, 1)] * 40
    assert gain(wrong, right) == (1, 1) and gain(right, right) == (0, 0)
    low, high = gain([*wrong[:3], *right], [*right, *wrong[:3]])
    assert low < 0 < high


def test_labelled_rows_become_a_fleet_that_runs_at_once(tmp_path: Path) -> None:
    wanted = order(tmp_path)
    report = learn(wanted, quiet)
    assert report["rows"] == {"train": 40, "held_out": 10}
    assert report["spans"] == ["brand", "colour", "size"]
    assert report["choices"] == {"department": ["Home", "Kitchen"]}
    assert report["score"]["f1"] > 0.8 and report["compared"]["better"]
    file, _ = load_fleet(report["fleet"])
    (card,) = file.models
    assert card.classifies and card.quality["text"].score == round(100 * report["score"]["f1"], 1)

    async def run() -> Any:
        async with Fleet.open(report["fleet"]) as fleet:
            return await fleet.run(load_graph(report["graph"]), Job(text="Kora Mug, Green, 31 cm"))

    result = asyncio.run(run())
    assert {name: field.value for name, field in result.fields.items()} == {
        "brand": "Kora", "colour": "Green", "size": "31 cm", "department": "Kitchen",
    }  # fmt: skip
    assert learn(wanted, quiet) == report
    with pytest.raises(OutputMismatch, match="another run"):
        learn(order(tmp_path, seed=1), quiet)
    assert json.loads((tmp_path / "out" / "finetune.json").read_text()) == report


def test_a_base_that_cannot_be_asked_costs_nothing_but_the_comparison(tmp_path: Path) -> None:
    report = learn(order(tmp_path, base="nowhere/r1"), quiet)
    assert report["compared"] is None and "'nowhere'" in report["not_compared"]


def test_a_missing_table_and_a_wrong_share_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=r"none\.csv' does not exist"):
        learn(ReadingOrder(Labels(tmp_path / "none.csv"), tmp_path / "out"), quiet)
    with pytest.raises(UsageError, match=r"--val is 1\.5"):
        order(tmp_path, val=1.5)
