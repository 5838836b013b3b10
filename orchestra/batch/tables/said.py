"""Tells a person how a table is read: format, encoding, columns, and what is left out in silence
otherwise: a column that nobody named and that looks like photos, a description or an id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from statistics import fmean

from orchestra.batch.tables.formats import PLAIN
from orchestra.batch.tables.reading import ReadAs
from orchestra.batch.tables.row import Table
from orchestra.batch.tables.variants import filled_cells

SAMPLE_ROWS = 50
WARNING = "WARNING"
MOST_WARNINGS, MOST_SUSPECTS = 8, 200
PHOTO_NAME = re.compile(
    r"(?:^|[\W_])(?:image|img|photo|picture|pic|foto|bild|imagen|immagine|afbeelding|thumbnail"
    r"|zdj[eę]cie)s?(?:$|[\W_\d])|图片|图像|照片|主图|画像|이미지|사진",
    re.IGNORECASE,
)
NO_PHOTO_NAME = re.compile(r"alt|position|title|caption|count|width|height|id$", re.IGNORECASE)
PHOTO_CELL = re.compile(
    r"\.(?:jpe?g|png|webp|gif|heic|avif|bmp|tiff?)(?:\?\S*)?\s*(?:$|[,;|\s\]\"'])|^data:image/",
    re.IGNORECASE,
)
TEXT_NAME = re.compile(
    r"descri|beschreibung|bezeichnung|(?:^|[\W_])(?:title|name|text|details?|features?|bullet|body"
    r"|summary|content|about|specs?|specifications?|ingredients|material|omschrijving|titre|titel"
    r"|nombre|nome|nom)(?:$|[\W_\d])|描述|名称|标题|简介|详情|説明|商品名|설명|상품명",
    re.IGNORECASE,
)
NO_TEXT_NAME = re.compile(
    r"^meta\b|seo|url|link|image|img|vendor|brand|option|attribute \d|file|user|customer|category"
    r"|company|first|last|alt\b|custom label|google shopping|tax|shipping|class",
    re.IGNORECASE,
)
ID_NAME = re.compile(
    r"^(?:(?:product|item|article|variant|artikel|model)[\W_]*)?(?:id|sku|handle|number|no|nummer|nr"
    r"|code|asin|mpn|gtin|ean|upc|barcode|ref(?:erence)?)\.?$|编号|货号|品番|상품코드",
    re.IGNORECASE,
)
SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?E\+?\d{2}", re.IGNORECASE)
LONG_TEXT_CHARS = 40


def found_as(table: Table) -> ReadAs:
    """How the table was read, so that it is read again like that."""
    return ReadAs(
        format=table.format.name,
        delimiter=table.delimiter or None,
        encoding=table.encoding or None,
    )


def said_of(
    table: Table, text: Sequence[str], images: Sequence[str], id: str | None
) -> Iterator[str]:
    """Lines for the screen: what the table is, which columns serve, and warnings."""
    kind = "" if table.format is PLAIN else f", {table.format.label} (--format)"
    facts = "; ".join(line for line in table.told if not line.startswith(WARNING))
    yield f"{table.path.name}: {facts}{kind}"
    yield f"  text    {', '.join(text) or '(none)'}"
    yield f"  photos  {', '.join(images) or '(none)'}"
    yield f"  id      {id or '(none: the number of the row)'}"
    yield from (line for line in table.told if line.startswith(WARNING))
    yield from islice(_warnings(table, text, images, id), MOST_WARNINGS)


def _warnings(
    table: Table, text: Sequence[str], images: Sequence[str], id: str | None
) -> Iterator[str]:
    samples = _samples(table)
    if id is not None and any(SCIENTIFIC.fullmatch(cell) for cell in samples.get(id, ())):
        yield (
            f"WARNING: the ids in {id!r} stand in scientific notation "
            f"({next(filter(SCIENTIFIC.fullmatch, samples[id]))}): digits are lost, and products "
            "may share an id. Format the column as text and export the table again."
        )
    used = {*text, *images, *([id] if id else [])}
    options = {"photos": "--image-column", "text": "--text-columns", "an id": "--id-column"}
    for name, what in _suspects(table, samples):
        if name not in used and not (what == "an id" and id is not None):
            yield (
                f"WARNING: column {name!r} looks like {what} and is not read. "
                f"Name it with {options[what]} if it should be."
            )


def suspects(table: Table) -> Iterator[tuple[str, str]]:
    """Columns that look like photos, text or an id by their names and cells, with what it is."""
    return _suspects(table, _samples(table))


def _suspects(table: Table, samples: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for name in table.header[:MOST_SUSPECTS]:
        what = _looks_like(name, samples.get(name, ()))
        if what:
            yield name, what


def _samples(table: Table) -> dict[str, list[str]]:
    """Cells of the first products by column."""
    found: dict[str, list[str]] = {}
    for row in islice(table.rows(), SAMPLE_ROWS):
        for name in table.header[:MOST_SUSPECTS]:
            found.setdefault(name, []).extend(islice(filled_cells(row.values, name), 3))
    return found


def _looks_like(name: str, cells: Sequence[str]) -> str:
    """What a column seems to hold: photos, text, an id or "" for others."""
    photos = sum(bool(PHOTO_CELL.search(cell)) for cell in cells)
    if cells and photos * 2 > len(cells):
        return "photos"
    if PHOTO_NAME.search(name) and not NO_PHOTO_NAME.search(name) and not _are_numbers(cells):
        return "photos" if any("/" in cell or "." in cell for cell in cells) else ""
    if ID_NAME.search(name.strip()) and len(set(cells)) == len(cells) and cells:
        return "an id"
    if NO_TEXT_NAME.search(name):
        return ""
    is_long = bool(cells) and fmean(map(len, cells)) >= LONG_TEXT_CHARS and _are_words(cells)
    is_named = TEXT_NAME.search(name) and _are_words(cells)
    return "text" if is_long or is_named else ""


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(cell.replace(".", "", 1).isdigit() for cell in cells)


def _are_words(cells: Sequence[str]) -> bool:
    """Whether cells say something: letters, and no addresses."""
    said = [cell for cell in cells if any(map(str.isalpha, cell)) and "://" not in cell[:10]]
    return bool(said) and len(said) * 2 > len(cells)
