"""Next week's table in the folder of this week's: only what changed is run, decisions stay."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphs.listing import build, default_recipe
from orchestra.batch.folder import Folder
from orchestra.book.decisions import NewDecision
from orchestra.core.errors import OutputMismatch
from tests.scripted import scripted_fleet

HEAD = ["id", "name", "description", "price"]
RED = "A red apple from Italy."


def rows_of(count: int) -> list[list[str]]:
    return [[f"S{n}", f"Brand{n}", RED, "9.90"] for n in range(1, count + 1)]


def write(path: Path, rows: list[list[str]], *, end: str = "\n", encoding: str = "utf-8") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([HEAD, *rows])
    path.write_bytes(text.getvalue().encode(encoding))
    return path


async def run(source: Path, out: Path, **options: Any) -> tuple[Any, int]:
    """The summary, and how many calls were made."""
    fleet, engines = scripted_fleet()
    graph = options.pop("graph", build)
    try:
        summary = await fleet.batch(graph, source, out=out, **options)
    finally:
        await fleet.close()
    return summary, sum(len(engine.calls) for engine in engines.values())


def products(out: Path) -> dict[str, dict[str, str]]:
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def decide(out: Path, *decisions: NewDecision, by: str = "ana", why: str = "") -> None:
    folder = Folder.read(out)
    folder.book.decide(decisions, by=by, why=why)
    folder.book.close()


@pytest.mark.parametrize(
    "form",
    [{"end": "\r\n"}, {"encoding": "gbk"}, {"encoding": "utf-8-sig"}, {"encoding": "utf-16"}],
)
async def test_the_same_rows_in_another_form_are_the_same_batch(
    tmp_path: Path, form: dict[str, str]
) -> None:
    rows = [["S1", "红色苹果", "新鲜的红色苹果，来自意大利的果园。", "9.90"], *rows_of(4)[1:]]
    out = tmp_path / "out"
    first, _ = await run(write(tmp_path / "t.csv", rows), out)
    again, calls = await run(write(tmp_path / "t.csv", rows, **form), out)
    assert calls == 0
    assert (again.rows, again.cost_usd) == (4, first.cost_usd)
    assert again.table["kept"] == 4 and again.table["moved"] == 0


async def test_only_changed_and_added_rows_are_run_whatever_their_order(tmp_path: Path) -> None:
    out, rows = tmp_path / "out", rows_of(8)
    first, _ = await run(write(tmp_path / "monday.csv", rows), out)
    before = products(out)
    new = [["S9", "Brand9", RED, "1"], *rows[::-1]]
    new = [row for row in new if row[0] != "S3"]
    new[1] = ["S8", "Brand8", "A green apple from Spain.", "9.90"]
    new[2] = ["S7", "Brand7", RED, "5.00"]  # no job reads the price
    second, calls = await run(write(tmp_path / "tuesday.csv", new), out)
    assert calls == 4  # read and write, of two rows
    table = second.table
    assert [table[name] for name in ("rows", "kept", "changed", "gone", "back")] == [8, 6, 1, 1, 0]
    now = products(out)
    assert list(now) == ["S9", "S8", "S7", "S6", "S5", "S4", "S2", "S1"]
    assert now["S7"]["price"] == "5.00"
    assert now["S5"] == before["S5"]
    paid = json.loads((out / "summary.json").read_text(encoding="utf-8"))["cost_usd"]
    assert Decimal(str(paid)) == second.cost_usd
    assert second.cost_usd - first.cost_usd < first.cost_usd / 3
    third, calls = await run(tmp_path / "monday.csv", out)
    assert (calls, third.cost_usd) == (0, second.cost_usd)
    assert third.table["back"] == 2
    assert products(out) == before


async def test_a_kept_row_is_run_on_after_a_pilot_of_the_new_table(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await run(write(tmp_path / "t.csv", rows_of(6)), out, limit=4)
    again, calls = await run(write(tmp_path / "t.csv", rows_of(6)[::-1]), out)
    assert (again.complete, calls) == (6, 4)


async def test_approved_and_edited_values_outlive_the_table_and_are_flagged_where_it_changed(
    tmp_path: Path,
) -> None:
    out, rows = tmp_path / "out", rows_of(4)
    await run(write(tmp_path / "t.csv", rows), out)
    decide(
        out,
        NewDecision("S1", "edit", field="colour", value="green"),
        NewDecision("S2", "approve"),
        NewDecision("S3", "approve"),
        why="seen in the shop",
    )
    rows[1][2] = "A green apple from Italy."
    new = [rows[3], rows[2], rows[1], rows[0]]
    summary, _ = await run(write(tmp_path / "t.csv", new), out)
    now = products(out)
    assert (now["S1"]["colour"], now["S1"]["colour_source"]) == ("green", "person")
    assert "colour: edited by ana on" in now["S1"]["decided"]
    assert now["S1"]["decided"].endswith("UTC: seen in the shop")
    assert (now["S2"]["colour"], now["S2"]["status"]) == ("red", "review")
    assert (now["S3"]["status"], now["S3"]["colour"]) == ("complete", "red")
    assert now["S4"]["decided"] == ""
    assert summary.decided == 3
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "it reads something else since a person decided" in page


async def test_a_table_of_other_products_is_another_batch(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await run(write(tmp_path / "t.csv", rows_of(3)), out)
    other = [[f"X{n}", "Brand", RED, "1"] for n in range(3)]
    with pytest.raises(
        OutputMismatch, match=r"not one row of 'o.csv' stands in it as it is\. Give"
    ):
        await run(write(tmp_path / "o.csv", other), out)
    same_ids = [[f"S{n}", "Another", RED, "1"] for n in range(1, 4)]
    with pytest.raises(OutputMismatch, match=r"as it is \(3 of its ids do\)"):
        await run(write(tmp_path / "o.csv", same_ids), out)
    _, calls = await run(tmp_path / "t.csv", out)
    assert calls == 0


async def test_another_recipe_is_another_batch_and_says_what_can_be_taken_along(
    tmp_path: Path,
) -> None:
    source, out = write(tmp_path / "t.csv", rows_of(2)), tmp_path / "out"
    await run(source, out)
    recipe = default_recipe().model_copy(update={"tone": "warm"})
    with pytest.raises(OutputMismatch, match=r"in: tone.*orchestra decisions OUT --save"):
        await run(source, out, recipe=recipe)


async def test_without_ids_rows_are_known_by_their_text_until_somebody_decides(
    tmp_path: Path,
) -> None:
    out, rows = tmp_path / "out", rows_of(4)
    options = {"id_column": ""}
    await run(write(tmp_path / "t.csv", rows), out, **options)
    new = [["S0", "Brand0", RED, "1"], *rows]
    summary, calls = await run(write(tmp_path / "t.csv", new), out, **options)
    assert (calls, summary.table["kept"], summary.table["moved"]) == (2, 4, 4)
    decide(out, NewDecision("2", "approve"))
    with pytest.raises(OutputMismatch, match="--id-column"):
        await run(write(tmp_path / "t.csv", rows[1:]), out, **options)


async def test_a_row_with_an_error_is_run_once_the_table_has_mended_it(tmp_path: Path) -> None:
    out, rows = tmp_path / "out", rows_of(3)
    source = write(tmp_path / "t.csv", [*rows, ["S1", "Twin", RED, "1"]])
    first, _ = await run(source, out)
    assert first.failed == 1
    rows.append(["S4", "Twin", RED, "1"])
    second, calls = await run(write(tmp_path / "t.csv", rows), out)
    assert (second.failed, second.complete, calls) == (0, 4, 2)


async def test_a_photo_that_was_replaced_under_its_name_is_looked_at_again(tmp_path: Path) -> None:
    out, rows = tmp_path / "out", [[f"S{n}", "", "", f"{n}.png"] for n in range(1, 4)]
    for n in range(1, 4):
        Image.new("RGB", (64, 64), (40 * n, 0, 0)).save(tmp_path / f"{n}.png")
    options = {"image_column": "price", "text_columns": ()}
    await run(write(tmp_path / "t.csv", rows), out, **options)
    Image.effect_noise((80, 80), 50).save(tmp_path / "2.png")
    rows.append(["S4", "", "", "1.png"])
    summary, _ = await run(write(tmp_path / "t.csv", rows), out, **options)
    assert (summary.table["kept"], summary.table["changed"]) == (2, 1)
