"""Which columns of a table are text, photos and id, and the job that a row comes to."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.batch.recipe import Recipe
from orchestra.batch.tables.formats import PLAIN
from orchestra.batch.tables.markup import words_of
from orchestra.batch.tables.row import repeated
from orchestra.batch.tables.said import suspects
from orchestra.batch.tables.structured import STRUCTURED, structured
from orchestra.batch.tables.table import Row, Table, resolve_columns, some_names
from orchestra.batch.tables.variants import filled_cells, filled_rows
from orchestra.core.errors import InvalidTable
from orchestra.core.job import Job, Language
from orchestra.images.addresses import named_photos

TEXT_NAMES = ["text", "name", "title", "description"]
IMAGE_NAMES = ["image", "photo", "picture"]
ID_NAMES = ["id", "sku"]
NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*")
# Where a plain table has none of these, nor of the recipe's, what else people call them.
OTHER_NAMES = {
    "text": """
        product_name product_title item_name product_description item_description body body_html
        long_description short_description 商品名 名称 标题 描述 produktname produktbezeichnung
        artikelname bezeichnung titel beschreibung produktbeschreibung langtext nom titre nombre
        titulo título descripcion descripción nome descrizione descrição
        """,
    "image": """
        images photos pictures image_link image_url image_path img picture_url photo_url main_image
        image_src image_1 image1 photo_1 photo1 图片 主图 商品图片 bild bilder bild_url foto imagen
        imágenes immagine
        """,
    "id": """
        product_id item_id handle article_number item_number product_code code asin 编号 货号
        artikelnummer artikel_nr art_nr ref reference referencia
        """,
}
LABELS = {
    "body (html)": "description",
    "structured_title": "title",
    "structured_description": "description",
}  # what a column is called before a model


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns in use. Without an id column a row's id is its ordinal."""

    text: tuple[str, ...]
    images: tuple[str, ...]
    id: str | None

    @classmethod
    def resolve(
        cls,
        table: Table,
        recipe: Recipe | None,
        *,
        text: Sequence[str] | None = None,
        images: Sequence[str] | None = None,
        id: str | None = None,
    ) -> Columns:
        """Take the columns named, else those of the table's format, then those of the recipe that
        the table has; in a plain table the first of the recipe's photo columns is the photo.

        Raises `InvalidTable` for a name the table does not have, for one that it has twice, or when
        neither text nor photo is left.
        """
        own, listed = table.format, recipe or NO_RECIPE

        def named(
            names: Sequence[str] | None,
            formatted: Sequence[str],
            listed: Sequence[str],
            usual: Sequence[str],
            what: str,
        ) -> list[str]:
            if names is not None:
                return resolve_columns(table.columns, names, (), what)
            found = resolve_columns(table.columns, None, [*formatted, *(listed or usual)], what)
            if not found:
                found = _otherwise_called(table.columns, what)
            _refuse_repeated(table, found, what)
            return found

        own_id = None if id is None else [id]
        texts = named(text, own.text, listed.text_columns, TEXT_NAMES, "text")
        photos = named(images, own.images, listed.image_columns, IMAGE_NAMES, "image")
        ids = named(own_id, own.ids, listed.id_columns, ID_NAMES, "id")
        if images is None and own is PLAIN:
            photos = photos[:1]
        if not texts and not photos:
            likely = "; ".join(f"{name!r} looks like {what}" for name, what in suspects(table))
            raise InvalidTable(
                f"The table has no column to work on (it has: {some_names(table.columns)})."
                f"{f' Of these {likely}.' if likely else ''}{_no_header(table.columns)} Name them: "
                "--text-columns name,description --image-column photo."
            )
        return cls(tuple(texts), tuple(photos), ids[0] if ids else None)

    def row_id(self, row: Row) -> str:
        """The row's id; its ordinal where the column is absent or empty."""
        named = row.values.get(self.id, "").strip() if self.id else ""
        return named or str(row.ordinal)

    def has_id(self, row: Row) -> bool:
        """Whether the row names its own id, so that using it twice is an error."""
        return bool(self.id and row.values.get(self.id, "").strip())

    def photo_cells(self, row: Row) -> Iterator[tuple[str, str]]:
        """The cells of photos with the names of their columns, over all rows of the product.

        A variation's own photos, in a column that the product has too, stand under `variation`.
        """
        for name in self.images:
            for is_variation, cell in filled_rows(row.values, name):
                yield f"variation {name}" if is_variation else name, cell

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
        """The job of a row: what each text column says, after its name, and the photos."""
        lines: list[str] = []
        for name in self.text:
            label = LABELS.get(name.casefold(), name)
            cell = next(filled_cells(row.values, name), "")
            said = words_of(structured(cell)[0] if name in STRUCTURED else cell, label)
            if said:
                lines.append(f"{label}: {said}")
        photos = named_photos(self.photo_cells(row))
        return Job(
            text="\n".join(lines) or None,
            images=photos.images,
            roles=photos.roles,
            language=language,
            id=self.row_id(row),
        )


NO_RECIPE = Recipe.model_construct(text_columns=(), image_columns=(), id_columns=())


def _no_header(columns: Sequence[str]) -> str:
    """What to say where the first line seems to be a product."""
    numbers = [name for name in columns if NUMBER.fullmatch(name.strip())]
    if not numbers:
        return ""
    return (
        f" The first line seems to be a product and no names of columns ({numbers[0]!r} is a "
        "number): put a line of names above it."
    )


def _otherwise_called(columns: Sequence[str], what: str) -> list[str]:
    """Columns by their other usual names; `Product Name` and `product-name` are `product_name`."""
    joined = {
        re.sub(r"[\W_]+", "_", name.casefold()).strip("_"): name for name in reversed(columns)
    }
    return [joined[name] for name in OTHER_NAMES[what].split() if name in joined]


def _refuse_repeated(table: Table, names: Sequence[str], what: str) -> None:
    twice = repeated(table.written)
    for name in names:
        if name in twice:
            option = {"text": "--text-columns"}.get(what, f"--{what}-column")
            raise InvalidTable(
                f"Table {str(table.path)!r} has the {what} column {name!r} more than once. Name "
                f"the one that is meant, the first with {option} {name!r}, the second with "
                f"{f'{name} (2)'!r}; or give each column its own name."
            )


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _size(base: Path, address: str) -> str:
    """Bytes of a photo's file; "" for an address that is none of a file that is there."""
    try:
        return str(os.stat(base / address).st_size)
    except (OSError, ValueError):
        return ""
