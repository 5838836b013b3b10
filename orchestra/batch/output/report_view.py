"""Turns one `Result` into what a person reads on the report page; it knows no HTML and no file.

Everything here is text, numbers and picture bytes. Escaping is the template's work, so that
hostile product text passes through unchanged and is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from orchestra.batch.decided import told
from orchestra.batch.duplicates.groups import Kin
from orchestra.batch.output.fault import fault_of
from orchestra.batch.output.rows import OutputRow
from orchestra.core.job import Evidence, Field, Result
from orchestra.core.values import shown
from orchestra.core.web.redact import redacted
from orchestra.pages.regions import WHOLE, data_uri, glow

LISTING_PART = re.compile(r"^(title|description|bullets)(?:_(en|zh))?$")
PARTS = ("title", "description", "bullets")
NAME_COLUMNS = ("name", "title", "product", "product_name", "商品名称", "名称", "标题")
CONTEXT_CHARS = 240

Link = Callable[[str, bytes, str], str]  # of a photo's key, its picture and the picture's kind


@dataclass(frozen=True, slots=True)
class Photo:
    """One thumbnail: its place on the page, data URI, and size in pixels."""

    anchor: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the input with the words that are evidence marked; `...` where cut."""

    before: str
    mark: str
    after: str


@dataclass(frozen=True, slots=True)
class Proof:
    """One piece of evidence: a marked span, or a photo with a box in its pixels.

    `words` are what was read in the box. `heat` is a small picture to be stretched over the photo,
    as a data URI. `leaf` is the part of an object or list that it is of.
    """

    span: Span | None = None
    photo: Photo | None = None
    box: tuple[float, float, float, float] | None = None
    heat: str | None = None
    words: str | None = None
    leaf: str | None = None


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field with its value, note and evidence as shown, and of a contradiction its readings."""

    name: str
    field: Field
    value: str
    note: str
    proofs: tuple[Proof, ...]
    readings: tuple[FieldView, ...] = ()


@dataclass(frozen=True, slots=True)
class RowView:
    """One product of the page; `listings` are the written parts by language and name."""

    row: OutputRow
    anchor: str
    name: str
    inputs: tuple[tuple[str, str], ...]
    photos: tuple[Photo, ...]
    photo_failed: bool
    fields: tuple[FieldView, ...]
    contradictions: tuple[FieldView, ...]
    abstained: tuple[FieldView, ...]
    listings: Mapping[str, Mapping[str, FieldView]]
    lowest_confidence: float
    fault: float
    kin: tuple[Kin, ...]


def view_row(
    row: OutputRow,
    thumbnail: Callable[[str], bytes | None],
    *,
    link: Link | None = None,
    kin: tuple[Kin, ...] = (),
) -> RowView:
    """Lay out one row; `thumbnail` maps a content hash to picture bytes, or None without one.

    `link` says where the page finds a picture; without it pictures stand in the page. `kin` are
    the groups of duplicates that the row is in.
    """
    values, result, anchor = row.row.values, row.outcome, f"row-{row.row.ordinal}"
    photos = dict(_photos(anchor, result.images, thumbnail, link or _in_page))
    texts = list(_texts(values, result))
    views = [_field(name, field, photos, texts) for name, field in result.fields.items()]
    plain = [v for v in views if not LISTING_PART.match(v.name)]
    answered = [v.field for v in views if v.field.answered]
    return RowView(
        row=row,
        anchor=anchor,
        name=display_name(row.row_id, values),
        inputs=tuple(_inputs(row.row_id, values)),
        photos=tuple(photos.values()),
        photo_failed=any(error.type.startswith("Image") for error in result.errors),
        fields=tuple(v for v in plain if v.field.answered and not v.field.contradiction),
        contradictions=tuple(v for v in plain if v.field.contradiction),
        abstained=tuple(v for v in views if not (v.field.answered or v.field.contradiction)),
        listings=_listings([v for v in views if v.field.answered]),
        lowest_confidence=min(
            (field.confidence for field in answered if field.confidence is not None), default=1.0
        ),
        fault=fault_of(row),
        kin=kin,
    )


def display_name(row_id: str, values: Mapping[str, str]) -> str:
    """What a product is called: by a column that names it, else by its id."""
    named = (values.get(column, "") for column in NAME_COLUMNS)
    return next((name for name in named if name.strip()), row_id)


def _inputs(row_id: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The columns that the head of the card does not show already, their addresses redacted."""
    name = display_name(row_id, values)
    for column, value in values.items():
        if value.strip() and value not in (row_id, name):
            yield column, redacted(value)


def _photos(
    anchor: str, images: tuple[str, ...], thumbnail: Callable[[str], bytes | None], link: Link
) -> Iterator[tuple[str, Photo]]:
    for index, image in enumerate(images):
        content = thumbnail(image)
        if content is None:
            continue
        try:
            with Image.open(BytesIO(content)) as picture:
                (width, height), kind = picture.size, (picture.format or "").lower()
        except (UnidentifiedImageError, OSError):
            continue
        uri = link(image, content, kind)
        yield image, Photo(f"{anchor}-photo-{index}", uri, width, height)


def _in_page(key: str, content: bytes, kind: str) -> str:
    return data_uri(content, kind)


def _texts(values: Mapping[str, str], result: Result) -> Iterator[str]:
    """The texts that a span may count in: as the models were given it, then as it came."""
    yield from dict.fromkeys(call.data for call in result.calls if call.data)
    yield "\n".join(f"{column}: {value}" for column, value in values.items() if value)


def _field(name: str, field: Field, photos: Mapping[str, Photo], texts: list[str]) -> FieldView:
    readings: tuple[FieldView, ...] = ()
    if field.contradiction:
        both = [field.model_copy(update={"contradiction": False}), *field.alternatives]
        both.sort(key=lambda reading: reading.source != "photo")
        readings = tuple(_field(name, reading, photos, texts) for reading in both)
    return FieldView(
        name=name,
        field=field,
        value=shown(field.value, "\n" if LISTING_PART.match(name) else ", "),
        note="; ".join(filter(None, _notes(field))),
        proofs=tuple(_proof(evidence, photos, texts) for evidence in field.evidence),
        readings=readings,
    )


def _notes(field: Field) -> Iterator[str | None]:
    yield field.doubt and f"for review: {field.doubt}"
    yield field.decided and told(field.decided)
    # What is rejected or said to be none has the same in its note.
    yield field.note if field.answered or field.decided is None else None


def _proof(evidence: Evidence, photos: Mapping[str, Photo], texts: list[str]) -> Proof:
    if evidence.kind == "text":
        return Proof(span=_span(evidence, texts), leaf=evidence.leaf)
    photo = photos.get(evidence.image or "")
    if photo is None:
        return Proof(words=evidence.text)
    heat = None if evidence.heat is None else glow(evidence.heat)
    if evidence.box is None or tuple(evidence.box) == WHOLE:
        return Proof(photo=photo, heat=heat, words=evidence.text)
    left, top, right, bottom = evidence.box
    wide, high = photo.width, photo.height
    box = (left * wide, top * high, (right - left) * wide, (bottom - top) * high)
    return Proof(photo=photo, box=box, heat=heat, words=evidence.text)


def _span(evidence: Evidence, texts: list[str]) -> Span:
    """Mark the evidence in the first text that holds it; alone when none does.

    A label rests on the whole text: that is shown from its beginning, with nothing marked.
    """
    if evidence.text is None and evidence.start is None:
        return _cut("".join(texts[:1]), 0, 0)
    quote, start, end = evidence.text or "", evidence.start, evidence.end
    if start is not None and end is not None:
        for text in texts:
            if 0 <= start < end <= len(text) and (not quote or text[start:end] == quote):
                return _cut(text, start, end)
    for text in texts:
        found = text.find(quote) if quote else -1
        if found >= 0:
            return _cut(text, found, found + len(quote))
    return Span("", quote, "")


def _cut(text: str, start: int, end: int) -> Span:
    first, last = max(0, start - CONTEXT_CHARS), min(len(text), end + CONTEXT_CHARS)
    before = ("… " if first else "") + text[first:start]
    after = text[end:last] + (" …" if last < len(text) else "")
    return Span(before, text[start:end], after)


def _listings(views: Iterable[FieldView]) -> dict[str, dict[str, FieldView]]:
    """The written parts by language ("" where their names say none), in reading order."""
    found: dict[str, dict[str, FieldView]] = {}
    for view in views:
        if match := LISTING_PART.match(view.name):
            found.setdefault(match[2] or "", {})[match[1]] = view
    return {
        language: {part: parts[part] for part in PARTS if part in parts}
        for language, parts in found.items()
    }
