"""A result laid out for the page."""

from __future__ import annotations

from orchestra.core.job import Evidence, Field, Result
from orchestra.serving.console.shown import known_fields, shown_result

HEAT = "/".join(["0123456789"] * 10)
SEEN = Evidence(kind="image", image="k1", box=(0.25, 0.5, 0.75, 1.0), heat=HEAT)
READ = Evidence(kind="text", text="red", start=2, end=5)
RED = Field(value="red", source="both", confidence=0.9, evidence=(READ, SEEN))


def test_fields_come_with_their_quotes_and_places() -> None:
    whole = Evidence(kind="image", image="k1", box=(0, 0, 1, 1))
    kind = Field(value="shirt", source="photo", confidence=0.4, evidence=(whole,))
    result = Result(status="complete", fields={"kind": kind, "colour": RED}, images=("k1", "k1"))
    shown = shown_result(result, 'A red "shirt"')
    assert [one.name for one in shown.fields] == ["kind", "colour"]
    assert [quote.kind for quote in shown.fields[1].quotes] == ["text", "place"]
    assert shown.fields[0].quotes[0].kind == "photo"
    assert shown.lit == "colour" and shown.photos == ("k1",)
    assert [(part.text, part.fields) for part in shown.text] == [
        ("A ", ()),
        ("red", ("colour",)),
        (" 'shirt'", ()),  # as the models were given it
    ]
    (region,) = shown.regions
    assert region.box == (25.0, 50.0, 50.0, 50.0)
    assert region.heat is not None and region.heat.startswith("data:image/png;base64,")


def test_written_parts_stand_apart_and_an_empty_one_is_a_field() -> None:
    fields = {
        "title_zh": Field(value="红衬衫", source="derived"),
        "bullets": Field(value=["Red", "Cotton"], source="derived"),
        "description": Field(note="nothing was written"),
    }
    shown = shown_result(Result(status="partial", fields=fields, answer="x"), "")
    assert [one.name for one in shown.written] == ["title_zh", "bullets"]
    assert shown.written[1].lines == ("Red", "Cotton")
    assert [one.name for one in shown.fields] == ["description"] and shown.answer == "x"


def test_a_contradiction_shows_both_sides_and_is_noted_once() -> None:
    other = Field(value="blue", source="photo", confidence=0.8)
    field = Field(
        value="red",
        source="text",
        contradiction=True,
        alternatives=(other,),
        doubt="photo says blue, for sure",
        note="photo says blue",
    )
    (shown,) = shown_result(Result(status="review", fields={"colour": field}), "").fields
    assert [(one.source, one.value) for one in shown.readings] == [
        ("photo", "blue"),
        ("text", "red"),
    ]
    assert shown.note == "photo says blue, for sure" and shown.is_contradicted


def test_what_is_known_is_the_last_answer_of_each_field() -> None:
    nothing = Field(note="the text does not say")
    later = Field(value="blue", source="text")
    known = known_fields({"look": {"colour": RED, "kind": nothing}, "again": {"colour": later}})
    assert known == {"colour": later}
