"""What a product text may not claim is found, with the reason, and goes to a person."""

from __future__ import annotations

import pytest

from orchestra.combine.claims import Claims, claims_of

LISTS = (
    Claims(("cures", "cure", "治疗"), "only medicines may"),
    Claims(("国家级", "全网第一"), "a superlative", is_reviewed=False),
)


def test_a_claim_is_found_with_its_place_and_reason() -> None:
    text = "100% cures acne. 治疗"
    found = claims_of(text, LISTS)
    assert found is not None
    assert found.value == ["cures", "治疗"]
    assert found.doubt == "'cures': only medicines may; '治疗': only medicines may"
    assert [text[proof.start : proof.end] for proof in found.evidence] == found.value


def test_a_claim_that_needs_no_person_is_only_noted() -> None:
    found = claims_of("全网第一，国家级品质", LISTS)
    assert found is not None and found.doubt is None
    assert "a superlative" in (found.note or "")


@pytest.mark.parametrize("text", ["It does not cure acne", "A secure box", "apples", ""])
def test_what_is_denied_or_part_of_a_word_is_no_claim(text: str) -> None:
    assert claims_of(text, LISTS) is None
