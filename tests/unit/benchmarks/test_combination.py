"""F1 of rows, the lead of one way over another, and the rows that are asked."""

from __future__ import annotations

import csv
from pathlib import Path

from benchmarks.combination import FIELDS, Tally, lead, tally
from benchmarks.parts.catalog_rows import Row, read_products, read_rows, same

TRUTH = {"category": "Apple", "colour": "red", "origin": None, "quantity": "ca 180g"}
ROW = Row("told", "text", Path("a.jpg"), TRUTH)


def test_a_row_counts_right_wrong_and_missed_values() -> None:
    assert tally(ROW, {"category": "apple", "quantity": "180 g"}, FIELDS) == Tally(2, 0, 1)
    assert tally(ROW, {"category": "Pear", "origin": "Italy"}, FIELDS) == Tally(0, 1, 3)
    assert Tally(2, 0, 1).f1 == 0.8
    assert Tally().f1 == 1.0


def test_values_are_the_same_whatever_their_spelling() -> None:
    assert same("origin", "The  Netherlands", "Netherlands")
    assert same("quantity", "ca\xa0180 g", "180g")
    assert not same("quantity", "180g", "18g")
    assert not same("category", "Oat Milk", "Milk")


def test_a_lead_is_measured_on_the_same_rows() -> None:
    rows, right = [ROW] * 20, {"category": "Apple", "colour": "red", "quantity": "180g"}
    ahead = lead(rows, [right] * 20, [{**right, "colour": "blue"}] * 20)
    assert ahead["low"] == ahead["points"] == ahead["high"] > 0.3
    assert lead(rows, [right] * 20, [right] * 20)["points"] == 0.0


def data_folder(root: Path) -> Path:
    told = "Title: x\nCountry and volume: The Netherlands,\xa0ca 210g \nURL: y"
    tables = {
        "grocery/products.csv": [
            ["sku", "name", "category", "image", "description_en", "information"],
            ["G1", "Red Bell Pepper", "Pepper", "i.jpg", "Sweet.", told],
            ["G2", "Milk 3%", "Milk", "i.jpg", "", "Manufacturer and volume: ARLA\xa0, 1l"],
        ],
        "grocery/val.csv": [
            ["image", "name", "category"],
            ["a.jpg", "Red Bell Pepper", "Pepper"],
            ["b.jpg", "Milk 3%", "Milk"],
        ],
        "clothing/val.csv": [["image", "category"], ["c.jpg", "hat"]],
    }
    for name, rows in tables.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return root


def test_facts_are_read_from_the_information(tmp_path: Path) -> None:
    pepper, milk = read_products(data_folder(tmp_path))
    assert pepper.facts == {
        "category": "Pepper",
        "colour": "red",
        "origin": "Netherlands",
        "quantity": "ca 210g",
        "brand": None,
    }
    assert (milk.facts["brand"], milk.facts["quantity"], milk.facts["origin"]) == (
        "ARLA",
        "1l",
        None,
    )


def test_each_photo_has_a_row_of_each_variant(tmp_path: Path) -> None:
    rows = list(read_rows(data_folder(tmp_path), "val"))
    assert [row.variant for row in rows] == [
        "told", "silent", "other colour", "other photo", "told", "silent", "other photo",
    ]  # fmt: skip
    silent, other = rows[1], rows[2]
    assert "Pepper" not in silent.text and "Netherlands" in silent.text
    assert "name: Pepper\ncolour: " in other.text and "colour: red" not in other.text
    assert rows[3].photo.name == "c.jpg"
