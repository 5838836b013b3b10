"""The index of a batch's fields: what a choice means, counts, pages and searches."""

from __future__ import annotations

import pytest

from orchestra.review.findings import Finding
from orchestra.review.index import NONE_GIVEN, Choice, Index, RowOf, as_choice

CONFLICT = Finding("colour", "conflict", "they differ", "red", "text", "green", "photo", 0.9)
UNSURE = Finding("colour", "unsure", "", "blue", "text", confidence=0.2)
FINE = Finding("brand", "fine", "", "Norrsken", "text", confidence=0.99)


@pytest.fixture
def index() -> Index:
    """40 rows: every fourth has a conflict, every fourth is unsure; all have a brand."""
    index = Index()
    for number in range(40):
        found = [FINE]
        if number % 4 == 0:
            found.append(CONFLICT)
        if number % 4 == 1:
            found.append(UNSURE)
        status = "review" if number % 4 == 0 else "complete"
        index.add(RowOf(number + 1, f"S{number}", status, f"text of Lot {number}, 红色"), found)
    index.ready()
    return index


def rows_of(index: Index, choice: Choice, start: int = 0, size: int = 100) -> list[int]:
    return index.page(choice, index.mask(choice), start, size)


def test_the_usual_choice_is_what_needs_a_person_and_is_open(index: Index) -> None:
    assert index.progress() == {"flagged": 20, "left": 20, "rows_left": 20, "decided": 0}
    assert len(index.places(Choice())) == 20
    assert len(index.places(Choice(kind="all"))) == 60


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        (Choice(kind="conflict"), 10),
        (Choice(kind="all", field="brand"), 40),
        (Choice(kind="all", status="review"), 10),
        (Choice(sure="0-50"), 10),
        (Choice(reason="they differ"), 10),
        (Choice(reason=NONE_GIVEN), 10),
        (Choice(value="red | green"), 10),
        (Choice(text="LOT 39"), 0),
        (Choice(kind="all", text="LOT 39"), 1),
        (Choice(kind="all", text="39, 红色"), 1),
        (Choice(kind="all", text="norrsken S1"), 11),
        (Choice(field="no such field"), 0),
    ],
)
def test_each_dimension_narrows(index: Index, choice: Choice, count: int) -> None:
    assert index.row_count(index.places(choice)) == count


def test_rows_come_most_urgent_first_or_in_the_order_of_the_table(index: Index) -> None:
    worst = rows_of(index, Choice())
    assert worst[:10] == list(range(0, 40, 4))  # conflicts before what is unsure
    assert rows_of(index, Choice(order="table")) == sorted(worst)


def test_pages_go_on_where_the_last_one_ended_and_back(index: Index) -> None:
    choice = Choice()
    mask = index.mask(choice)
    first = index.page(choice, mask, 0, 8)
    second = index.page(choice, mask, index.position(choice, first[-1]) + 1, 8)
    assert len({*first, *second}) == 16
    start = index.position(choice, second[0])
    assert index.page(choice, mask, index.before(choice, mask, start, 8), 8) == first


def test_a_page_keeps_its_place_while_what_is_before_it_is_decided(index: Index) -> None:
    choice = Choice()
    second = rows_of(index, choice, size=20)[8:]
    start = index.position(choice, second[0])
    index.set_states(index.places(Choice(kind="conflict")), "approved")
    assert rows_of(index, choice, start) == [row for row in second if row % 4 == 1]


def test_counts_of_a_dimension_hold_the_others(index: Index) -> None:
    assert dict(index.counts(Choice(), "kind")) == {"conflict": 10, "unsure": 10, "fine": 40}
    assert dict(index.counts(Choice(kind="conflict"), "status")) == {"review": 10}
    index.set_states(index.places(Choice(kind="conflict")), "approved")
    assert dict(index.counts(Choice(), "state")) == {"open": 10, "approved": 10}
    assert index.progress() == {"flagged": 20, "left": 10, "rows_left": 10, "decided": 10}


def test_what_a_decision_raises_is_flagged_until_it_is_taken_back(index: Index) -> None:
    place = index.place("S2", "brand")
    assert place is not None
    index.flag(place, Finding("brand", "doubt", "it changed"))
    assert len(index.places(Choice(kind="doubt", reason="it changed"))) == 1
    index.flag(place, None)
    assert len(index.places(Choice(kind="doubt"))) == 0


def test_of_two_rows_with_one_id_the_first_is_meant() -> None:
    index = Index()
    index.add(RowOf(1, "S", "complete", ""), [FINE])
    index.add(RowOf(2, "S", "complete", ""), [FINE])
    index.ready()
    assert index.row("S") == 0
    assert index.place("S", "brand") == 0
    assert index.place("S", "colour") is None
    assert index.place("T", "brand") is None


def test_an_address_says_a_choice_and_what_it_does_not_know_is_left_out() -> None:
    choice = as_choice({"kind": "conflict", "text": "lot", "evil": "x", "field": ""})
    assert choice == Choice(kind="conflict", text="lot")
    assert choice.given() == {"kind": "conflict", "text": "lot"}
