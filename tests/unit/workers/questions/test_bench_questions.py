"""The bundled questions repeat, their truths can be given, and training never saw them."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from orchestra.bench.questions import Question
from orchestra.core.errors import InvalidTable
from workers.questions import scenes
from workers.questions.bundled import questions
from workers.questions.photos import photo_questions
from workers.synthetic.drawn import RESERVED_SEED
from workers.zero.sums import read_sum, split_problems


@pytest.fixture(scope="module")
def bundled() -> list[Question]:
    return list(questions())


def test_every_truth_can_be_given(bundled: list[Question]) -> None:
    for question in bundled:
        shape = (question.call.schema or {})["properties"][question.field]
        if "enum" in shape:
            assert question.truth in shape["enum"], question
        else:
            assert question.truth is None or question.truth in (question.call.text or "")


def test_there_is_enough_of_each_kind_in_both_languages(bundled: list[Question]) -> None:
    counts: dict[tuple[str, str], int] = {}
    for question in bundled:
        key = (question.task, question.kind)
        counts[key] = counts.get(key, 0) + 1
    assert min(counts.values()) >= 20
    assert {kind for task, kind in counts if task == "reading"} == {"en", "zh"}
    assert {task for task, _ in counts} == {
        "classification",
        "reading",
        "extraction",
        "vqa",
        "abstention",
        "maths",
    }


def test_two_runs_ask_the_same(bundled: list[Question]) -> None:
    again = list(questions())
    told = [(q.call.instruction, q.call.text, q.truth) for q in bundled]
    assert told == [(q.call.instruction, q.call.text, q.truth) for q in again]
    seen = [image.tobytes() for q in bundled for image in q.call.images]
    assert seen == [image.tobytes() for q in again for image in q.call.images]


def test_nothing_of_it_was_trained_on(bundled: list[Question]) -> None:
    words = "".join(
        path.read_text(encoding="utf-8")
        for path in (files("workers.training.texts") / "words").iterdir()
        if path.name.endswith(".yaml")
    )
    texts = {q.call.text for q in bundled if q.task == "classification" and q.call.text}
    assert len(texts) > 150
    assert not [text for text in texts if text in words]
    assert scenes.FIRST_SEED >= RESERVED_SEED
    kept_out = set(split_problems()["kept out"])
    sums = [read_sum(q.call.instruction) for q in bundled if q.task == "maths"]
    assert all(asked and (asked.first, asked.second) in kept_out for asked in sums)


def photo_tables(data: Path) -> None:
    for name, columns, row in (
        ("grocery", ["image", "name", "category"], ["a.png", "Gala", "Apple"]),
        ("clothing", ["image", "category"], ["a.png", "hat"]),
    ):
        folder = data / name
        folder.mkdir()
        Image.new("RGB", (8, 8), "red").save(folder / "a.png")
        with (folder / "val.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, row, row[:1] + ["Fuji", "Pear"][: len(row) - 1]])
        with (folder / "train.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, ["b.png", "Lime", "Lime"][: len(row)]])


def test_photos_are_asked_for_product_category_and_garment(tmp_path: Path) -> None:
    photo_tables(tmp_path)
    found = list(photo_questions(tmp_path))
    assert [(q.task, q.field, q.truth) for q in found] == [
        ("photo products", "product", "Gala"),
        ("photo products", "product", "Fuji"),
        ("photo categories", "category", "Apple"),
        ("photo categories", "category", "Pear"),
        ("photo garments", "category", "hat"),
        ("photo garments", "category", "Fuji"),
    ]
    assert found[0].call.schema is not None
    assert found[0].call.schema["properties"]["product"] == {"enum": ["Fuji", "Gala", "Lime", None]}


def test_a_folder_without_the_tables_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=r"grocery.val\.csv.*Give the folder"):
        list(photo_questions(tmp_path))
    photo_tables(tmp_path)
    (tmp_path / "clothing" / "val.csv").write_text("image\na.png\n")
    with pytest.raises(InvalidTable, match="no column 'category'"):
        list(photo_questions(tmp_path))
