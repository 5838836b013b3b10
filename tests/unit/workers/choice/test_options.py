from enum import Enum
from typing import Any, Literal

import numpy as np
import pytest

from orchestra.core.errors import InvalidLabels, InvalidSchema
from workers.choice.names import language, said, same
from workers.choice.options import ChoiceOptions
from workers.choice.taxonomy import deepest, steps


@pytest.mark.parametrize(
    "spellings",
    [
        ("Safety Mask", "safety_masks", "SAFETY-MASK", "SafetyMask", " safety  mask "),
        ("Toothbrush", "toothbrushes", "TOOTHBRUSH"),
        ("Berry", "Berries"),
        ("Knife", "knives"),
        ("Ｔea", "tea", "Teas"),
        ("T-shirt", "t shirts", "T_SHIRT"),
    ],
)
def test_spellings_of_one_name_are_the_same(spellings: tuple[str, ...]) -> None:
    assert len({same(name) for name in spellings}) == 1


@pytest.mark.parametrize("pair", [("Shorts", "Short"), ("Glass", "Gla"), ("News", "New")])
def test_other_words_are_not_taken_for_a_plural(pair: tuple[str, str]) -> None:
    assert same(pair[0]) != same(pair[1])


def test_names_are_said_in_their_language() -> None:
    assert said("Mugs", 1) == ("mug",)
    assert said("杯子", 3)[1] == "这个商品是杯子"
    assert language("OPPO 手机壳") == "zh"


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


@pytest.mark.parametrize(
    "names", [["good", "bad"], Mood, Literal["good", "bad"], ["good", "bad", None]]
)
def test_options_are_of_lists_enums_and_literals(names: Any) -> None:
    assert ChoiceOptions.of(names).names == ("good", "bad")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], r"\(\)"),
        (["a", "a"], "'a' stands twice"),
        (["a", 3], "3, which is no name"),
        (["_"], "'_'"),
    ],
)
def test_no_names_or_one_twice_is_an_error(names: Any, told: str) -> None:
    with pytest.raises(InvalidSchema, match=told):
        ChoiceOptions.of(names)


def test_examples_and_descriptions_name_options() -> None:
    options = ChoiceOptions.of(["Mug", "Pan"], {"Mug": "to drink from"}, [("blue cup", "mugs")])
    assert options.examples == (("blue cup", "Mug"),)
    assert options.with_examples([("car", None)]).examples[1] == ("car", None)
    with pytest.raises(InvalidLabels, match=r"'Mog'.*'Mug'"):
        ChoiceOptions.of(["Mug", "Pan"], examples=[("blue cup", "Mog")])
    with pytest.raises(InvalidSchema, match="'Pot'"):
        ChoiceOptions.of(["Mug", "Pan"], {"Pot": "to cook in"})


def test_the_key_knows_no_order() -> None:
    assert (
        ChoiceOptions.of(["a", "b"]).key
        == ChoiceOptions.of(["b", "a"]).key
        != ChoiceOptions.of(["a", "c"]).key
    )


def test_a_path_has_its_steps() -> None:
    assert steps("Home > Kitchen > Mugs") == ("Home", "Kitchen", "Mugs")


def test_the_deepest_likely_category_holds_its_leaves_together() -> None:
    names = ("Home > Kitchen > Mugs", "Home > Kitchen > Pans", "Home > Bath", "Toys")
    assert deepest(names, np.array([0.3, 0.3, 0.1, 0.1]), 0.5) == "Home > Kitchen"
    assert deepest(names, np.array([0.2, 0.2, 0.2, 0.1]), 0.5) == "Home"
    assert deepest(names, np.array([0.1, 0.1, 0.1, 0.6]), 0.5) is None
    assert deepest(("a", "b"), np.array([0.9, 0.1]), 0.5) is None
