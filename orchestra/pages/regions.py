"""Where on photos evidence of fields stands, as pages draw it; it knows no page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from orchestra.core.job import Evidence, Field
from orchestra.images.attention import glow_of

WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Region:
    """Where on a photo a field was seen: a box (left, top, width, height) in percent of the photo.

    `heat` is a map of what counted, as a data URI of a small picture to be stretched over the
    photo.
    """

    field: str
    photo: str
    box: tuple[float, float, float, float] | None
    heat: str | None


def proofs(field: Field) -> tuple[Evidence, ...]:
    """What a field rests on, and its other readings."""
    return (*field.evidence, *(proof for one in field.alternatives for proof in one.evidence))


def regions_of(fields: Mapping[str, Field]) -> tuple[Region, ...]:
    """Where on photos each field was seen, each place once."""
    return tuple(dict.fromkeys(_regions(fields)))


def _regions(fields: Mapping[str, Field]) -> Iterator[Region]:
    for name, field in fields.items():
        for proof in proofs(field):
            if proof.kind == "image" and proof.image:
                yield _region(name, proof)


def _region(name: str, proof: Evidence) -> Region:
    box = None
    if proof.box is not None and tuple(proof.box) != WHOLE:
        left, top, right, bottom = (round(100 * edge, 2) for edge in proof.box)
        box = (left, top, round(right - left, 2), round(bottom - top, 2))
    heat = None if proof.heat is None else glow(proof.heat)
    return Region(name, proof.image or "", box, heat)


@lru_cache(256)
def glow(heat: str) -> str:
    """A map as a picture of a pixel a cell, as data URI: some 200 bytes, which a page stretches."""
    stream = io.BytesIO()
    glow_of(heat).save(stream, "PNG", optimize=True)
    return data_uri(stream.getvalue(), "png")


def data_uri(content: bytes, kind: str) -> str:
    """A picture of a `kind`, as "jpeg", to stand in a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
