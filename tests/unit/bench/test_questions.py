"""Questions with known answers are read from a file, and what is wrong with a line is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from orchestra.bench.questions import load_questions
from orchestra.core.errors import ImageNotFound, InvalidTable


def written(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_a_line_is_a_call_with_its_true_answer(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    name = written(
        tmp_path,
        '{"task": "vqa", "image": "a.png", "instruction": "Which colour?",'
        ' "choices": ["red", "blue"], "answer": "red"}',
        "",
        '{"task": "qa", "text": "From Peru.", "instruction": "Where from?", "answer": null}',
    )
    seen, read = load_questions(name)
    assert (seen.task, seen.field, seen.truth) == ("vqa", "answer", "red")
    assert seen.needs == {"vision"}
    assert seen.call.images[0].getpixel((0, 0)) == (255, 0, 0)
    assert seen.call.schema is not None
    assert seen.call.schema["properties"]["answer"] == {"enum": ["red", "blue", None]}
    assert (read.needs, read.truth, read.call.text) == ({"text"}, None, "From Peru.")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "Line 1 of .*mine.jsonl"),
        ('{"task": "qa", "text": "a", "instruction": "b"}', "answer: Field required"),
        (
            '{"task": "qa", "text": "a", "instruction": "b", "answer": "c", "x": 1}',
            "x: there is no such key",
        ),
        (
            '{"task": "qa", "text": "a", "instruction": "b", "answer": "c", "choices": ["c"]}',
            "choices: .*at least 2",
        ),
        ('{"task": "qa", "instruction": "b", "answer": "c"}', "neither a text nor an image"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InvalidTable, match=said):
        load_questions(written(tmp_path, line))


def test_a_photo_that_is_not_there_is_named(tmp_path: Path) -> None:
    line = '{"task": "vqa", "image": "gone.png", "instruction": "What?", "answer": "a"}'
    with pytest.raises(ImageNotFound, match=r"gone\.png"):
        load_questions(written(tmp_path, line))


def test_a_question_with_photo_and_text_needs_a_model_that_takes_both(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    line = '{"task": "both", "image": "a.png", "text": "Red.", "instruction": "?", "answer": "a"}'
    (question,) = load_questions(written(tmp_path, line))
    assert question.needs == {"vision", "text"}


def test_a_set_is_a_function_named_by_its_module(tmp_path: Path) -> None:
    first, second = load_questions("tests.bench_questions:questions", tmp_path)
    assert (first.task, second.truth) == ("colour", str(tmp_path))
    with pytest.raises(InvalidTable, match=r"'tests.nosuch:questions' cannot be loaded"):
        load_questions("tests.nosuch:questions")
    with pytest.raises(InvalidTable, match="no attribute 'nosuch'"):
        load_questions("tests.bench_questions:nosuch")


def test_a_file_takes_no_data(tmp_path: Path) -> None:
    line = '{"task": "qa", "text": "From Peru.", "instruction": "Where from?", "answer": null}'
    with pytest.raises(InvalidTable, match="Leave --data out"):
        load_questions(written(tmp_path, line), tmp_path)


def test_an_empty_file_and_an_unknown_set_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="holds no question"):
        load_questions(written(tmp_path, ""))
    with pytest.raises(InvalidTable, match=r"no set of questions 'nosuch' \(there are: "):
        load_questions("nosuch")
