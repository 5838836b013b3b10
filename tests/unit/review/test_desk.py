"""The desk: what is decided stands in the book, and in what is shown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestra.batch.folder import Folder
from orchestra.book.decisions import NewDecision
from orchestra.core.errors import InvalidDecision
from orchestra.core.job import Result
from orchestra.review.bulk import Deed, decide_all, preview
from orchestra.review.card import Item
from orchestra.review.desk import Desk
from orchestra.review.findings import KINDS
from orchestra.review.history import entries, latest
from orchestra.review.index import Choice
from tests.review_books import make_batch, run_again

ROWS = 48
FIRST = "SKU-000001"  # photo and text disagree on its colour
SECOND = "SKU-000002"  # nothing is the matter with it
FAILED = "SKU-000010"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_batch(tmp_path, ROWS, photos=2, side_px=64)


@pytest.fixture
def desk(out: Path) -> Iterator[Desk]:
    desk = Desk.open(out, "ana")
    yield desk
    desk.close()


def item(desk: Desk, row_id: str, name: str) -> Item:
    return next(one for one in desk.items([row_id], 100) if one.name == name)


def decided(desk: Desk) -> list[tuple[str, str | None, str, object]]:
    return [(one.row_id, one.field, one.action, one.value) for one in desk.folder.book.decisions()]


def test_a_decision_is_in_the_book_with_who_and_why_and_the_field_is_no_longer_open(
    desk: Desk,
) -> None:
    desk.decide(FIRST, "colour", "edit", "crimson", "seen on the photo")
    (made,) = desk.folder.book.decisions()
    assert (made.by, made.why, made.value) == ("ana", "seen on the photo", "red")
    shown = item(desk, FIRST, "colour")
    assert (shown.state, shown.value, shown.source) == ("edited", "red", "person")
    assert desk.index.progress()["left"] == desk.index.progress()["flagged"] - 1


def test_an_empty_edit_says_that_there_is_none(desk: Desk) -> None:
    desk.decide(FIRST, "brand", "edit", "  ")
    assert decided(desk) == [(FIRST, "brand", "edit", None)]
    assert item(desk, FIRST, "brand").value == ""


@pytest.mark.parametrize(
    ("action", "state"), [("approve", "approved"), ("reject", "rejected"), ("skip", "skipped")]
)
def test_each_action_has_its_state_and_undo_opens_the_field_again(
    desk: Desk, action: str, state: str
) -> None:
    (made,) = desk.decide(FIRST, "colour", action)  # type: ignore[arg-type]
    assert item(desk, FIRST, "colour").state == state
    desk.undo([made.id])
    assert item(desk, FIRST, "colour").state == "open"
    assert len(decided(desk)) == 2  # nothing is deleted


def test_what_is_not_there_cannot_be_decided_of(desk: Desk) -> None:
    with pytest.raises(InvalidDecision, match="no field 'smell'"):
        desk.decide(FIRST, "smell", "approve")
    with pytest.raises(InvalidDecision, match="'nobody'"):
        desk.decide("nobody", "colour", "approve")
    assert decided(desk) == []


def test_a_product_is_decided_of_as_a_whole(desk: Desk) -> None:
    (made,) = desk.decide_row(FIRST, "approve")
    assert made.field is None
    assert {one.state for one in desk.items([FIRST], 100)} == {"approved"}
    desk.decide(FAILED, "", "reject")
    assert {one.state for one in desk.items([FAILED], 100)} == {"rejected"}


def test_a_title_that_still_says_what_was_edited_is_raised_and_clears_with_the_undo(
    desk: Desk,
) -> None:
    title = item(desk, SECOND, "title")
    assert (title.kind, title.state) == ("fine", "open")
    assert item(desk, SECOND, "colour").value in title.value
    (made,) = desk.decide(SECOND, "colour", "edit", "blue")
    title = item(desk, SECOND, "title")
    assert (title.kind, title.state) == ("stale", "open")
    assert "changed in 'colour'" in title.note
    desk.undo([made.id])
    assert item(desk, SECOND, "title").kind == "fine"


def test_a_row_with_the_id_of_another_is_left_out_and_told(desk: Desk) -> None:
    assert desk.doubles == (ROWS,)
    assert len(desk.index.rows) == ROWS - 1
    desk.decide_row(FIRST, "reject")
    assert [one.row_id for one in desk.index.rows].count(FIRST) == 1


def test_another_process_decides_and_the_desk_sees_it(desk: Desk, out: Path) -> None:
    with Folder.read(out).book as book:
        book.decide([NewDecision(FIRST, "approve", field="colour")], by="ben")
    desk.refresh()
    shown = item(desk, FIRST, "colour")
    assert shown.state == "approved"
    assert shown.decision is not None
    assert shown.decision.by == "ben"


def test_an_approved_value_whose_source_has_changed_is_open_again_with_both_readings(
    desk: Desk, out: Path
) -> None:
    desk.decide(FIRST, "origin", "approve")

    def elsewhere(result: Result) -> Result:
        origin = result.fields["origin"].model_copy(update={"value": "Chile"})
        return result.model_copy(update={"fields": {**result.fields, "origin": origin}})

    run_again(out, 1, elsewhere)
    desk.refresh()
    shown = item(desk, FIRST, "origin")
    assert (shown.state, shown.kind) == ("open", "conflict")
    assert {one.value for one in shown.readings} >= {"Chile"}
    assert shown.value != "Chile"


CONFLICTS = Choice(kind="conflict")


def bulk(desk: Desk, choice: Choice, deed: Deed, value: str = "", group: str = "g") -> int:
    expected = preview(desk, choice, deed, value).fields
    made = decide_all(desk, choice, deed, value, "all alike", group, expected)
    assert made is not None
    return made


def test_a_preview_writes_nothing_and_says_what_will_change(desk: Desk) -> None:
    found = preview(desk, CONFLICTS, "photo")
    assert (found.fields, found.rows, found.decided, found.without) == (4, 4, 0, 0)
    assert all(change.state == "edited" and change.now != change.then for change in found.sample)
    assert decided(desk) == []


def test_a_bulk_action_is_one_group_written_once_and_passes_over_what_is_decided(
    desk: Desk,
) -> None:
    desk.decide(FIRST, "colour", "reject")
    all_conflicts = Choice(kind="conflict", state="all")
    assert preview(desk, all_conflicts, "approve").decided == 1
    assert bulk(desk, all_conflicts, "approve") == 3
    assert item(desk, FIRST, "colour").state == "rejected"
    again = decide_all(desk, all_conflicts, "approve", "", "", "g", 3)
    assert again == 3
    assert len(decided(desk)) == 4


def test_a_bulk_action_of_another_queue_than_the_preview_is_not_done(desk: Desk) -> None:
    desk.decide(FIRST, "colour", "approve")
    assert decide_all(desk, CONFLICTS, "approve", "", "", "g", 4) is None
    assert len(decided(desk)) == 1


def test_taking_a_side_edits_where_the_other_stands_and_approves_where_it_stands(
    desk: Desk,
) -> None:
    assert bulk(desk, CONFLICTS, "text", group="t") == 4
    assert {action for _, _, action, _ in decided(desk)} == {"approve"}
    desk.undo([one.id for one in desk.folder.book.group("t")])
    assert bulk(desk, CONFLICTS, "photo", group="p") == 4
    last = decided(desk)[-4:]
    assert {action for _, _, action, _ in last} == {"edit"}
    assert None not in {value for *_, value in last}


def test_one_value_for_all_goes_by_the_recipes_name_and_needs_one_field(desk: Desk) -> None:
    assert bulk(desk, Choice(kind="conflict", field="colour"), "edit", "Crimson") == 4
    assert {value for *_, value in decided(desk)} == {"red"}
    with pytest.raises(InvalidDecision, match="Choose one field"):
        preview(desk, CONFLICTS, "edit", "red")


def test_products_are_approved_whole(desk: Desk) -> None:
    assert bulk(desk, CONFLICTS, "products") == 4
    assert {name for _, name, _, _ in decided(desk)} == {None}
    assert desk.standing.row(FIRST) is not None


def test_history_tells_groups_as_one_and_what_was_taken_back(desk: Desk) -> None:
    (one,) = desk.decide(FIRST, "brand", "approve")
    bulk(desk, CONFLICTS, "approve")
    last = latest(desk.folder.book)
    assert last is not None
    assert (last.size, last.group) == (4, "g")
    desk.undo_span(last)
    told = entries(desk.folder.book)
    assert [entry.count for entry in told] == [4, 4, 1]
    assert [entry.standing for entry in told] == [4, 0, 1]
    last = latest(desk.folder.book)
    assert last is not None
    assert (last.first, last.last) == (one.id, one.id)
    assert [entry.count for entry in entries(desk.folder.book, told[1].oldest)] == [1]


def stands(desk: Desk) -> list[tuple[str, str, str, str]]:
    """Every field of the index with its state, and why it is for review."""
    index = desk.index
    kinds = index.columns["kind"]
    return [(*index.key(at), index.state(at), KINDS[kinds[at]]) for at in range(len(index))]


CHOICES = (
    Choice(kind="all", field="brand"),
    Choice(kind="all", field="colour"),
    Choice(kind="error"),
    Choice(kind="all", status="failed"),
    CONFLICTS,
    Choice(kind="all", state="skipped"),
)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_decided_of_many_at_once_stands_as_if_it_was_decided_one_by_one(
    desk: Desk, out: Path, seed: int
) -> None:
    draw = random.Random(seed)
    desk.standing.at_once = 0  # as of many thousand decisions
    deeds: tuple[Deed, ...] = ("approve", "skip", "products", "approve", "reject", "photo")
    for step in range(14):
        kind = draw.choice(("bulk", "bulk", "undo", "redo", "one"))
        if kind == "bulk":
            choice, deed = draw.choice(CHOICES), draw.choice(deeds)
            expected = preview(desk, choice, deed).fields
            decide_all(desk, choice, deed, "", "", f"group {step}", expected)
        elif kind == "one":
            row = draw.choice((FIRST, SECOND))
            name = draw.choice(("brand", "colour"))
            desk.decide(row, name, draw.choice(("edit", "reject", "approve")), "")
        else:
            book = desk.folder.book
            spans = [span for span in book.spans() if span.is_undo == (kind == "redo")]
            spans = [span for span in spans if not book.undone(span)]
            if spans:
                desk.undo_span(draw.choice(spans[:3]))
        with closing(Desk.open(out, "ben")) as anew:
            assert stands(desk) == stands(anew), f"after step {step}: {kind}"
            assert desk.index.progress() == anew.index.progress()


def test_many_are_not_decided_of_where_rows_ran_since_they_were_read(desk: Desk, out: Path) -> None:
    run_again(out, 1, lambda result: result)
    with pytest.raises(InvalidDecision, match="Open the page again"):
        bulk(desk, CONFLICTS, "approve")
    assert decided(desk) == []


def test_what_another_process_decided_meanwhile_is_noted_too(desk: Desk, out: Path) -> None:
    other = Desk.open(out, "ben")
    other.decide(SECOND, "brand", "reject")
    other.close()
    assert bulk(desk, CONFLICTS, "approve") == 4
    assert item(desk, SECOND, "brand").state == "rejected"
