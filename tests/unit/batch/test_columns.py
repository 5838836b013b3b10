"""Columns of a table: which serve, how a row is named, and the job it comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphs.listing import default_recipe
from orchestra.batch.columns import Columns
from orchestra.batch.recipe import Recipe
from orchestra.batch.tables.row import Row
from orchestra.batch.tables.table import Table, open_table
from orchestra.core.errors import InvalidTable

ALL = Columns(text=("name", "description"), images=("photo",), id="sku")


def table(folder: Path, header: str) -> Table:
    path = folder / "products.csv"
    path.write_text(header + "\n" + ",".join("x" for _ in header.split(",")) + "\n", "utf-8")
    return open_table(path)


def resolve(folder: Path, header: str, recipe: Recipe | None = None, **named: Any) -> Columns:
    return Columns.resolve(table(folder, header), recipe, **named)


def row(ordinal: int = 1, **values: str) -> Row:
    return Row(ordinal, values)


def test_without_a_recipe_usual_names_serve(tmp_path: Path) -> None:
    found = resolve(tmp_path, "SKU,Title,price,Photo")
    assert found == Columns(text=("Title",), images=("Photo",), id="SKU")


def test_a_recipes_names_serve_in_its_own_order(tmp_path: Path) -> None:
    found = resolve(tmp_path, "编号,描述,名称,price,图片", default_recipe())
    assert found == Columns(text=("名称", "描述"), images=("图片",), id="编号")


def test_a_recipe_without_names_leaves_the_usual_ones(tmp_path: Path) -> None:
    plain = default_recipe().model_copy(
        update={"text_columns": (), "image_columns": (), "id_columns": ()}
    )
    assert resolve(tmp_path, "id,name,image", plain) == Columns(("name",), ("image",), "id")


def test_named_columns_replace_the_usual_ones_and_empty_names_mean_none(tmp_path: Path) -> None:
    header = "id,name,note,image"
    assert resolve(tmp_path, header, text=["note", "name"]).text == ("note", "name")
    assert resolve(tmp_path, header, text=[]).text == ()
    assert resolve(tmp_path, header, images=[""]).images == ()
    assert resolve(tmp_path, header, id="").id is None


@pytest.mark.parametrize("what", ["text", "image", "id"])
def test_a_named_column_that_is_not_there_is_refused(tmp_path: Path, what: str) -> None:
    option = "images" if what == "image" else what
    named: Any = {option: "nmae" if what == "id" else ["nmae"]}
    with pytest.raises(InvalidTable, match=rf"no {what} column 'nmae'.*Did you mean 'name'"):
        resolve(tmp_path, "id,name,image", **named)


def test_a_table_without_text_and_photo_is_refused_with_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=r"no column to work on \(it has: price, stock\)"):
        resolve(tmp_path, "price,stock")
    with pytest.raises(InvalidTable, match="--text-columns"):
        resolve(tmp_path, "name,image", text=[], images=[])


def test_a_row_is_called_by_its_id_or_by_its_place() -> None:
    assert (ALL.row_id(row(7, sku=" 00123 ")), ALL.has_id(row(7, sku=" 00123 "))) == ("00123", True)
    assert (ALL.row_id(row(7, sku=" ")), ALL.has_id(row(7, sku=" "))) == ("7", False)
    assert Columns(("name",), (), None).row_id(row(7, sku="00123")) == "7"


def test_a_job_has_a_line_for_each_text_column_that_says_something_and_the_photo() -> None:
    made = ALL.job(row(3, sku="a", name=" Arla\n  Ko ", description=" ", photo=" p.jpg "), "zh")
    assert made.text == "name: Arla Ko"
    assert (made.images, made.language, made.id) == (("p.jpg",), "zh", "a")


def test_a_cell_of_several_photos_is_several_photos_with_their_roles() -> None:
    made = ALL.job(row(photo="a.jpg, https://x.com/w_1,h_2/b.jpg|c,d.jpg"), "auto")
    assert made.images == ("a.jpg", "https://x.com/w_1,h_2/b.jpg", "c,d.jpg")
    assert made.roles == ("main", "additional", "additional")


def test_a_column_that_is_not_named_never_reaches_a_job() -> None:
    made = ALL.job(row(name="Arla", price="9.90", secret="x"), "auto")
    assert made.text == "name: Arla"


def test_an_empty_row_is_an_empty_job() -> None:
    made = ALL.job(row(), "auto")
    assert (made.text, made.images, made.id) == (None, (), "1")
