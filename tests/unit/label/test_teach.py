"""Rows that teach most: unsure, unlike each other, each standing for itself."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from orchestra.core.job import CallRecord, Field, Result
from orchestra.label.page import write_page
from orchestra.label.session import FinishedBatch, begin
from orchestra.label.teach import teaching, word_vectors


def result(text: str, sure: float) -> Result:
    call = CallRecord(node="read", model="r1", instruction="Say.", data=text, cost_usd=Decimal(0))
    colour = Field(value="red", source="text", confidence=sure, model="r1")
    return Result(status="complete", fields={"colour": colour}, calls=(call,))


def test_the_least_sure_come_first_and_what_is_like_them_last() -> None:
    texts = {"sure": "blue lamp", "a": "red mug", "b": "red mug", "c": "oak table"}
    sure = {"sure": 0.95, "a": 0.2, "b": 0.21, "c": 0.4}
    taken = teaching(texts, sure, 3, vectors=lambda given: _length_one(word_vectors(given)))
    assert list(taken) == ["a", "c", "sure"]
    assert "sure to 20%" in taken["a"] and "unlike" not in taken["a"]
    assert "100% unlike the nearest row before it" in taken["c"]
    assert teaching({}, {}, 3) == {} and teaching(texts, sure, 0) == {}


def test_rows_that_were_proposed_stand_for_themselves_and_say_why(tmp_path: Path) -> None:
    results = {f"R{n}": result(f"thing number {n}", n / 40) for n in range(40)}
    batch = FinishedBatch(results, "sku", {})
    session = begin(batch, tmp_path / "gold.csv", rows=10, fields=["colour"], teach=0.5)
    proposed = [one for one in session.questions() if one.why]
    assert len(proposed) == 5 and {one.row.weight for one in proposed} == {1.0}
    assert sum(row.weight for row in session.drawn) == pytest.approx(len(results))
    assert len({row.row_id for row in session.drawn}) == len(session.drawn)
    write_page(session, tmp_path / "page.html", lambda key: None)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("Proposed because its least sure field") == 5
    again = begin(batch, tmp_path / "gold.csv", teach=0.5)
    assert [one.why for one in again.questions()] == [one.why for one in session.questions()]


def _length_one(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
