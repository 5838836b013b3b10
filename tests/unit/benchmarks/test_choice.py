"""The measure of choices: what is read, scored and refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.choice.__main__ import main
from benchmarks.choice.measure import auroc, read_rows, titles_of
from orchestra.core.errors import InvalidLabels, InvalidTable

GOODS = {
    "Coffee": [
        "Medium roast ground coffee 12 oz",
        "Whole bean espresso, dark",
        "Instant coffee jar",
    ],
    "Shoes": [
        "Women's red high heel pumps",
        "Leather oxford shoes for men",
        "Running sneakers size 9",
    ],
    "Guitar": [
        "Acoustic guitar with case",
        "Electric bass guitar, 4 strings",
        "Steel-string guitar",
    ],
    "Helmet": ["Bicycle helmet with visor", "Full face motorcycle helmet", "Ski helmet, adult"],
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "goods.jsonl"
    lines = [{"input": text, "category": name} for name, texts in GOODS.items() for text in texts]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_the_command_scores_names_examples_and_none(
    rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["choice", str(rows), "--examples", "1", "--names", "zh", "--json"]
    )
    main()
    found = json.loads(capsys.readouterr().out)
    assert found["texts"] == 12 and found["categories"] == 4
    assert found["names"]["alone"] > 0.5
    assert found["examples_1"]["none_auroc"] > 0.5


def test_rows_without_a_category_are_told_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"input": "a", "category": "b"}\n{"input": "c"}\n', encoding="utf-8")
    with pytest.raises(InvalidTable, match=r"'category'.*after 1 rows"):
        read_rows(path)


def test_labels_name_every_category() -> None:
    assert titles_of(["Tea"], {"Tea": "茶"}) == {"Tea": "茶"}
    with pytest.raises(InvalidLabels, match=r"no name for 'Teas'.*'Tea'"):
        titles_of(["Teas"], {"Tea": "茶"})


def test_auroc_counts_pairs_and_halves_ties() -> None:
    assert auroc(np.array([0.9, 0.5]), np.array([0.5, 0.1])) == pytest.approx(3.5 / 4)


def test_the_reviews_are_balanced_in_both_languages() -> None:
    path = Path(__file__).parents[3] / "benchmarks" / "choice" / "reviews.jsonl"
    assert (
        sorted(category for _, category in read_rows(path))
        == ["negative"] * 100 + ["positive"] * 100
    )
