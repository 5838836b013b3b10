"""The output folder: it resumes its own batch and no other, and is never overwritten."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestra.batch.folder import BOOK, Folder, resume_command
from orchestra.batch.folder import SPEC as SPECIFICATION
from orchestra.batch.recipe import FieldRule, Recipe
from orchestra.batch.spec import BatchSpec
from orchestra.book.book import Book
from orchestra.core.errors import BookError, BookLocked, OutputMismatch

RECIPE = Recipe(
    name="shop",
    version=1,
    fields={
        "a": FieldRule(type="span", **{"from": ("text",)}),  # type: ignore[arg-type]
        "b": FieldRule(type="span", **{"from": ("text",)}),  # type: ignore[arg-type]
    },
)
SPEC = BatchSpec(
    table=Path("/shop/products.csv"),
    graph="graphs.listing:build",
    fleet="mini",
    recipe=RECIPE,
    text_columns=("name", "描述"),
    image_column=(),
    id_column="sku",
    table_hash="abc123",
    fleet_name="mini",
    models={"r1": "abc123", "v2": "abc123"},
)
OTHER_RECIPE = RECIPE.model_copy(
    update={
        "tone": "warm",
        "fields": RECIPE.fields | {"b": FieldRule(type="sentence", **{"from": ("text",)})},  # type: ignore[arg-type]
    }
)


def changed(**changes: Any) -> BatchSpec:
    return SPEC.model_copy(update=changes)


def test_a_new_folder_is_made_with_its_parents_and_opens_again(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    for _ in range(2):
        folder = Folder.open(out, SPEC)
        assert folder.spec == SPEC
        folder.book.close()
    assert (out / BOOK).is_file()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (changed(graph="shop:build"), "its graph was 'graphs.listing:build', now 'shop:build'"),
        (changed(table_hash="ffff00"), "its table 'products.csv' had other content"),
        (
            changed(table_hash="ffff00", table=Path("a/b.csv")),
            "its table was 'products.csv', now 'b.csv'",
        ),
        (
            changed(models={"r1": "ffff00", "v2": "abc123"}),
            r"'r1' is another model than before \(by weights, .*--out a new",
        ),
        (
            changed(models={"r1": "abc123", "vl": "ffff00"}),
            "its fleet had no model 'vl'; its fleet had a model 'v2', which is gone",
        ),
        (changed(models={}, fleet_name="big"), "batch: its fleet was 'mini', now 'big'. Give"),
        (changed(language="zh"), "its language was '', now 'zh'"),
        (
            changed(recipe=OTHER_RECIPE),
            r"its recipe was another \(it differs in: tone, fields\.b\.type\)",
        ),
        (
            changed(table_hash="ffff00", table=Path("b.csv"), graph="shop:build"),
            "its table was 'products.csv', now 'b.csv'; its graph was",
        ),
    ],
)
def test_the_folder_of_another_batch_is_refused_by_what_differs_in_words(
    tmp_path: Path, other: BatchSpec, words: str
) -> None:
    Folder.open(tmp_path / "out", SPEC).book.close()
    with pytest.raises(OutputMismatch, match=words) as caught:
        Folder.open(tmp_path / "out", other)
    assert not any(word in str(caught.value) for word in ("abc123", "ffff00"))
    Folder.open(tmp_path / "out", SPEC).book.close()


def test_a_batch_whose_files_moved_is_the_same_and_the_new_places_are_kept(tmp_path: Path) -> None:
    moved = changed(table=Path("/other/products.csv"), fleet="/other/mini.yaml")
    for spec in (SPEC, moved):
        folder = Folder.open(tmp_path, spec)
        assert folder.spec == spec
        folder.book.close()


def test_a_folder_whose_specification_cannot_be_read_is_told_apart_by_its_identity(
    tmp_path: Path,
) -> None:
    folder = Folder.open(tmp_path, SPEC)
    folder.book.set_meta(SPECIFICATION, '{"tables": []}')
    with pytest.raises(BookError, match=r"another release of Orchestra \(of its 'table'"):
        _ = folder.spec
    folder.book.close()
    words = "its table has other content; its recipe was another. Give"
    with pytest.raises(OutputMismatch, match=words):
        Folder.open(tmp_path, changed(table_hash="ffff00", recipe=OTHER_RECIPE))
    Folder.open(tmp_path, SPEC).book.close()
    folder = Folder.read(tmp_path)
    assert folder.spec == SPEC
    folder.book.close()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputMismatch, match="not empty and holds no batch"):
        Folder.open(tmp_path, SPEC)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    Folder.open(tmp_path, SPEC).book.close()
    assert (tmp_path / BOOK).is_file()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_is_named_and_stays(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputMismatch, match=rf"{place}.*Give --out"):
        Folder.open(tmp_path / place, SPEC)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="Linux alone has /proc, where not even root can write"
)
def test_a_folder_that_cannot_be_made_says_why() -> None:
    with pytest.raises(OutputMismatch, match="cannot be made"):
        Folder.open(Path("/proc/orchestra-out"), SPEC)


def test_a_damaged_book_is_an_error_of_the_book(tmp_path: Path) -> None:
    (tmp_path / BOOK).write_bytes(b"not a database" * 100)
    with pytest.raises(BookError):
        Folder.open(tmp_path, SPEC)


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_looking_into_what_holds_no_batch_makes_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BookError, match=f"{place}.*holds no batch"):
        Folder.read(tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_can_be_looked_into_while_its_batch_runs(tmp_path: Path) -> None:
    running = Folder.open(tmp_path, SPEC)
    looking = Folder.read(tmp_path)
    assert looking.spec == SPEC
    looking.book.close()
    running.book.close()


def test_a_patient_opening_waits_for_the_process_that_is_ending(tmp_path: Path) -> None:
    ending = Folder.open(tmp_path, SPEC)
    with pytest.raises(BookLocked):
        Folder.open(tmp_path, SPEC)
    end = threading.Timer(0.05, ending.book.close)
    end.start()
    folder = Folder.open(tmp_path, SPEC, patient=True)
    end.join()
    assert folder.spec == SPEC
    folder.book.close()


def test_a_batch_that_never_started_says_so(tmp_path: Path) -> None:
    Book.open(tmp_path / BOOK).close()
    folder = Folder.read(tmp_path)
    with pytest.raises(BookError, match="never started"):
        _ = folder.spec
    folder.book.close()


def test_the_resume_command_can_be_pasted_into_a_shell() -> None:
    argv = ["/usr/bin/orchestra", "batch", "my products.csv", "--text-columns", ""]
    assert resume_command(argv) == "orchestra batch 'my products.csv' --text-columns ''"
    assert resume_command([]) == "orchestra"
    assert resume_command(sys.argv)
