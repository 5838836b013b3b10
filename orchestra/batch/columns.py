"""Which columns of a table are text, photo and id, and the job that a row comes to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.batch.recipe import Recipe
from orchestra.batch.tables.table import Row, Table, resolve_columns
from orchestra.core.errors import InvalidTable
from orchestra.core.job import Job, Language
from orchestra.images.addresses import named_photos

TEXT_NAMES = ["text", "name", "title", "description"]
IMAGE_NAMES = ["image", "photo", "picture"]
ID_NAMES = ["id", "sku"]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns in use. Without an id column a row's id is its ordinal."""

    text: tuple[str, ...]
    image: str | None
    id: str | None

    @classmethod
    def resolve(
        cls,
        table: Table,
        recipe: Recipe | None,
        *,
        text: Sequence[str] | None = None,
        image: str | None = None,
        id: str | None = None,
    ) -> Columns:
        """Take the columns named, else those of the recipe that the table has.

        Raises `InvalidTable` for a name the table does not have, or when neither text nor
        photo is left.
        """

        def named(
            names: Sequence[str] | None, listed: Sequence[str], usual: Sequence[str], what: str
        ) -> list[str]:
            return resolve_columns(table.columns, names, listed or usual, what)

        photo, own_id = (None if name is None else [name] for name in (image, id))
        texts = named(text, recipe.text_columns if recipe else (), TEXT_NAMES, "text")
        images = named(photo, recipe.image_columns if recipe else (), IMAGE_NAMES, "image")
        ids = named(own_id, recipe.id_columns if recipe else (), ID_NAMES, "id")
        if not texts and not images:
            raise InvalidTable(
                f"The table has no column to work on (it has: {', '.join(table.columns)}). "
                "Name them: --text-columns name,description --image-column photo."
            )
        return cls(tuple(texts), images[0] if images else None, ids[0] if ids else None)

    def row_id(self, row: Row) -> str:
        """The row's id; its ordinal where the column is absent or empty."""
        named = row.values.get(self.id, "").strip() if self.id else ""
        return named or str(row.ordinal)

    def has_id(self, row: Row) -> bool:
        """Whether the row names its own id, so that using it twice is an error."""
        return bool(self.id and row.values.get(self.id, "").strip())

    def source(self, row: Row, base: Path) -> str:
        """What tells the row's job from another of its id: a digest of its text, one of its photos.

        A photo is told by its address and, where it is a file under `base`, by its size. Cells that
        no job reads, the table's form and the row's place in it are not in it.
        """
        if row.error is not None:
            read = [row.error.type, row.error.message, *row.values.values()]
            return f"{_digest(read)}.error"
        job = self.job(row, "auto")
        photos = [f"{address} {_size(base, address)}" for address in job.images]
        return f"{_digest([job.text or ''])}.{_digest(photos)}"

    def job(self, row: Row, language: Language) -> Job:
        """The job of a row: one line a text column, and the photos that its cell names."""
        lines = [
            f"{name}: {' '.join(value.split())}"
            for name in self.text
            if (value := row.values.get(name, "").strip())
        ]
        cells = [(self.image, row.values.get(self.image, ""))] if self.image else []
        photos = named_photos(cells)
        return Job(
            text="\n".join(lines) or None,
            images=photos.images,
            roles=photos.roles,
            language=language,
            id=self.row_id(row),
        )


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _size(base: Path, address: str) -> str:
    """Bytes of a photo's file; "" for an address that is none of a file that is there."""
    try:
        return str(os.stat(base / address).st_size)
    except (OSError, ValueError):
        return ""
