"""Corrections in files, what changed between states, and the way back: as typed by a user."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from orchestra.batch.redo import refresh_outputs
from orchestra.book.book import Book
from orchestra.book.decisions import NewDecision
from tests.decided_batch import ROWS, batch, decide, products, table
from tests.unit.cli.test_cli import call, called_json


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    batch(table(tmp_path / "products.csv"), folder)
    return folder


def write(path: Path, *lines: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return path


def test_a_list_of_corrections_is_taken_and_shows_in_the_table(tmp_path: Path, out: Path) -> None:
    file = write(
        tmp_path / "c.csv",
        ["id", "field", "value", "decision", "why"],
        ["S1", "colour", "Greens", "", "seen"],  # a synonym of a value of the recipe
        ["S2", "", "", "approve", ""],
        ["S3", "origin", "", "reject", "not stated"],
        ["S4", "colour", "red", "", ""],
    )
    done = call("apply", out, "--file", file, "--by", "ana", "--why", "sheet 7")
    assert done.exit_code == 0, done.output
    assert "3 decisions kept (state 4), 1 lines change nothing" in done.stdout
    now = products(out)
    assert (now["S1"]["colour"], now["S1"]["colour_source"]) == ("green", "person")
    assert now["S1"]["decided"].startswith("colour: edited by ana on ")
    assert now["S1"]["decided"].endswith("UTC: seen")
    assert now["S2"]["decided"].endswith("UTC: sheet 7")
    assert (now["S3"]["origin"], now["S3"]["origin_source"]) == ("", "none")
    again = call("apply", out, "--file", file, "--by", "ana", "--why", "sheet 7")
    assert "0 decisions kept, 4 lines change nothing" in again.stdout


def test_wrong_lines_are_told_and_the_others_taken(tmp_path: Path, out: Path) -> None:
    file = write(
        tmp_path / "c.csv",
        ["id", "field", "value", "decision"],
        ["S9", "colour", "green", ""],
        ["S1", "color", "green", ""],
        ["S1", "colour", "vermilion", ""],
        ["S1", "colour", "green", "bless"],
        ["S2", "colour", "blue", "approve"],
        ["S2", "", "green", ""],
        ["S3", "colour", "blue", ""],
        ["S3", "colour", "red", ""],
    )
    done = call("apply", out, "--file", file, "--by", "ana")
    assert done.exit_code == 1
    told = [line for line in done.stdout.splitlines() if line.startswith("not taken")]
    words = [
        "line 1 (row 'S9', field 'colour'): no row 'S9'",
        "line 2 (row 'S1', field 'color'): no row has a field 'color'. Did you mean 'colour'?",
        "the recipe has no value 'vermilion' for it (it has: 'red'",
        "'bless' is no decision",
        "it approves 'blue', and the field says 'red' now",
        "it gives the value 'green' to no field",
        "line 8 (row 'S3', field 'colour'): it stands in this file before already",
    ]
    assert len(told) == len(words)
    for line, word in zip(told, words, strict=True):
        assert word in line
    assert "1 decisions kept" in done.stdout
    assert products(out)["S3"]["colour"] == "blue"


def test_the_products_table_itself_goes_round(tmp_path: Path, out: Path) -> None:
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as written:
        whole = list(csv.reader(written))
    copy = write(tmp_path / "mine.csv", *whole)
    same = called_json("apply", out, "--file", copy, "--by", "ana")
    assert same["decisions"] == [] and same["wrong"] == []
    head = whole[0]
    whole[1][head.index("colour")] = "yellow"
    whole[2][head.index("origin")] = "(none)"
    copy = write(tmp_path / "mine.csv", [*head, "decision"], *[[*row, ""] for row in whole[1:]])
    preview = call("apply", out, "--file", copy, "--by", "ana", "--dry-run")
    assert "2 decisions would be kept" in preview.stdout
    assert "S1  edit colour = 'yellow'  by ana" in preview.stdout
    assert "decided" not in products(out)["S1"]
    done = called_json("apply", out, "--file", copy, "--by", "ana")
    assert [(one["row_id"], one["field"], one["value"]) for one in done["decisions"]] == [
        ("S1", "colour", "yellow"), ("S2", "origin", None),
    ]  # fmt: skip
    assert products(out)["S2"]["origin"] == ""


def test_the_review_sheet_is_read_back(tmp_path: Path, out: Path) -> None:
    head = ["id", "field", "value", "new value", "decision", "why", "kind", "reason", "text"]
    file = write(
        tmp_path / "review.csv",
        head,
        ["S1", "colour", "red", "'=2+2", "", "", "", "", ""],
        ["S1", "origin", "Italy", "Spain", "", "typo", "", "", ""],
        ["S2", "colour", "red", "", " Approve ", "", "", "", ""],
        ["S3", "colour", "green", "", "", "", "", "", ""],
        ["S4", "colour", "red", "", "edit", "", "", "", ""],
    )
    done = called_json_failed("apply", out, "--file", file, "--by", "ana")
    assert [one["why"].split(" (")[0] for one in done["wrong"]] == [
        "the recipe has no value '=2+2' for it"
    ]
    assert [(one["action"], one["field"], one["value"]) for one in done["decisions"]] == [
        ("edit", "origin", "Spain"), ("approve", "colour", None), ("edit", "colour", None),
    ]  # fmt: skip


def called_json_failed(*words: str | Path) -> Any:
    done = call(*words, "--json")
    assert done.exit_code == 1
    return json.loads(done.stdout)


def test_a_file_that_corrects_nothing_is_refused(tmp_path: Path, out: Path) -> None:
    for head in (["sku", "colour"], ["id", "price"]):
        file = write(tmp_path / "c.csv", head, ["S1", "x"])
        done = call("apply", out, "--file", file, "--by", "ana")
        assert done.exit_code == 2 and "InvalidTable" in done.stderr


def test_differences_are_told_field_by_field_and_rolled_back(tmp_path: Path, out: Path) -> None:
    decide(out, NewDecision("S1", "edit", field="colour", value="green"), why="seen")
    told = call("diff", out).stdout.splitlines()
    assert told[0].startswith("S1  decided")
    assert told[1].startswith("  colour: 'red' -> 'green'  (edited by ana on ")
    assert told[-1] == "state 1 -> 2: 1 decided"
    rows = (("S5", "Brand5", "A red apple from Italy."), *ROWS[:1], *ROWS[2:])
    rows = (*rows[:3], ("S4", "Brand4", "A green apple from Spain."))
    assert batch(table(tmp_path / "products.csv", rows), out) == 4
    found = called_json("diff", out)
    assert (found["from"], found["to"]) == (2, 3)
    changes = {row["id"]: row["change"] for row in found["rows"]}
    assert changes == {"S5": "added", "S4": "changed", "S2": "gone"}
    four = next(row for row in found["rows"] if row["id"] == "S4")
    assert "A red apple from Italy." in four["text"][0]
    assert {"field": "colour", "before": "red", "after": "green", "why": ""} in four["fields"]
    back = call("rollback", out, "--to", "1", "--by", "bo", "--why", "wrong sheet")
    assert "1 decisions of 1 rows are taken back; this is state 4" in back.stdout
    assert products(out)["S1"]["colour"] == "red"
    assert {row["id"] for row in called_json("diff", out, "--from", "3")["rows"]} == {"S1"}
    forward = called_json("rollback", out, "--to", "3", "--by", "bo")
    assert (forward["taken_back"], products(out)["S1"]["colour"]) == ([4], "green")
    alone = called_json("rollback", out, "--decision", "2", "--by", "bo")
    assert alone["taken_back"] == [2]
    assert call("rollback", out, "--to", "99", "--by", "bo").exit_code == 2
    assert call("rollback", out, "--by", "bo").exit_code == 2


def test_the_history_names_who_what_when_and_why(out: Path) -> None:
    decide(out, NewDecision("S1", "edit", field="colour", value="green"), why="seen")
    decide(out, NewDecision("S2", "approve"), by="bo")
    call("rollback", out, "--decision", "2", "--by", "cy")
    lines = call("decisions", out).stdout.splitlines()
    assert "table" in lines[0]
    assert "ana: edit S1 colour = 'green'  (seen)  [taken back]" in lines[1]
    assert "bo: approve S2" in lines[2]
    assert "cy: takes back 2 (edit) S1 colour" in lines[3]
    told = called_json("decisions", out, "--row", "S1")
    assert [(one["state"], one["stands"]) for one in told] == [(2, False), (4, True)]


def test_what_stands_is_taken_along_to_another_folder(tmp_path: Path, out: Path) -> None:
    decide(
        out,
        NewDecision("S1", "edit", field="colour", value="green", why="seen"),
        NewDecision("S2", "approve"),
        NewDecision("S3", "reject"),
    )
    decide(out, NewDecision("S4", "edit", field="origin", value=None), by="bo")
    saved, other = tmp_path / "decided.jsonl", tmp_path / "other"
    assert call("decisions", out, "--save", saved).exit_code == 0
    rows = (*ROWS[:1], ("S2", "Brand2", "A green apple from Italy."), *ROWS[2:])
    batch(table(tmp_path / "b.csv", rows), other)
    done = called_json_failed("apply", other, "--file", saved, "--by", "cy")
    assert {one["by"] for one in done["decisions"]} == {"ana", "bo"}
    wrong = [(one["row_id"], one["field"]) for one in done["wrong"]]
    assert ("S2", "colour") in wrong and {row_id for row_id, _ in wrong} == {"S2"}
    now = products(other)
    assert (now["S1"]["colour"], now["S3"]["status"]) == ("green", "rejected")
    assert now["S4"]["origin"] == ""


def test_decisions_are_kept_where_the_table_has_changed_under_the_batch(
    tmp_path: Path, out: Path
) -> None:
    table(tmp_path / "products.csv", ROWS[1:])
    file = write(tmp_path / "c.csv", ["id", "field", "value"], ["S2", "colour", "green"])
    done = call("apply", out, "--file", file, "--by", "ana")
    assert done.exit_code == 0
    assert "is kept, but the outputs are as they were" in done.stderr
    assert products(out)["S2"]["colour"] == "red"
    assert batch(tmp_path / "products.csv", out) == 0
    assert products(out)["S2"]["colour"] == "green"


def test_a_batch_that_runs_does_not_hinder_decisions(tmp_path: Path, out: Path) -> None:
    file = write(tmp_path / "c.csv", ["id", "field", "value"], ["S2", "colour", "green"])
    with Book.open(out / "book.sqlite"):
        done = call("apply", out, "--file", file, "--by", "ana")
    assert done.exit_code == 0, done.output
    assert products(out)["S2"]["colour"] == "green"


def test_a_row_is_shown_with_what_was_decided_of_it(out: Path) -> None:
    decide(out, NewDecision("S1", "edit", field="colour", value="green"), why="seen")
    lines = call("show", out, "S1").stdout.splitlines()
    at = lines.index("colour: green")
    assert lines[at + 1] == "  source person model None"
    assert lines[at + 2].startswith("  edited by ana on ") and lines[at + 2].endswith("UTC: seen")
    told = called_json("show", out, "S1")["result"]["fields"]["colour"]
    assert (told["decided"]["action"], told["alternatives"][0]["value"]) == ("edit", "red")


def test_a_group_is_one_line_of_the_history(out: Path) -> None:
    with Book.open(out / "book.sqlite", exclusive=False) as book:
        many = [NewDecision(f"S{n}", "approve") for n in range(1, 5)]
        book.decide(many, by="ana", why="all fine", group="g")
        book.undo([one.id for one in book.group("g")], by="bo", group="h")
    lines = call("decisions", out).stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].endswith("ana: approve 4 rows, to state 5  (all fine)  [taken back]")
    assert lines[2].endswith("bo: takes back 4 rows, to state 9")
    assert len(called_json("decisions", out)) == 9


def test_parquet_has_what_was_decided_as_well(out: Path) -> None:
    decide(out, NewDecision("S1", "edit", field="colour", value="green"), why="seen")
    refresh_outputs(out)
    rows = pq.read_table(out / "products.parquet").to_pylist()
    assert (rows[0]["colour"], rows[0]["colour_source"]) == ("green", "person")
    assert rows[0]["decided"].endswith("UTC: seen") and rows[1]["decided"] == ""


def test_an_excel_file_of_corrections_is_read(tmp_path: Path, out: Path) -> None:
    book = Workbook()
    sheet = book.create_sheet("review", 0)
    book.active = sheet
    sheet.append(["id", "field", "value", "new value", "decision", "why"])
    sheet.append(["S1", "colour", "red", "green", "", "seen"])
    sheet.append(["S2", "colour", "red", "", "approve", ""])
    book.save(tmp_path / "review.xlsx")
    done = called_json("apply", out, "--file", tmp_path / "review.xlsx", "--by", "ana")
    assert (len(done["decisions"]), done["wrong"]) == (2, [])
    assert products(out)["S1"]["colour_source"] == "person"
