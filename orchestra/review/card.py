"""One product as the workbench shows it: photos, marked text, and each field with what it rests on.

It knows no HTML. Escaping is the template's work, so hostile text passes through as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image

from orchestra.batch.output.report_view import display_name
from orchestra.book.decisions import Decision
from orchestra.core.errors import ImageError
from orchestra.core.job import ErrorRecord, Field, Question, Result
from orchestra.core.values import shown, text_of
from orchestra.images.store import ImageStore
from orchestra.pages.marks import Stretch, marked
from orchestra.pages.regions import Region, proofs

LONG_CHARS = 60  # from here on a value is edited in a box of several lines


@dataclass(frozen=True, slots=True)
class CardPhoto:
    """A photo by its key in the store, with its size in pixels."""

    key: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SideReading:
    """What one side says: its source, value and confidence, and which model read it."""

    source: str
    value: str
    raw: str
    confidence: float | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """A field to decide of, at a place of the index.

    `value` is what stands, `own` what the models said, and `raw` the value as it is edited.

    `decision` is the one that stands, `state` what it comes to. `readings` are both sides of a
    conflict, or the other one that was set aside.
    """

    place: int
    row_id: str
    name: str
    kind: str
    state: str
    value: str
    own: str
    raw: str
    source: str
    confidence: float | None
    model: str | None
    note: str
    readings: tuple[SideReading, ...]
    decision: Decision | None
    is_long: bool
    is_matched: bool = True


@dataclass(frozen=True, slots=True)
class ProductCard:
    """One product.

    `text` is what the models read, in parts; `columns` is what the table has beside it.
    """

    number: int
    ordinal: int
    row_id: str
    name: str
    status: str
    photos: tuple[CardPhoto, ...]
    regions: tuple[Region, ...]
    text: tuple[Stretch, ...]
    columns: tuple[tuple[str, str], ...]
    errors: tuple[ErrorRecord, ...]
    notes: tuple[str, ...]
    questions: tuple[Question, ...]
    items: tuple[Item, ...]


def photos_of(result: Result, store: ImageStore) -> tuple[CardPhoto, ...]:
    """The photos of a result that are in the store, each with its size."""
    found: list[CardPhoto] = []
    for key in dict.fromkeys(result.images):
        with suppress(ImageError, OSError):
            path = store.path(key)
            if path is None:
                continue
            with Image.open(path) as picture:  # reads the head of the file alone
                found.append(CardPhoto(key, *picture.size))
    return tuple(found)


def text_parts(result: Result) -> tuple[Stretch, ...]:
    """The text that models read, with the evidence of each field marked."""
    text = next((call.data for call in result.calls if call.data and not call.images), None)
    if text is None:
        text = next((call.data for call in result.calls if call.data), None)
    if text is None:
        return ()
    return tuple(marked(text, {name: proofs(one) for name, one in result.fields.items()}))


def columns_beside(
    row_id: str, values: Mapping[str, str], parts: Sequence[Stretch]
) -> tuple[tuple[str, str], ...]:
    """The columns that neither the text nor the head of the card shows."""
    text = "".join(part.text for part in parts)
    name = display_name(row_id, values)
    return tuple(
        (column, value)
        for column, value in values.items()
        if value.strip()
        and value not in (row_id, name)
        and f"{column}: {' '.join(value.split())}" not in text
    )


def readings_of(field: Field) -> tuple[SideReading, ...]:
    """What each side says, the photo first; nothing where they say one thing."""
    others = [one for one in field.alternatives if one.value is not None]
    if not others or all(shown(one.value) == shown(field.value) for one in others):
        return ()
    both = sorted((field, *others), key=lambda one: one.source != "photo")
    return tuple(
        SideReading(
            one.source, shown(one.value), text_of(one.value) or "", one.confidence, one.model
        )
        for one in both
        if one.value is not None
    )


def item_of(
    place: int,
    row_id: str,
    name: str,
    kind: str,
    fields: tuple[Field, Field],
    standing: tuple[str, Decision | None],
    *,
    is_matched: bool,
) -> Item:
    """A field as it is shown: of `fields` the first is what models said, the second what stands.

    `standing` is what was decided of it, and by which decision.
    """
    own, now = fields
    state, decision = standing
    told = now if now.doubt or now.contradiction else own  # what is said of a value it has now
    sure = own.confidence if own.probability is None else own.probability
    raw = text_of(now.value) or ""
    return Item(
        place=place,
        row_id=row_id,
        name=name,
        kind=kind,
        state=state,
        value=shown(now.value, "\n"),
        own=shown(own.value, "\n"),
        raw=raw,
        source="person" if now.source == "person" else own.source,
        confidence=sure if own.answered and now.source != "person" else None,
        model=own.model,
        note=_note(told),
        readings=readings_of(told),
        decision=decision,
        is_long=len(raw) > LONG_CHARS or "\n" in raw,
        is_matched=is_matched,
    )


def _note(field: Field) -> str:
    """Why a field is doubted and what is noted of it; once where one says the other."""
    doubt, note = field.doubt or "", field.note or ""
    return doubt if note in doubt else "; ".join(filter(None, (doubt, note)))
