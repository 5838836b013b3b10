"""Small pictures of a batch's photos as files beside the report: each photo is shrunk once.

A photo's name is the hash of its pixels, so a file that is there is never out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestra.core.errors import ImageError
from orchestra.core.files.atomic import atomic_file

PHOTOS = "photos"


class Thumbnails:
    """JPEG files in `folder`, made by `shrink` when they are asked for first."""

    def __init__(self, folder: Path, shrink: Callable[[str], bytes]) -> None:
        self.folder = folder / PHOTOS
        self._shrink = shrink

    def __call__(self, key: str) -> bytes | None:
        """The picture of the photo `key`; None where it cannot be read. Raises `DiskFull`."""
        path = self.folder / key[:2] / f"{key}.jpg"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            """It is made now."""
        try:
            content = self._shrink(key)
        except ImageError:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, durable=False) as file:
            file.write(content)
        return content


def link_of(key: str) -> str:
    """Where the picture of `key` is, seen from the folder of the thumbnails."""
    return f"{PHOTOS}/{key[:2]}/{key}.jpg"
