"""Titles with gold values are asked for all attributes of their category, and counted strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.extraction import labelled, read_titles, report, schema_of, scored
from orchestra.core.errors import InvalidTable
from tests.tagged import titles


def write(path: Path, *lines: dict) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_what_is_not_listed_or_not_stated_is_none_and_asked_all_the_same(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.jsonl",
        {"input": "A b", "category": "X", "target_scores": {"p": {"A": 1}, "q": {"n/a": 1}}},
        {"input": "C", "category": "X", "target_scores": {"r": {"C": 1}}},
    )
    first, second = read_titles(path)
    assert first.values == {"p": ["A"], "q": []} and first.asked == ("p", "q", "r")
    assert read_titles(path, filled_only=True)[0].asked == ("p", "r")
    assert labelled([second])[0].values == {"p": (), "q": (), "r": ["C"]}
    assert list(schema_of(first.asked)["properties"]) == ["p", "q", "r"]
    scores = report([first, second], [{"p": ["A"], "r": ["b"]}, {"r": ["c"]}], 2.0)
    assert (scores["right"], scores["given"], scores["true"]) == (1, 3, 2)
    assert scores["f1"] == 0.4 and scores["rows_per_s"] == 1.0


def test_a_reader_is_trained_and_asked_also_for_categories_it_never_saw(tmp_path: Path) -> None:
    def lines(count: int, seed: int, category: str) -> list[dict]:
        return [
            {"input": text, "category": category,
             "target_scores": {n: dict.fromkeys(v or ["n/a"], 1) for n, v in values.items()
                               if n != "department"}}
            for text, values in titles(count, seed)
        ]  # fmt: skip

    train = write(tmp_path / "train.jsonl", *lines(40, 0, "Home"))
    strange = {"input": "Kora Mug 7 cm", "category": "New", "target_scores": {"zz": {"n/a": 1}}}
    test = write(tmp_path / "test.jsonl", *lines(8, 1, "Home"), strange)
    scores = scored(test, train)
    assert scores["f1"] > 0.8 and scores["rows"] == 9 and scores["train_rows"] == 40
    assert scores["categories"]["New"]["given"] == 0
    assert scored(test, train, rows=2, train_rows=20)["rows"] == 2


def test_a_line_of_another_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=r"Line 1 .*is no title"):
        read_titles(write(tmp_path / "t.jsonl", {"text": "A"}))
