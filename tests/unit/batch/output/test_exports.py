"""Exports: the columns, what a spreadsheet does with a cell, and whole files or none."""

from __future__ import annotations

import csv
import errno
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestra.batch.output.exports import write_exports
from orchestra.batch.output.parquet import GROUP_CHARS
from orchestra.batch.output.rows import OutputRow
from orchestra.batch.tables.row import Row, row_error
from orchestra.batch.tables.table import open_table
from orchestra.core.errors import DiskFull, InvalidRecipe
from orchestra.core.job import ErrorRecord, Field, Result

NAMES = ["products.csv", "products.parquet", "errors.jsonl"]


def exported(
    values: dict[str, str], fields: dict[str, Field] | None = None, ordinal: int = 1
) -> OutputRow:
    return OutputRow(
        Row(ordinal, values), str(ordinal), Result(status="complete", fields=fields or {})
    )


def read_csv(folder: Path) -> list[dict[str, str]]:
    with (folder / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_columns_are_input_then_fields_then_status(tmp_path: Path) -> None:
    colour = Field(value="red", source="photo", confidence=0.912345678)
    write_exports(
        tmp_path,
        ["sku", "note"],
        ["colour", "brand"],
        [exported({"sku": "00123", "note": "苹果"}, {"colour": colour})],
    )
    assert read_csv(tmp_path) == [
        {
            "sku": "00123",
            "note": "苹果",
            "colour": "red",
            "colour_source": "photo",
            "colour_confidence": "0.912346",
            "brand": "",
            "brand_source": "none",
            "brand_confidence": "",
            "status": "complete",
            "reasons": "",
        }
    ]
    table = pq.read_table(tmp_path / "products.parquet")
    assert table.column_names == list(read_csv(tmp_path)[0])
    row = table.to_pylist()[0]
    assert (row["sku"], row["colour_confidence"]) == ("00123", 0.912345678)
    assert (row["brand"], row["brand_confidence"]) == (None, None)
    assert (tmp_path / "products.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_input_column_that_collides_is_kept_under_another_name(tmp_path: Path) -> None:
    columns = ["status", "colour", "input_colour"]
    values = {"status": "live", "colour": "blue", "input_colour": "old"}
    write_exports(tmp_path, columns, ["colour"], [exported(values, {"colour": Field(value="red")})])
    row = read_csv(tmp_path)[0]
    assert list(row)[:3] == ["input_status", "input_input_colour", "input_colour"]
    assert (row["input_input_colour"], row["input_colour"], row["colour"]) == ("blue", "old", "red")
    assert (row["input_status"], row["status"]) == ("live", "complete")


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="colour_source"):
        write_exports(tmp_path, ["id"], ["colour", "colour_source"], [])
    with pytest.raises(InvalidRecipe, match="status"):
        write_exports(tmp_path, ["id"], ["status"], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "+46-70", "-"],
)
def test_formula_gets_an_apostrophe_in_csv_only(tmp_path: Path, cell: str) -> None:
    write_exports(tmp_path, ["a"], ["b"], [exported({"a": cell}, {"b": Field(value=cell)})])
    row = read_csv(tmp_path)[0]
    assert (row["a"], row["b"]) == ("'" + cell, "'" + cell)
    assert pq.read_table(tmp_path / "products.parquet").to_pylist()[0]["a"] == cell


@pytest.mark.parametrize("cell", ["-5", "+46 70 123 45", "-1.5e-3", "-12,50", "+5%", "a=b", "'=1"])
def test_numbers_and_plain_text_stay_as_they_are(tmp_path: Path, cell: str) -> None:
    write_exports(tmp_path, ["a"], [], [exported({"a": cell})])
    assert read_csv(tmp_path)[0]["a"] == cell


def test_column_name_is_guarded_too(tmp_path: Path) -> None:
    write_exports(tmp_path, ["=A1"], [], [exported({"=A1": "x"})])
    assert "'=A1" in read_csv(tmp_path)[0]


def test_list_is_a_json_array_in_both_tables(tmp_path: Path) -> None:
    bullets = Field(value=["纯棉", 'a "b"'], source="derived")
    write_exports(tmp_path, ["id"], ["bullets"], [exported({"id": "1"}, {"bullets": bullets})])
    in_csv = read_csv(tmp_path)[0]["bullets"]
    in_parquet = pq.read_table(tmp_path / "products.parquet").to_pylist()[0]["bullets"]
    assert in_csv == in_parquet == '["纯棉","a \\"b\\""]'
    assert json.loads(in_csv) == ["纯棉", 'a "b"']


def test_an_object_is_json_in_both_tables(tmp_path: Path) -> None:
    maker = Field(value={"name": "Acme", "country": None}, source="text", confidence=0.5)
    write_exports(tmp_path, ["id"], ["maker"], [exported({"id": "1"}, {"maker": maker})])
    row = pq.read_table(tmp_path / "products.parquet").to_pylist()[0]
    assert read_csv(tmp_path)[0]["maker"] == row["maker"] == '{"name":"Acme","country":null}'
    assert (row["maker_source"], row["maker_confidence"]) == ("text", 0.5)


def test_half_a_surrogate_pair_does_not_stop_the_export(tmp_path: Path) -> None:
    write_exports(tmp_path, ["id"], ["a"], [exported({"id": "1"}, {"a": Field(value="x\ud800")})])
    assert read_csv(tmp_path)[0]["a"] == "x?"


def test_every_error_is_a_line_that_names_its_row(tmp_path: Path) -> None:
    photo = ErrorRecord(stage="images", type="ImageNotFound", message="no 'a.jpg'")
    bad = row_error("Row 2 has 3 cells")
    rows = [
        OutputRow(Row(1, {"id": "A"}), "A", Result(status="partial", errors=(photo,))),
        OutputRow(Row(2, {"id": "B"}, bad), "B", Result(status="failed", errors=(bad,))),
        OutputRow(Row(3, {"id": "C"}, bad), "C", Result(status="failed")),
        exported({"id": "D"}, ordinal=4),
    ]
    files = write_exports(tmp_path, ["id"], [], iter(rows))
    lines = [json.loads(line) for line in files["errors"].read_text("utf-8").splitlines()]
    assert [(line["id"], line["row"], line["type"]) for line in lines] == [
        ("A", 1, "ImageNotFound"),
        ("B", 2, "InvalidTable"),
        ("C", 3, "InvalidTable"),
    ]
    assert lines[0]["message"] == "no 'a.jpg'"


def test_batch_without_rows_or_errors_still_writes_its_files(tmp_path: Path) -> None:
    write_exports(tmp_path, ["id"], ["a"], [])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert pq.read_table(tmp_path / "products.parquet").num_rows == 0
    assert (tmp_path / "errors.jsonl").read_text() == ""


def test_photos_in_cells_end_a_row_group_early(tmp_path: Path) -> None:
    photo = "x" * GROUP_CHARS
    rows = [exported({"photo": photo}, ordinal=n) for n in range(1, 4)]
    write_exports(tmp_path, ["photo"], [], rows)
    file = pq.ParquetFile(tmp_path / "products.parquet")
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert sizes == [1, 1, 1]


def test_written_table_reads_back_as_it_was(tmp_path: Path) -> None:
    values = {"id": "00123", "text": 'a "quoted"\nline, with; all\r\n苹果'}
    write_exports(tmp_path, list(values), [], [exported(values)] * 5000)
    for name in ("products.csv", "products.parquet"):
        rows = list(open_table(tmp_path / name).rows())
        assert len(rows) == 5000
        assert dict(rows[4999].values) == values | {"status": "complete", "reasons": ""}


def test_failure_half_way_keeps_the_earlier_files(tmp_path: Path) -> None:
    write_exports(tmp_path, ["id"], [], [exported({"id": "old"})])

    def failing(error: Exception) -> Iterator[OutputRow]:
        for n in range(5000):
            yield exported({"id": str(n)}, ordinal=n + 1)
        raise error

    with pytest.raises(KeyError):
        write_exports(tmp_path, ["id"], [], failing(KeyError("x")))
    with pytest.raises(DiskFull, match="run the same command again"):
        write_exports(tmp_path, ["id"], [], failing(OSError(errno.ENOSPC, "No space left")))
    assert read_csv(tmp_path) == [{"id": "old", "status": "complete", "reasons": ""}]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_refused_write_is_disk_full_and_leaves_no_half_file(tmp_path: Path) -> None:
    program = (
        "import hashlib, resource, sys\nfrom pathlib import Path\n"
        "from orchestra.batch.output.exports import write_exports\n"
        "from orchestra.batch.output.rows import OutputRow\n"
        "from orchestra.batch.tables.row import Row\nfrom orchestra.core.errors import DiskFull\n"
        "names = [hashlib.sha256(b'%d' % n).hexdigest() for n in range(20_000)]\n"
        "for limit in map(int, sys.argv[2:]):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    rows = (OutputRow(Row(1, {'id': name}), '', None) for name in names)\n"
        "    try: write_exports(Path(sys.argv[1]), ['id'], [], rows)\n"
        "    except DiskFull as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, str(tmp_path), "100", "50000", "300000"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.count("No space left") == 3
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_long_export_runs_in_bounded_memory(tmp_path: Path) -> None:
    text = "a description of a product " * 100

    def rows() -> Iterator[OutputRow]:
        for n in range(12_000):
            yield exported({"id": str(n), "text": f"{n} {text}"}, ordinal=n + 1)

    tracemalloc.start()
    try:
        write_exports(tmp_path, ["id", "text"], ["a"], rows())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < (tmp_path / "products.csv").stat().st_size * 0.6


def test_every_row_says_why_it_is_not_complete(tmp_path: Path) -> None:
    doubted = Field(note="nobody says it", doubt="it is required; nobody says it")
    clash = Field(value="red", source="photo", contradiction=True, note="red against blue")
    error = ErrorRecord(stage="image", type="ImageNotFound", message="no 'a.jpg'")
    result = Result(
        status="partial", fields={"category": doubted, "colour": clash}, errors=(error,)
    )
    bad = Row(2, {"id": "B"}, ErrorRecord(stage="table", type="InvalidTable", message="short row"))
    rows = [OutputRow(Row(1, {"id": "A"}), "A", result), OutputRow(bad, "B", None)]
    write_exports(tmp_path, ["id"], [], rows)
    assert [row["reasons"] for row in read_csv(tmp_path)] == [
        "image: no 'a.jpg' | category: it is required; nobody says it | colour: red against blue",
        "table: short row",
    ]
