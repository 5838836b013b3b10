"""Kinds of rows by what they have, and samples drawn from them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from orchestra.batch.columns import Columns
from orchestra.batch.plan.kinds import NO_GAIN, Kinds, RowShape, TableShape, row_shape
from orchestra.batch.tables.row import Row, row_error
from orchestra.batch.tables.table import open_table
from orchestra.quality.learned.expected import Expectations, Expected

COLUMNS = Columns(("text",), ("photo",), "id")


def table_of(folder: Path, rows: list[tuple[str, str, str]], **labels: str) -> TableShape:
    path = folder / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "photo", "truth"])
        writer.writerows([number, *row] for number, row in enumerate(rows, start=1))
    return TableShape.of(open_table(path).rows(), COLUMNS, folder, labels)


def photo(folder: Path, name: str = "a.png") -> str:
    Image.new("RGB", (4, 4)).save(folder / name)
    return name


def test_a_kind_says_what_rows_have_and_how_long_their_text_is() -> None:
    kinds = Kinds(edges=(10, 20))
    assert kinds.of(RowShape(9, 1, 0)) == "text, under 10 bytes"
    assert kinds.of(RowShape(10, 1, 5)) == "text+photo, 10-19 bytes"
    assert kinds.of(RowShape(20, 1, 5)) == "text+photo, 20 bytes or more"
    assert kinds.of(RowShape(0, 0, 5)) == "photo"
    assert kinds.of(RowShape(0, 0, 0)) == "unusable"


def test_a_photo_that_is_not_there_counts_as_none(tmp_path: Path) -> None:
    there = Row(1, {"text": "x", "photo": photo(tmp_path)})
    gone = Row(2, {"text": "x", "photo": "gone.png"})
    web = Row(3, {"text": "x", "photo": "https://example.com/a.png"})
    shapes = [row_shape(row, COLUMNS, tmp_path) for row in (there, gone, web)]
    assert [shape.photo_key != 0 for shape in shapes] == [True, False, True]
    assert len({shape.text_key for shape in shapes}) == 1


def test_an_unreadable_row_is_unusable(tmp_path: Path) -> None:
    row = Row(1, {"text": "x"}, row_error("broken"))
    assert row_shape(row, COLUMNS, tmp_path).job.text_bytes == 0


def test_texts_of_one_length_make_one_kind(tmp_path: Path) -> None:
    table = table_of(tmp_path, [("red apple", "", "")] * 12)
    assert list(table.by_kind()) == ["text"]


def test_every_kind_is_sampled_and_the_same_seed_draws_the_same_rows(tmp_path: Path) -> None:
    name = photo(tmp_path)
    rows = [("x" * length, "", "") for length in range(1, 61)] + [("", name, "")] * 3
    table = table_of(tmp_path, rows)
    drawn = table.draw(12, seed=3)
    assert set(drawn) == set(table.by_kind()) and len(drawn["photo"]) == 2
    assert 12 <= sum(map(len, drawn.values())) <= 15
    assert drawn == table.draw(12, seed=3) != table.draw(12, seed=4)


def test_labelled_rows_are_drawn_first(tmp_path: Path) -> None:
    rows = [("red apple", "", "Apple" if number in (7, 30) else "") for number in range(1, 41)]
    table = table_of(tmp_path, rows, category="truth")
    assert table.draw(4, seed=0) == {"text": table.draw(4, seed=0)["text"]}
    assert {7, 30} <= set(table.draw(4, seed=0)["text"])


def test_finished_rows_are_no_longer_counted(tmp_path: Path) -> None:
    table = table_of(tmp_path, [("red apple", "", "")] * 4)
    table.finished = {1, 2}
    assert table.by_kind() == {"text": [3, 4]}


def test_rows_are_told_apart_by_what_a_better_model_is_expected_to_gain(tmp_path: Path) -> None:
    def expect(texts: Sequence[str]) -> list[Expectations]:
        return [
            ()
            if "far" in text
            else (
                Expected("read", "p", "small", 0.2 if "hard" in text else 0.8, 0.1, 0.9, 50),
                Expected("read", "p", "big", 0.9, 0.8, 1.0, 50),
            )
            for text in texts
        ]

    texts = ["easy one", "easy two", "hard one", "hard two", "far away", ""]
    path = tmp_path / "t.csv"
    path.write_text("id,text\n" + "".join(f"{n},{t}\n" for n, t in enumerate(texts, 1)), "utf-8")
    table = TableShape.of(
        open_table(path).rows(), Columns(("text",), (), "id"), tmp_path, expect=expect
    )
    assert [shape.gain for shape in table] == [100, 100, 700, 700, NO_GAIN, NO_GAIN]
    kinds = table.by_kind()
    hard = next(name for name in kinds if name.endswith("gain 700 per mille or more"))
    assert kinds[hard] == [3, 4]
    assert [round(one.share, 3) for one in table.expected(kinds[hard])] == [0.2, 0.9]
    assert [round(one.share, 3) for one in table.expected([1, 3])] == [0.5, 0.9]
    assert table.expected([5, 6]) == ()
