"""The judge of written listings: what it takes for a fact, and what it lets stand."""

from __future__ import annotations

from benchmarks.parts.copy_check import Claim, claims

GIVEN = (
    "name: Golden Delicious\ndescription_en: Golden Delicious has a white juicy pulp. "
    "It is sweet.\ninformation: Country and volume: Italy, ca 180g"
)
TRUTH = {"category": "Apple", "colour": None, "origin": "Italy", "brand": None}


def judged(text: str, **truth: str) -> list[tuple[str, str, str]]:
    found: list[Claim] = list(claims(text, GIVEN, {**TRUTH, **truth}, ["Golden Delicious"]))
    return [(claim.kind, claim.words, claim.verdict) for claim in found]


def test_each_fact_of_a_sentence_is_one_claim() -> None:
    assert judged("Golden Delicious is a yellow apple from Italy, ca 180g.", colour="yellow") == [
        ("name", "Golden Delicious", "supported"),
        ("quantity", "ca 180g", "supported"),
        ("origin", "Italy", "supported"),
        ("category", "Apple", "supported"),
        ("colour", "yellow", "supported"),
    ]


def test_wrong_facts_have_no_support() -> None:
    verdicts = {kind: verdict for kind, _, verdict in judged("Pears from Spain, 200g, superb.")}
    assert verdicts == dict.fromkeys(("category", "origin", "quantity", "word"), "unsupported")


def test_a_kind_that_the_text_merely_mentions_is_not_what_it_is() -> None:
    given = "Fits well with pear."
    found = list(claims("It is a pear.", given, TRUTH, ["Gala"]))
    assert [(claim.kind, claim.verdict) for claim in found] == [("category", "unsupported")]


def test_a_colour_that_nobody_knows_is_not_judged() -> None:
    assert judged("Red.") == [("colour", "red", "unknown")]
    assert judged("Red.", colour="green") == [("colour", "red", "unsupported")]
    assert judged("White pulp.") == [
        ("colour", "white", "supported"),
        ("word", "pulp", "supported"),
    ]


def test_orange_is_a_colour_of_what_is_no_orange() -> None:
    assert judged("Colour: orange", colour="orange") == [("colour", "orange", "supported")]
    assert judged("It is an orange.", category="Orange") == [("category", "Orange", "supported")]
    assert ("colour", "orange", "unsupported") in judged("It is an orange.", colour="red")


def test_a_sentence_of_the_text_is_a_quote() -> None:
    assert judged("Golden Delicious has a white juicy pulp.")[0][0] == "quote"


def test_chinese_is_judged_by_the_same_truth() -> None:
    assert judged("这是苹果，产自意大利。颜色：红色", colour="yellow") == [
        ("origin", "Italy", "supported"),
        ("category", "Apple", "supported"),
        ("colour", "red", "unsupported"),
    ]
    assert ("word", "免费", "unsupported") in judged("免费苹果")
    assert judged("燕麦酸奶", category="Oatghurt") == [("category", "Oatghurt", "supported")]
