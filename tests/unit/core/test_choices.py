"""A choice is found whatever its case, width, hyphens, spaces or number, and never guessed."""

from __future__ import annotations

import pytest

from orchestra.core.answers.choices import Choices

FRUIT = Choices(["Apple", "Passion Fruit", "Carrots", "t-shirt", "shirt", "dress", "Mango"])


@pytest.mark.parametrize(
    ("written", "choice"),
    [
        ("Apple", "Apple"),
        ("apple", "Apple"),
        ("  APPLE\n", "Apple"),
        ("Ａｐｐｌｅ", "Apple"),
        ("apples", "Apple"),
        ("passion-fruit", "Passion Fruit"),
        ("passion_fruits", "Passion Fruit"),
        ("PassionFruit", "Passion Fruit"),
        ("carrot", "Carrots"),
        ("T‑Shirt", "t-shirt"),
        ("tshirts", "t-shirt"),
        ("Shirts", "shirt"),
        ("dresses", "dress"),
        ("mangoes", "Mango"),
    ],
)
def test_a_choice_is_found_in_the_spelling_it_is_listed_in(written: str, choice: str) -> None:
    assert FRUIT.find(written) == choice


@pytest.mark.parametrize("written", ["", "pear", "app", "Apple pie", "ss", "pass"])
def test_what_is_no_choice_finds_none(written: str) -> None:
    assert FRUIT.find(written) is None


def test_the_nearer_form_goes_first_and_a_shared_one_finds_neither() -> None:
    assert Choices(["US", "us"]).find("US") == "US"
    assert Choices(["US", "us"]).find("Us") is None
    assert Choices(["short", "shorts"]).find("Shorts") == "shorts"


def test_signs_and_ranges_stay_numbers() -> None:
    sizes = Choices(["-1", "1", "1-2", "12", "3-pack"])
    assert [sizes.find(word) for word in ("1", "-1", "12", "1-2", "3 pack", "21")] == [
        "1",
        "-1",
        "12",
        "1-2",
        "3-pack",
        None,
    ]


def test_other_words_for_a_choice_find_it() -> None:
    colours = Choices(["grey", "red"], {"gray": "grey", "红色": "red"})
    assert (colours.find("GRAY"), colours.find("红色")) == ("grey", "red")
