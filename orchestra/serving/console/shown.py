"""A result as the console shows it: marked text, photos with regions, and each field's evidence.

It knows no HTML. Escaping is the template's work, so hostile text passes through as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra.core.job import Evidence, Field, Result
from orchestra.core.text import sanitise
from orchestra.core.values import shown
from orchestra.pages.marks import Stretch, marked
from orchestra.pages.regions import WHOLE, Region, proofs, regions_of

WRITTEN = re.compile(r"(title|description|bullets)(_[a-z]{2})?")
MOST_QUOTES = 4  # of a field, in its own line; the text has all of them marked


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of evidence in a line: words of the text, or a place on a photo and its words."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one side of a field says."""

    source: str
    value: str
    confidence: float | None
    model: str | None


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field. `lines` has the items of a list that was written."""

    name: str
    value: str
    lines: tuple[str, ...]
    source: str
    confidence: float | None
    model: str | None
    note: str
    is_doubted: bool
    is_contradicted: bool
    quotes: tuple[Quote, ...]
    readings: tuple[Reading, ...]
    has_place: bool


@dataclass(frozen=True, slots=True)
class ShownResult:
    """A result: its `written` parts, its other fields, and what they rest on.

    `lit` is the field whose evidence is brought out first: one that has a place on a photo.
    """

    result: Result
    text: tuple[Stretch, ...]
    photos: tuple[str, ...]
    regions: tuple[Region, ...]
    written: tuple[ShownField, ...]
    fields: tuple[ShownField, ...]
    answer: str
    lit: str


def shown_result(result: Result, text: str) -> ShownResult:
    """Lay out `result` of a job with this `text`."""
    views = [_field(name, field) for name, field in result.fields.items()]
    written = tuple(one for one in views if WRITTEN.fullmatch(one.name) and one.value)
    others = tuple(one for one in views if one not in written)
    places = {name: proofs(field) for name, field in result.fields.items()}
    said = "" if "answer" in result.fields else result.answer or ""
    return ShownResult(
        result=result,
        text=tuple(marked(sanitise(text), places)) if text.strip() else (),
        photos=tuple(dict.fromkeys(result.images)),
        regions=tuple(each for each in regions_of(result.fields) if each.box or each.heat),
        written=written,
        fields=others,
        answer=said,
        lit=_lit(others),
    )


def _lit(views: Sequence[ShownField]) -> str:
    placed = (view.name for view in views if view.has_place)
    quoted = (view.name for view in views if view.quotes)
    return next(placed, None) or next(quoted, "")


def _field(name: str, field: Field) -> ShownField:
    sure = field.confidence if field.probability is None else field.probability
    return ShownField(
        name=name,
        value=shown(field.value),
        lines=_lines(field.value),
        source=field.source,
        confidence=sure if field.answered else None,
        model=field.model,
        note=_note(field),
        is_doubted=bool(field.doubt),
        is_contradicted=field.contradiction,
        quotes=tuple(_quotes(field.evidence)),
        readings=_readings(field),
        has_place=any(_is_place(proof) for proof in proofs(field)),
    )


def _lines(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    items: Iterable[object] = value
    return tuple(shown(item) for item in items)


def _note(field: Field) -> str:
    """Why a field is doubted and what is noted of it; once where one says the other."""
    doubt, note = field.doubt or "", field.note or ""
    return doubt if note in doubt else "; ".join(filter(None, (doubt, note)))


def _quotes(evidence: Iterable[Evidence]) -> Iterator[Quote]:
    found: dict[Quote, None] = {}
    for proof in evidence:
        if proof.kind == "text" and proof.text:
            found[Quote("text", proof.text)] = None
        elif proof.kind == "image":
            found[Quote("place" if _is_place(proof) else "photo", proof.text or "")] = None
    yield from list(found)[:MOST_QUOTES]


def _is_place(proof: Evidence) -> bool:
    is_part = proof.box is not None and tuple(proof.box) != WHOLE
    return proof.kind == "image" and (is_part or proof.heat is not None)


def _readings(field: Field) -> tuple[Reading, ...]:
    """Both sides of a contradiction, the photo first."""
    if not field.contradiction:
        return ()
    both = sorted((field, *field.alternatives), key=lambda one: one.source != "photo")
    return tuple(
        Reading(one.source, shown(one.value), one.confidence, one.model)
        for one in both
        if one.value is not None
    )


def known_fields(outcomes: Mapping[str, Mapping[str, Field]]) -> dict[str, Field]:
    """What a run knows so far: of each field the last answer, by the order of its nodes."""
    return {
        name: field
        for fields in outcomes.values()
        for name, field in fields.items()
        if field.answered
    }
