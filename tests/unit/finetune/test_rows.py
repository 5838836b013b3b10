"""Rows of a user's table: both forms, the line that is wrong, fair parts, and schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestra.core.call import Turn
from orchestra.core.errors import InvalidTable
from orchestra.finetune.rows import TrainingRow, part, read_rows, schemas
from orchestra.finetune.score import score
from tests.tuning import cups, write_table
from workers.decoding.shape import read_schema


def test_both_forms_are_read_and_a_string_is_an_answer_of_one_field(tmp_path: Path) -> None:
    chat = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
    ]
    table = write_table(
        tmp_path / "t.jsonl",
        [
            {"instruction": "Colour?", "text": "红杯", "answer": "red"},
            {
                "instruction": "Read.",
                "image": "a/7.jpg",
                "answer": {"n": 2, "tags": ["x"], "z": None},
            },
            {"messages": chat},
        ],
    )
    first, second, third = read_rows(table)
    assert (first.text, first.answer, first.written) == (
        "红杯",
        {"answer": "red"},
        '{"answer":"red"}',
    )
    assert (second.image, second.fields) == (tmp_path / "a/7.jpg", ("n", "tags", "z"))
    assert (third.instruction, third.written, third.line) == ("Hi", "Hello!", 3)
    assert third.turns == (Turn("system", "Be short."),)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"instruction": "x"', 'Line 2 .*Invalid JSON.*got \'{"instruction": "x"'),
        ({"instruction": "x"}, "needs an 'instruction' and an 'answer'"),
        ({"answer": "x"}, "needs an 'instruction' and an 'answer'"),
        ({"instruction": "x", "answer": {"a": {"b": 1}}}, "Line 2 .*answer"),
        ({"instruction": "x", "answer": "y", "txt": "z"}, "txt: there is no such key"),
        ({"messages": [{"role": "user", "content": "x"}] * 2}, "not from 'user' and 'assistant'"),
        ({"messages": [{"role": "bot", "content": "x"}] * 2}, "messages.0.role"),
        (["x"], "Line 2"),
    ],
)
def test_a_wrong_line_is_named_with_its_value_and_a_cure(
    tmp_path: Path, line: Any, told: str
) -> None:
    text = line if isinstance(line, str) else json.dumps(line)
    good = json.dumps(cups(1)[0])
    (tmp_path / "t.jsonl").write_text(f"{good}\n{text}\n", encoding="utf-8")
    with pytest.raises(InvalidTable, match=told) as caught:
        read_rows(tmp_path / "t.jsonl")
    assert "Mend it" in str(caught.value)


def test_a_table_without_rows_or_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n \n")
    (tmp_path / "gbk.jsonl").write_bytes("红".encode("gbk"))
    for name, told in (("empty", "holds no row"), ("gbk", "UTF-8"), ("none", "cannot be read")):
        with pytest.raises(InvalidTable, match=told):
            read_rows(tmp_path / f"{name}.jsonl")


def test_a_photo_that_cannot_be_used_names_its_line(tmp_path: Path) -> None:
    row = TrainingRow(7, "What?", {"kind": "cup"}, image=tmp_path / "no.jpg")
    with pytest.raises(InvalidTable, match=r"line 7 cannot be used.*no\.jpg"):
        row.call()


def test_rows_that_ask_the_same_stay_together_and_a_seed_gives_the_same_parts() -> None:
    rows = [TrainingRow(at, "x", {"a": str(at)}, text=f"t{at // 3}") for at in range(60)]
    train, held = part(rows, 0.2, seed=1)
    assert len(held) == 12 and len(train) == 48
    assert not {row.text for row in train} & {row.text for row in held}
    assert part(rows, 0.2, seed=1) == (train, held) != part(rows, 0.2, seed=2)
    with pytest.raises(InvalidTable, match="leave nothing to learn from"):
        part(rows[:3], 0.2, seed=1)


def test_a_schema_holds_what_its_rows_answer_and_is_one_that_engines_take() -> None:
    values = [
        {"a": "x" * 50, "n": 1, "t": ["u"], "b": True},
        {"a": None, "n": 2.5, "t": [], "b": False},
    ]
    found = schemas(
        [TrainingRow(1, "x", value) for value in values] + [TrainingRow(3, "hi", "a chat")]
    )
    (schema,) = found.values()
    assert schema["properties"] == {
        "a": {"anyOf": [{"type": "string", "maxLength": 100}, {"type": "null"}]},
        "n": {"type": "number"},
        "t": {"type": "array", "items": {"type": "string", "maxLength": 64}, "maxItems": 1},
        "b": {"type": "boolean"},
    }
    assert [name for name, _ in read_schema(schema).properties] == ["a", "n", "t", "b"]


def test_scores_are_exact_field_by_field_with_intervals() -> None:
    truths = [{"a": "x", "n": 1}, {"a": "y", "n": True}, "hello"]
    scores = score(truths, [{"a": " x", "n": 1.0}, {"a": "z", "n": 1}, None])
    assert [(entry.field, entry.right, entry.asked) for entry in scores] == [
        ("a", 1, 2), ("n", 1, 2), ("(whole answer)", 1, 3),
    ]  # fmt: skip
    low, high = scores[0].interval
    assert 0 < low < 0.5 < high < 1
