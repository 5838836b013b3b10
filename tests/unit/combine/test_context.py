"""A value is taken from where it is meant: not where it is denied, or said of something else."""

from __future__ import annotations

import pytest

from orchestra.combine.context import head_of, in_context, stated_origin
from orchestra.combine.own import own_value, with_own
from orchestra.core.job import Evidence, Field

KINDS = (("royal gala", "Royal Gala"), ("lemon", "Lemon"), ("apple", "Apple"), ("lime", "Lime"),
         ("苹果", "Apple"))  # fmt: skip
PLACES = (("vietnam", "Vietnam"), ("sweden", "Sweden"), ("china", "China"), ("瑞典", "Sweden"),
          ("中国", "China"))  # fmt: skip


def read(text: str, word: str, value: str) -> Field:
    start = text.index(word)
    proof = Evidence(kind="text", text=word, start=start, end=start + len(word))
    return Field(value=value, source="text", confidence=0.9, evidence=(proof,))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("This is not an apple.", "apple"),
        ("A cake without any fresh apple", "apple"),
        ("apple-free snack", "apple"),
        ("It reminds of apple", "apple"),
        ("juicier than an apple", "apple"),
        ("Great served with apple", "apple"),
        ("这不是苹果", "苹果"),
        ("A faux apple for the table", "apple"),
        ("Bowl with an apple-like shine", "apple"),
        ("apple look", "apple"),
        ("仿苹果", "苹果"),
        ("Peeler for apple", "apple"),
        ("A apple-shaped lamp", "apple"),
        ("A lamp in the shape of an apple", "apple"),
        ("适用于苹果", "苹果"),
        ("苹果味", "苹果"),
    ],
)
def test_what_is_denied_or_said_of_something_else_is_no_value(text: str, word: str) -> None:
    found = in_context(read(text, word, "Apple"), text, KINDS)
    assert not found.answered
    assert word in (found.note or "")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Not only an apple, a treat", "apple"),
        ("No sugar added. Fresh apple", "apple"),
        ("Without sugar, apple", "apple"),
        ("A fresh apple, not a lemon", "apple"),
        ("非常好吃的苹果", "苹果"),
        ("Snack for kids apple", "apple"),
    ],
)
def test_a_denial_of_another_clause_or_word_changes_nothing(text: str, word: str) -> None:
    field = read(text, word, "Apple")
    assert in_context(field, text, KINDS) == field


@pytest.mark.parametrize(
    "text",
    [
        "Ships from Sweden, made in Vietnam.",
        "Packed in Sweden, grown in Vietnam.",
        "Made in Vietnam with imported apples from Sweden.",
    ],
)
def test_the_place_is_where_it_is_made_not_where_it_ships_from(text: str) -> None:
    found = in_context(read(text, "Sweden", "Sweden"), text, PLACES, is_origin=True)
    assert found.value == "Vietnam"
    assert [proof.text for proof in found.evidence] == ["Vietnam"]
    assert text[found.evidence[0].start : found.evidence[0].end] == "Vietnam"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Not made in China.", "China"),
        ("Designed in Sweden", "Sweden"),
        ("从中国发货到瑞典", "瑞典"),
    ],
)
def test_a_place_that_is_no_origin_is_none(text: str, word: str) -> None:
    value = dict(PLACES)[word.lower()]
    found = in_context(read(text, word, value), text, PLACES, is_origin=True)
    assert found.value != value


@pytest.mark.parametrize("text", ["Apples from Sweden", "Designed and made in Sweden", "Sweden"])
def test_a_plain_origin_stands(text: str) -> None:
    field = read(text, "Sweden", "Sweden")
    assert in_context(field, text, PLACES, is_origin=True) == field


def test_the_next_place_of_the_same_word_is_taken() -> None:
    text = "Sweeter than a lime. This lime is juicy."
    found = in_context(read(text, "lime", "Lime"), text, KINDS)
    assert (found.value, found.evidence[0].start) == ("Lime", text.rindex("lime"))


def test_labels_of_the_whole_text_and_photos_are_left_alone() -> None:
    label = Field(value="Apple", source="text", evidence=(Evidence(kind="text"),))
    seen = Field(value="Apple", source="photo", evidence=(Evidence(kind="image", image="a"),))
    assert in_context(label, "not an apple", KINDS) is label
    assert in_context(seen, "not an apple", KINDS) is seen


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("name: Orange Lime\ndescription: like an apple", "Lime"),
        ("name: Lime with lemon\ndescription: apple", "Lime"),
        ("name: Fresh from the field\ndescription: an apple, a lemon", "Apple"),
    ],
)
def test_the_name_of_a_product_says_what_it_is(text: str, value: str) -> None:
    own = own_value(text, ("title", "name"))
    assert own is not None
    found = in_context(read(text, "apple", "Apple"), text, KINDS, head=head_of(own))
    assert found.value == value


def test_a_shops_own_column_is_not_replaced_by_a_guess() -> None:
    text = "name: Alpro Blueberry Soyghurt\ninformation: Green"
    fields = {"name": Field(value="Green", source="text"), "brand": Field(value="Alpro")}
    found = with_own(fields, text, {"name": ("title", "name"), "brand": ("brand",)})
    assert found["name"].value == "Alpro Blueberry Soyghurt"
    assert [other.value for other in found["name"].alternatives] == ["Green"]
    assert found["brand"] == fields["brand"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("运动鞋 红色 中国制造 尺码42", "China"),
        ("瑞典产的刀", "Sweden"),
        ("Made in Vietnam, ships from Sweden", "Vietnam"),
        ("不是中国制造", None),
        ("中国产品的好选择", None),
        ("中国制造，瑞典制造", None),
        ("从中国发货", None),
        ("Ships from Sweden", None),
    ],
)
def test_the_place_that_a_text_calls_the_origin_is_found_without_a_model(
    text: str, place: str | None
) -> None:
    found = stated_origin(text, PLACES)
    assert (found and found.value) == place
    if found is not None:
        (proof,) = found.evidence
        assert text[proof.start : proof.end] == proof.text


STUFFS = (("leather", "leather"), ("polyester", "polyester"), ("rubber", "rubber"))


@pytest.mark.parametrize(
    ("text", "word", "is_meant"),
    [
        ("Synthetic leather sofa", "leather", False),
        ("Vegan-leather bag", "leather", False),
        ("Faux leather", "leather", False),
        ("Genuine leather", "leather", True),
        ("100% synthetic polyester", "polyester", True),
        ("A sole of synthetic rubber", "rubber", True),
    ],
)
def test_what_is_made_in_place_of_a_stuff_is_not_that_stuff(
    text: str, word: str, is_meant: bool
) -> None:
    assert in_context(read(text, word, word), text, STUFFS).answered is is_meant
