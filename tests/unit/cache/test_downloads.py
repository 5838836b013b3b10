"""Photos that were fetched are kept in files, bounded, and never worth an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.cache.downloads import DownloadStore
from orchestra.images.download import Kept

ADDRESS = "https://cdn.example.org/a.jpg"
KEPT = Kept(b"\xff\xd8\nphoto\n", ADDRESS, '"v1"', "Sun, 01 Nov 2026 10:00:00 GMT", 12.5)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_kept_is_found_by_another_process(tmp_path: Path) -> None:
    DownloadStore(tmp_path, 1000).put(ADDRESS, KEPT)
    store = DownloadStore(tmp_path, 1000)
    assert store.get(ADDRESS) == KEPT
    assert store.get(ADDRESS + "?v=2") is None


def test_a_later_photo_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    store = DownloadStore(tmp_path, 1000)
    store.put(ADDRESS, KEPT)
    later = Kept(b"other", ADDRESS, '"v2"')
    store.put(ADDRESS, later)
    assert store.get(ADDRESS) == later
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json\nbody", b"\0" * 40])
def test_a_damaged_file_is_a_miss(tmp_path: Path, damage: bytes) -> None:
    store = DownloadStore(tmp_path, 1000)
    store.put(ADDRESS, KEPT)
    (path,) = files(tmp_path)
    path.write_bytes(damage)
    assert store.get(ADDRESS) is None
    store.put(ADDRESS, KEPT)
    assert store.get(ADDRESS) == KEPT


def test_a_body_that_was_cut_is_a_miss(tmp_path: Path) -> None:
    store = DownloadStore(tmp_path, 1000)
    store.put(ADDRESS, KEPT)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    assert store.get(ADDRESS) is None


def test_the_oldest_used_go_first(tmp_path: Path) -> None:
    store = DownloadStore(tmp_path, 4000)
    body = b"x" * 700
    for number in range(4):
        store.put(f"{ADDRESS}?{number}", Kept(body, ADDRESS, '"v1"'))
        (newest,) = [p for p in files(tmp_path) if p.stat().st_mtime > 10**6]
        os.utime(newest, (1000 + number, 1000 + number))
    assert store.get(f"{ADDRESS}?0") is not None  # used now, so it stays
    store.put(f"{ADDRESS}?4", Kept(body, ADDRESS, '"v1"'))
    assert [store.get(f"{ADDRESS}?{number}") is not None for number in range(5)] == [
        True,
        False,
        False,
        True,
        True,
    ]
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 4000


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    DownloadStore(tmp_path, 100).put(ADDRESS, KEPT)
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_a_warning_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "photos").write_text("a file where the folder should be")
    store = DownloadStore(tmp_path, 1000)
    for _ in range(2):
        store.put(ADDRESS, KEPT)
        assert store.get(ADDRESS) is None
    assert len(caplog.records) == 1
    assert "Check the disk" in caplog.records[0].message
