"""Results are told in three lines at most, and as escaped HTML in a notebook."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser

import pytest

from orchestra.core.job import CallRecord, ErrorRecord, Evidence, Field, Question, Result
from orchestra.core.values import dollars

HOSTILE = "<script>alert('x')</script>"
SPAN = Evidence(kind="text", text="红色", start=0, end=2)
PHOTO = Evidence(kind="image", image="abc", box=(0.1, 0.2, 0.5, 0.9))
SEEN = Field(value="purple", source="photo", confidence=0.674, evidence=(PHOTO,))
READ = Field(value="red", source="text", confidence=0.98, evidence=(SPAN,))
CLASH = SEEN.model_copy(update={"contradiction": True, "alternatives": (READ,)})
UNSAID = Field(note="the text does not say")


PRINTED = Evidence(kind="image", image="abc", box=(0.1, 0.2, 0.5, 0.9), text="净含量 1 L")


class Page(HTMLParser):
    """The words of a page, and its elements, which must all be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} " if "style" not in self.open else ""


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (SEEN, "Field('purple' (photo 0.67))"),
        (READ.model_copy(update={"source": "both"}), "Field('red' (photo + text 0.98))"),
        (CLASH, "Field('purple' (photo 0.67, CONTRADICTS 'red'))"),
        (UNSAID, "Field(no answer: the text does not say)"),
        (Field(value=["a"], source="derived"), "Field(['a'] (derived))"),
        (
            SEEN.model_copy(update={"doubt": "calibrated 0.4 < 0.9"}),
            "Field('purple' (photo 0.67, for review: calibrated 0.4 < 0.9))",
        ),
    ],
)
def test_a_field_is_told_in_one_line(field: Field, told: str) -> None:
    assert repr(field) == str(field) == told


def test_a_result_is_told_in_three_lines_at_most() -> None:
    calls = (CallRecord(node="look", model="vl", instruction="Look."),)
    whole = Result(
        status="review",
        fields={"colour": CLASH, "maker": UNSAID},
        calls=calls,
        cost_usd=Decimal("0.0000017"),
        seconds=0.084,
    )
    assert repr(whole).splitlines() == [
        "Result(review, $0.000002, 0.08 s, 1 call of vl, 1 contradiction)",
        "  colour='purple' (photo 0.67, CONTRADICTS 'red'); maker=no answer: the text does not say",
    ]
    errors = tuple(ErrorRecord(stage=n, type="NoModel", message="m " * 300) for n in "ab")
    failed = repr(Result(status="failed", answer="x " * 900, errors=errors))
    assert (
        len(failed.splitlines()) == 3 and "a: NoModel: m m" in failed and "(and 1 more)" in failed
    )
    assert all(len(line) < 190 for line in failed.splitlines())
    waiting = Result(status="waiting", questions=(Question(value="Really?"),))
    assert repr(waiting).splitlines()[-1] == "  asks 'Really?'"


def test_a_notebook_shows_fields_with_their_evidence_and_every_reading_of_a_contradiction() -> None:
    html = Result(status="review", fields={"colour": CLASH, "maker": UNSAID})._repr_html_()
    page = Page(html)
    assert page.tags.count("tr") == 4  # the head, the value, what contradicts it, the abstention
    for words in ("purple", "0.67", "x 10% to 50%", "contradicts", "红色", "the text does not say"):
        assert words in page.text
    assert 'style="background:#a8660f">review' in html


@pytest.mark.parametrize("status", ["complete", "partial", "review", "failed", "waiting"])
def test_every_status_has_a_colour_of_its_own(status: str) -> None:
    html = Result.model_validate({"status": status})._repr_html_()
    assert f">{status}</span>" in html and "#6b7280" not in html.partition("</style>")[2]


def test_whatever_came_in_is_escaped() -> None:
    proof = Evidence(kind="text", text=HOSTILE, start=0, end=5, leaf=HOSTILE)
    field = Field(value=HOSTILE, source="text", evidence=(proof,), note=HOSTILE, doubt=HOSTILE)
    error = ErrorRecord(stage=HOSTILE, type="E", message=HOSTILE)
    call = CallRecord(node=HOSTILE, model=HOSTILE, instruction=HOSTILE)
    result = Result(
        status="partial",
        answer=HOSTILE,
        fields={HOSTILE: field, "none": Field(note=HOSTILE)},
        errors=(error,),
        notes=(HOSTILE,),
        calls=(call,),
        questions=(Question(value=HOSTILE),),
    )
    page = Page(result._repr_html_())
    assert "script" not in page.tags
    assert page.text.count("alert") >= 12


@pytest.mark.parametrize(
    ("cost", "text"), [("0", "$0"), ("0.0000018", "$0.000002"), ("0.25", "$0.25"), ("12", "$12.00")]
)
def test_a_cost_has_the_places_it_needs(cost: str, text: str) -> None:
    assert dollars(Decimal(cost)) == text


def test_the_words_that_were_read_on_a_photo_are_shown_behind_their_place() -> None:
    field = Field(value="1 L", source="photo", confidence=0.9, evidence=(PRINTED,))
    page = Page(Result(status="complete", fields={"quantity": field})._repr_html_())
    assert "y 20% to 90% :  净含量 1 L" in page.text
