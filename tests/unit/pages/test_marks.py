"""Evidence marked in a text."""

from __future__ import annotations

from orchestra.core.job import Evidence
from orchestra.pages.marks import Stretch, marked

TEXT = "Red cotton shirt, cotton lining"


def quote(text: str, start: int | None = None) -> Evidence:
    end = None if start is None else start + len(text)
    return Evidence(kind="text", text=text, start=start, end=end)


def test_spans_that_overlap_name_both_fields_and_the_text_stays_whole() -> None:
    proofs = {"material": [quote("cotton", 4)], "name": [quote("Red cotton shirt", 0)]}
    parts = list(marked(TEXT, proofs))
    assert parts == [
        Stretch("Red ", ("name",)),
        Stretch("cotton", ("material", "name")),
        Stretch(" shirt", ("name",)),
        Stretch(", cotton lining", ()),
    ]
    assert "".join(part.text for part in parts) == TEXT


def test_a_span_that_is_not_at_its_place_is_looked_for_and_one_that_is_nowhere_left_out() -> None:
    parts = list(marked(TEXT, {"material": [quote("cotton", 20)], "brand": [quote("Acme", 0)]}))
    assert [part.text for part in parts if part.fields] == ["cotton"]
    assert parts[0] == Stretch("Red ")


def test_evidence_of_photos_and_of_whole_texts_marks_nothing() -> None:
    proofs = {"a": [Evidence(kind="image", text="cotton"), Evidence(kind="text")]}
    assert list(marked(TEXT, proofs)) == [Stretch(TEXT)]
    assert list(marked("", {})) == []
