"""The value of a leaf among spans with probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from workers.decoding.shape import ValueShape
from workers.extraction.reader import Found
from workers.understanding.amounts import amount
from workers.understanding.picked import pick, picks
from workers.understanding.rows import grouped

TEXT = "Acme Green Tea, 1.5 kg, red tin or blue tin"
SPAN = ValueShape("span", least=0, most=80)


def found(*spans: tuple[str, float], absent: float = 0.0) -> Found:
    places = [(TEXT.index(words), TEXT.index(words) + len(words)) for words, _ in spans]
    shares = np.array([share for _, share in spans], np.float32)
    return Found(np.array(places).reshape(-1, 2), shares, absent)


def test_the_likeliest_span_is_the_value_with_its_place() -> None:
    one = pick(TEXT, found(("Acme", 0.7), ("Tea", 0.2), absent=0.1), SPAN, "brand", 0.5)
    assert (one.value, one.span) == ("Acme", (0, 4))
    assert one.probability == pytest.approx(0.7)


def test_a_value_that_is_not_likely_enough_is_not_stated() -> None:
    one = pick(TEXT, found(("Acme", 0.3), absent=0.6), SPAN, "age", 0.5)
    assert one.value is None
    assert one.probability == pytest.approx(0.7)


def test_what_a_text_states_twice_shares_its_probability() -> None:
    text = "Acme tin, tea, red tin"
    places = np.array([(0, 4), (5, 8), (19, 22)])
    read = Found(places, np.array([0.4, 0.3, 0.25], np.float32), 0.05)
    one = pick(text, read, SPAN, "container", 0.5)
    assert (one.value, one.span) == ("tin", (5, 8))
    assert one.probability == pytest.approx(0.55)
    listed = picks(text, read, SPAN, "containers", 0.3)
    assert [one.value for one in listed] == ["Acme", "tin"]


def test_an_empty_text_states_nothing() -> None:
    nothing = Found(np.zeros((0, 2), np.int64), np.zeros(0, np.float32), 1.0)
    assert pick("", nothing, SPAN, "age", 0.5).value is None


def test_a_choice_is_one_of_its_words_in_the_text() -> None:
    shape = ValueShape("enum", values=("red", "blue", None))
    one = pick(TEXT, found(("blue", 0.5), ("red", 0.1), ("Acme", 0.3), absent=0.1), shape, "", 0.5)
    assert (one.value, TEXT[slice(*one.span or (0, 0))]) == ("blue", "blue")
    assert one.probability == pytest.approx(0.5 / 0.7, abs=1e-3)


def test_a_choice_without_words_in_the_text_is_not_stated() -> None:
    shape = ValueShape("enum", values=("black", "white"))
    assert pick(TEXT, found(("red", 0.9)), shape, "", 0.5).value is None


def test_a_number_is_read_in_the_unit_that_is_asked_for() -> None:
    shape = ValueShape("number")
    one = pick(TEXT, found(("1.5 kg", 0.8)), shape, "weight g", 0.5)
    assert one.value == pytest.approx(1500)
    assert TEXT[slice(*one.span or (0, 0))] == "1.5 kg"


def test_a_number_out_of_bounds_is_not_taken() -> None:
    shape = ValueShape("number", most=1.0)
    assert pick(TEXT, found(("1.5 kg", 0.8)), shape, "weight", 0.5).value is None


@pytest.mark.parametrize(
    ("words", "asked", "value"),
    [
        ("Pack of 12", "pack size", 12),
        ("1,000 ct", "count", 1000),
        ("2 lb", "weight in oz", 32),
        ("12 fl oz", "volume ml", 354.882355),
        ("5 bags", "weight g", 5),
        ("1/2 lb", "weight in grams", 226.796),
        ("1 1/4 in", "length cm", 3.175),
        ("3/2 mm", "thickness", 3),
        ("24 Bag, 0.02 Pound", "weight_g", 9.0718),
        ("16oz/453g", "net weight g", 453),
        ("12 x 330 ml", "volume ml", 330),
        ("no number", "count", None),
    ],
)
def test_amounts(words: str, asked: str, value: float | None) -> None:
    read = amount(words, asked, whole=False)
    assert (read and read[0]) == (None if value is None else pytest.approx(value, rel=1e-4))


def test_the_place_of_an_amount_is_that_of_the_number_that_was_taken() -> None:
    assert amount("24 Bag, 0.02 Pound", "weight_lb", whole=False) == (0.02, 8)


def test_a_fraction_is_no_whole_number() -> None:
    assert amount("1.5 kg", "weight", whole=True) is None


def test_values_of_a_list_do_not_overlap_and_come_in_the_text_s_order() -> None:
    kept = picks(
        TEXT, found(("blue tin", 0.4), ("blue", 0.2), ("red tin", 0.3), absent=0.1), SPAN, "", 0.5
    )
    assert [one.value for one in kept] == ["red tin", "blue tin"]


def test_values_that_stand_together_are_one_item() -> None:
    colours = picks(TEXT, found(("red", 0.5), ("blue", 0.5)), SPAN, "", 0.5)
    kinds = picks(TEXT, found(("blue tin", 0.5)), SPAN, "", 0.5)
    rows = grouped({"c": colours, "k": kinds}, TEXT)
    assert [{k: v.value for k, v in row.items()} for row in rows] == [
        {"c": "red"},
        {"c": "blue", "k": "blue tin"},
    ]
