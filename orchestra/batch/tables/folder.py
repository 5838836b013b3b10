"""A folder of photos as a table: a row a photo, called by its place in the folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from orchestra.batch.tables.formats import PHOTOS
from orchestra.batch.tables.row import Row, Table
from orchestra.core.errors import InvalidTable

READ = ".avif .bmp .gif .heic .heif .jfif .jpe .jpeg .jpg .mpo .png .tif .tiff .webp"
SUFFIXES = frozenset(READ.split())
COLUMNS = ("id", "folder", "photo")


class FolderTable(Table):
    """The photos of a folder and of those in it, by name. Raises InvalidTable without any."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.columns = self.written = COLUMNS
        self.format = PHOTOS
        self._photos = sorted(_photos(folder))
        if not self._photos:
            raise InvalidTable(
                f"The folder {str(folder)!r} has no photo in it (read are {READ}). "
                "Name a table, or a folder of photos."
            )
        digest = hashlib.sha256()
        for place in self._photos:
            size = (folder / place).stat().st_size
            digest.update(f"{place}\0{size}\0".encode("utf-8", "surrogateescape"))
        self.fingerprint = digest.hexdigest()
        self.told = (f"{len(self._photos):,} photos, a row each",)

    def rows(self) -> Iterator[Row]:
        """A row a photo; its id is its path without the suffix, with it where two share that."""
        seen: set[str] = set()
        for ordinal, place in enumerate(self._photos, 1):
            name = os.path.splitext(place)[0]
            name = place if name in seen else name
            seen.add(name)
            folder = os.path.dirname(place)
            yield Row(ordinal, {"id": name, "folder": folder, "photo": place})

    def count(self) -> int:
        """How many photos there are."""
        return len(self._photos)


def _photos(folder: Path) -> Iterator[str]:
    """Paths relative to `folder`, with slashes; hidden ones are none."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield os.path.relpath(os.path.join(place, name), folder).replace(os.sep, "/")
