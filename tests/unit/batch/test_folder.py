"""The output folder: it resumes its own batch and no other, and is never overwritten."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.batch.columns import Columns
from orchestra.batch.folder import BOOK, Folder, Source, resume_command, row_key
from orchestra.core.errors import BookError, OutputMismatch

IDENTITY = {
    "table": "abc123",
    "graph": "graphs.listing:build",
    "recipe": "abc123",
    "fleet": "mini",
    "models": '{"r1": "abc123", "v2": "abc123"}',
}
SWAPPED = '{"r1": "ffff00", "v2": "abc123"}'
GONE = '{"r1": "abc123", "vl": "ffff00"}'
SOURCE = Source(
    table="products.csv",
    fleet="mini",
    columns=Columns(("name", "描述"), None, "sku"),
    recipe=None,
    language="auto",
)


def test_a_new_folder_is_made_with_its_parents_and_opens_again(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    for _ in range(2):
        folder = Folder.open(out, IDENTITY)
        assert folder.identity == IDENTITY
        folder.book.close()
    assert (out / BOOK).is_file()


@pytest.mark.parametrize(
    ("change", "source", "words"),
    [
        ({"graph": "shop:build"}, {}, "its graph was 'graphs.listing:build', now 'shop:build'"),
        ({"table": "ffff00"}, {}, "its table 'products.csv' had other content"),
        ({"table": "ffff00"}, {"table": "a/b.csv"}, "its table was 'products.csv', now 'b.csv'"),
        ({"models": SWAPPED}, {}, r"'r1' is another model than before \(by weights, .*--out a new"),
        ({"models": GONE}, {}, "its fleet had no model 'vl'; its fleet had a model 'v2', which is"),
        ({"fleet": "big", "models": "{}"}, {}, "batch: its fleet was 'mini', now 'big'. Give"),
        (
            {"recipe": "ffff00"},
            {"recipe": '{"tone": "warm", "fields": {"a": 1, "b": 3}}'},
            r"its recipe was another \(it differs in: tone, fields\.b\)",
        ),
        (
            {"table": "ffff00", "graph": "shop:build"},
            {"table": "b.csv"},
            "its table was 'products.csv', now 'b.csv'; its graph was",
        ),
    ],
)
def test_the_folder_of_another_batch_is_refused_by_what_differs_in_words(
    tmp_path: Path, change: dict[str, str], source: dict[str, str], words: str
) -> None:
    started = replace(SOURCE, recipe='{"tone": "plain", "fields": {"a": 1, "b": 2}}')
    folder = Folder.open(tmp_path / "out", IDENTITY, source=started)
    folder.remember(started)
    folder.book.close()
    with pytest.raises(OutputMismatch, match=words) as caught:
        Folder.open(tmp_path / "out", IDENTITY | change, source=replace(started, **source))
    assert not any(word in str(caught.value) for word in ("abc123", "ffff00"))
    Folder.open(tmp_path / "out", IDENTITY, source=started).book.close()


def test_a_folder_whose_source_was_never_kept_is_refused_all_the_same(tmp_path: Path) -> None:
    Folder.open(tmp_path / "out", IDENTITY).book.close()
    with pytest.raises(OutputMismatch, match="its table has other content; its recipe was another"):
        Folder.open(tmp_path / "out", IDENTITY | {"table": "ffff00", "recipe": "ffff00"})


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputMismatch, match="not empty and holds no batch"):
        Folder.open(tmp_path, IDENTITY)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    Folder.open(tmp_path, IDENTITY).book.close()
    assert (tmp_path / BOOK).is_file()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_is_named_and_stays(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputMismatch, match=rf"{place}.*Give --out"):
        Folder.open(tmp_path / place, IDENTITY)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a folder nobody may write to")
def test_a_folder_that_cannot_be_made_says_why() -> None:
    with pytest.raises(OutputMismatch, match="cannot be made"):
        Folder.open(Path("/proc/orchestra-out"), IDENTITY)


def test_a_damaged_book_is_an_error_of_the_book(tmp_path: Path) -> None:
    (tmp_path / BOOK).write_bytes(b"not a database" * 100)
    with pytest.raises(BookError):
        Folder.open(tmp_path, IDENTITY)


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_looking_into_what_holds_no_batch_makes_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BookError, match=f"{place}.*holds no batch"):
        Folder.read(tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_can_be_looked_into_while_its_batch_runs(tmp_path: Path) -> None:
    running = Folder.open(tmp_path, IDENTITY)
    running.remember(SOURCE)
    looking = Folder.read(tmp_path)
    assert (looking.source, looking.identity) == (SOURCE, IDENTITY)
    looking.book.close()
    running.book.close()


def test_a_batch_that_never_started_says_so(tmp_path: Path) -> None:
    folder = Folder.open(tmp_path, IDENTITY)
    with pytest.raises(BookError, match="never started"):
        _ = folder.source
    folder.book.close()


def test_a_rows_key_depends_on_the_batch_the_id_and_the_place() -> None:
    key = row_key(IDENTITY, "a", 1)
    assert key == row_key(dict(reversed(IDENTITY.items())), "a", 1)
    others = [
        row_key(IDENTITY, "b", 1),
        row_key(IDENTITY, "a", 2),
        row_key({**IDENTITY, "table": "other"}, "a", 1),
    ]
    assert len({key, *others}) == 4


def test_the_resume_command_can_be_pasted_into_a_shell() -> None:
    argv = ["/usr/bin/orchestra", "batch", "my products.csv", "--text-columns", ""]
    assert resume_command(argv) == "orchestra batch 'my products.csv' --text-columns ''"
    assert resume_command([]) == "orchestra"
    assert resume_command(sys.argv)
