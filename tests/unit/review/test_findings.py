"""Why a person should look at a field."""

from __future__ import annotations

import json

import pytest

from orchestra.batch.output.fault import general
from orchestra.combine.match import MATCH
from orchestra.core.errors import ImageTruncated
from orchestra.core.job import ErrorRecord, Field, Result
from orchestra.review.findings import WHOLE_ROW, findings

GREEN = Field(value="green", source="photo", confidence=0.9)


def kinds(result: Result, names: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
    record = json.loads(result.model_dump_json())
    return {one.field: (one.kind, one.reason) for one in findings(record, names)}


@pytest.mark.parametrize(
    ("field", "kind", "reason"),
    [
        (Field(value="red", source="text", confidence=0.9), "fine", ""),
        (Field(value="red", source="text", confidence=0.3, note="n"), "unsure", "n"),
        (Field(value="red", source="text", confidence=0.9, probability=0.3), "unsure", ""),
        (Field(value="red", source="text", doubt="0.8 < 0.9"), "doubt", "… < …"),
        (Field(note="the text does not say"), "empty", "the text does not say"),
        (
            Field(value="red", source="text", contradiction=True, note="'a' against 'b' (0.9)"),
            "conflict",
            "… against … (…)",
        ),
        (Field(value="red", source="text", alternatives=(GREEN,)), "aside", ""),
        (Field(value="Green", source="text", alternatives=(GREEN,)), "fine", ""),
    ],
)
def test_a_field_has_one_kind_and_its_reason(field: Field, kind: str, reason: str) -> None:
    assert kinds(Result(status="complete", fields={"colour": field})) == {"colour": (kind, reason)}


def test_a_row_that_failed_is_to_be_looked_at_as_a_whole_and_lacks_every_field() -> None:
    error = ErrorRecord.of("intake", ImageTruncated("It is cut off."))
    assert kinds(Result(status="failed", errors=(error,)), ("colour", "brand")) == {
        WHOLE_ROW: ("error", "ImageTruncated"),
        "colour": ("empty", ""),
        "brand": ("empty", ""),
    }


def test_a_photo_that_may_be_another_products_is_a_kind_of_its_own_ranked_by_how_likely() -> None:
    match = Field(value="no", source="both", confidence=0.8, doubt="it may be of another product")
    record = json.loads(Result(status="review", fields={MATCH: match}).model_dump_json())
    (found,) = findings(record, ())
    assert (found.kind, found.fault) == ("photo", 0.8)
    (unsure,) = findings(
        {"fields": {"colour": {"value": "red", "source": "text", "confidence": 0.2}}}, ()
    )
    assert (unsure.kind, unsure.fault) == ("unsure", 0.8)


def test_a_row_that_waits_asks_and_keeps_what_it_has() -> None:
    found = kinds(Result(status="waiting", fields={"colour": GREEN}))
    assert found == {WHOLE_ROW: ("asks", ""), "colour": ("fine", "")}


def test_reasons_that_differ_in_values_alone_are_one() -> None:
    one = general("the photo says 'Plum' (0.98) against the text says 'Cucumber' (0.95)")
    other = general("the photo says 'Apple' (0.71) against the text says 'Pear' (0.80)")
    assert one == other == "the photo says … (…) against the text says … (…)"
    assert general("r1 and v2 differ") == "r1 and v2 differ"
