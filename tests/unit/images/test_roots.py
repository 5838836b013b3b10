"""Files that a table names lie in its folder, or where its owner says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from orchestra.core.errors import ImageForbidden, ImageNotFound
from orchestra.images.fetch import read_source
from orchestra.images.limits import ImageLimits


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A table's folder with a photo and links, beside a secret."""
    folder = tmp_path / "shop"
    (folder / "photos").mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(folder / "photos" / "a.png")
    (tmp_path / "secret.txt").write_text("root:x:0:0")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "own.png").symlink_to(folder / "photos" / "a.png")
    return folder


def read(folder: Path, source: str, *roots: Path) -> bytes:
    return read_source(source, folder, ImageLimits(roots=(folder, *roots)))


@pytest.mark.parametrize(
    "source", ["photos/a.png", "./photos/../photos/a.png", "own.png", "photos\\a.png"]
)
def test_what_lies_in_the_folder_is_read(shop: Path, source: str) -> None:
    assert read(shop, source).startswith(b"\x89PNG")


def test_an_absolute_path_into_the_folder_is_read(shop: Path) -> None:
    place = shop / "photos" / "a.png"
    assert read(shop, str(place)) == read(shop, place.as_uri()) == place.read_bytes()


@pytest.mark.parametrize(
    "source",
    [
        "../secret.txt",
        "photos/../../secret.txt",
        "..\\secret.txt",
        "%2e%2e/secret.txt",
        "link.txt",
        "up/secret.txt",
        "/etc/passwd",
        "/etc/no-such-file",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "file:///proc/self/environ",
        "/dev/zero",
        "//etc/passwd",
        "\\\\etc\\passwd",
        "/etc",
    ],
)
def test_what_lies_outside_is_refused_alike_whether_it_is_there_or_not(
    shop: Path, source: str
) -> None:
    with pytest.raises(ImageForbidden) as refused:
        read(shop, source)
    message = str(refused.value)
    assert f"lies outside {str(shop)!r}" in message and "--photo-root DIR" in message
    assert "root:x" not in message


@pytest.mark.parametrize(
    "source", ["C:\\Windows\\win.ini", "a\0.png", "\\\\?\\C:\\a.png", "~/a.png"]
)
def test_other_systems_paths_lead_nowhere(shop: Path, source: str) -> None:
    with pytest.raises((ImageNotFound, ImageForbidden)):
        read(shop, source)


def test_another_folder_may_be_named(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "pool" / "b.png")
    for source in ("../pool/b.png", str(tmp_path / "pool" / "b.png"), "up/pool/b.png"):
        assert read(shop, source, tmp_path / "pool").startswith(b"\x89PNG")
    with pytest.raises(ImageForbidden, match="pool"):
        read(shop, "../secret.txt", tmp_path / "pool")


def test_a_folder_whose_name_begins_alike_is_another(shop: Path) -> None:
    other = shop.parent / "shop-secrets"
    other.mkdir()
    (other / "a.png").write_bytes(b"x")
    with pytest.raises(ImageForbidden):
        read(shop, "../shop-secrets/a.png")
