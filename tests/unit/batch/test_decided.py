"""What people decided stands over what the models said, and keeps to what they saw."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra.batch.decided import Standing
from orchestra.book.book import Book
from orchestra.book.decisions import NewDecision
from orchestra.book.messages import FinishRow
from orchestra.book.tables import Seat
from orchestra.core.errors import DuplicateId
from orchestra.core.job import ErrorRecord, Field, Result

TEXT = Field(value="green", source="text", confidence=0.9, model="reader", prompt_hash="p1")
PHOTO = Field(value="red", source="photo", confidence=0.6, model="looker", prompt_hash="p2")
CLASH = TEXT.model_copy(update={"contradiction": True, "alternatives": (PHOTO,)})
DOUBT = Field(value="cotton", source="text", confidence=0.3, model="reader", doubt="unsure")
TITLE = Field(value="Green cotton shirt", source="derived", model="writer")


@pytest.fixture
def book():
    with Book.open(None) as opened:
        yield opened


def run(
    book: Book, fields: dict[str, Field], source: str = "t.p", status: str = "review", **rest: Any
) -> None:
    """Record row A, again where it has a record."""
    errors = tuple(rest.pop("errors", ()))
    result = Result(status=status, fields=fields, errors=errors)  # type: ignore[arg-type]
    end = FinishRow(
        "kA",
        1,
        "A",
        status,
        result.model_dump_json(),
        names=tuple(fields),
        again=True,
        source=source,
    )
    book.do(end)


def say(book: Book, *decisions: NewDecision, by: str = "ana", why: str = "") -> None:
    book.decide(decisions, by=by, why=why)


def edit(field: str, value: Any) -> NewDecision:
    return NewDecision("A", "edit", field=field, value=value)


def approve(field: str | None = None) -> NewDecision:
    return NewDecision("A", "approve", field=field)


def reject(field: str | None = None) -> NewDecision:
    return NewDecision("A", "reject", field=field)


def now(book: Book, up_to: int | None = None) -> Result:
    row = book.row_by_id("A")
    assert row is not None
    return Standing.of(book, up_to).applied(row, Result.model_validate_json(row.record_json))


def test_an_edit_is_the_persons_value_with_who_and_why_and_keeps_the_models_reading(book):
    run(book, {"colour": CLASH})
    say(book, edit("colour", "blue"), why="seen in the shop")
    colour = now(book).fields["colour"]
    assert (colour.value, colour.source, colour.model) == ("blue", "person", None)
    assert colour.decided is not None
    assert (colour.decided.by, colour.decided.why, colour.decided.state) == (
        "ana", "seen in the shop", 1,
    )  # fmt: skip
    assert [one.value for one in colour.alternatives] == ["green", "red"]
    assert not colour.contradiction
    assert now(book, up_to=0).fields["colour"] == CLASH


def test_a_row_is_complete_once_every_reason_for_review_is_decided(book):
    run(book, {"colour": CLASH, "material": DOUBT, "size": Field(value="M", source="text")})
    say(book, approve("colour"))
    assert now(book).status == "review"
    say(book, reject("material"), why="not stated")
    result = now(book)
    assert result.status == "complete"
    assert result.fields["colour"].model == "reader"
    material = result.fields["material"]
    assert (material.value, material.source) == (None, "none")
    assert material.note == "rejected by ana: not stated"
    assert result.fields["size"].decided is None


@pytest.mark.parametrize("status", ["review", "partial", "complete"])
def test_approving_a_row_locks_all_of_it(book, status):
    errors = [ErrorRecord(stage="photo", type="ImageNotFound", message="gone")]
    run(book, {"colour": CLASH}, status=status, errors=errors if status == "partial" else [])
    say(book, approve())
    assert now(book).status == "complete"
    assert now(book).fields["colour"].decided is not None


def test_a_rejected_row_is_empty_and_comes_back_with_its_edits_when_it_is_approved(book):
    run(book, {"colour": CLASH, "size": Field(value="M", source="text")})
    say(book, edit("colour", "blue"), reject())
    row = book.row_by_id("A")
    standing = Standing.of(book)
    assert standing.row("A").is_rejected  # type: ignore[union-attr]
    result = now(book)
    assert result.status == "failed"
    assert [one.value for one in result.fields.values()] == [None, None]
    say(book, approve())
    assert {name: one.value for name, one in now(book).fields.items()} == {
        "colour": "blue", "size": "M",
    }  # fmt: skip
    assert row is not None


def test_skipping_changes_no_value_and_is_told(book):
    run(book, {"colour": CLASH})
    say(book, NewDecision("A", "skip"))
    assert now(book).fields == {"colour": CLASH}
    assert now(book).status == "review"
    standing = Standing.of(book).row("A")
    assert standing is not None and standing.skipped is not None
    assert not standing.is_decided("colour")


def test_an_approved_value_stays_when_the_row_is_run_again_on_the_same_source(book):
    run(book, {"colour": TEXT})
    say(book, approve("colour"))
    run(book, {"colour": PHOTO})
    colour = now(book).fields["colour"]
    assert (colour.value, colour.doubt, colour.contradiction) == ("green", None, False)
    assert [one.value for one in colour.alternatives] == ["red"]


@pytest.mark.parametrize("decision", [approve("colour"), approve(), edit("colour", "green")])
def test_a_value_whose_text_changed_is_kept_and_flagged_with_both_values(book, decision):
    run(book, {"colour": TEXT}, "t1.p1")
    say(book, decision)
    run(book, {"colour": TEXT.model_copy(update={"value": "navy"})}, "t2.p1")
    result = now(book)
    colour = result.fields["colour"]
    assert (colour.value, result.status, colour.contradiction) == ("green", "review", True)
    assert colour.alternatives[0].value == "navy"
    assert colour.doubt is not None and "has changed since ana" in colour.doubt
    assert "'navy'" in colour.doubt
    say(book, approve("colour"), by="bo")
    assert (now(book).fields["colour"].value, now(book).status) == ("green", "complete")


def test_a_new_reading_that_agrees_or_another_part_of_the_source_flags_nothing(book):
    run(book, {"colour": TEXT, "size": PHOTO}, "t1.p1")
    say(book, approve())
    run(book, {"colour": TEXT, "size": PHOTO}, "t2.p2")
    assert now(book).status == "complete"
    run(book, {"colour": TEXT.model_copy(update={"value": "navy"}), "size": PHOTO}, "t1.p2")
    result = now(book)
    assert (result.fields["colour"].value, result.status) == ("green", "complete")


def test_a_field_that_was_empty_at_the_approval_is_for_review_once_it_is_answered(book):
    run(book, {"colour": TEXT, "size": Field(note="not said")})
    say(book, approve())
    run(book, {"colour": TEXT, "size": Field(value="M", source="text")})
    size = now(book).fields["size"]
    assert (size.value, size.doubt) == ("M", "it was empty when ana approved the row")
    assert now(book).status == "review"
    say(book, approve("size"))
    assert now(book).status == "complete"


def test_copy_that_says_what_a_person_changed_is_for_review(book):
    run(book, {"colour": TEXT, "title": TITLE, "bullets": Field(value=["x"], source="derived")})
    say(book, edit("colour", "blue"))
    result = now(book)
    assert result.status == "review"
    assert result.fields["title"].doubt == ("it says 'green' still, which ana changed in 'colour'")
    assert result.fields["bullets"].doubt is None
    say(book, edit("title", "Blue cotton shirt"))
    assert now(book).status == "complete"


def test_an_edit_to_nothing_empties_the_field(book):
    run(book, {"colour": TEXT})
    say(book, edit("colour", None))
    colour = now(book).fields["colour"]
    assert (colour.value, colour.answered, colour.note) == (
        None,
        False,
        "ana says that it has none",
    )


def test_decisions_of_an_id_are_not_of_the_second_row_that_has_it(book):
    run(book, {"colour": TEXT})
    double = ErrorRecord.of("job", DuplicateId("twice"))
    record = Result(status="failed", errors=(double,)).model_dump_json()
    book.do(FinishRow("kA2", 2, "A", "failed", record))
    say(book, edit("colour", "blue"))
    _, second = book.rows()
    found = Result.model_validate_json(second.record_json)
    assert Standing.of(book).applied(second, found) == found


def test_what_stands_follows_what_is_taken_back_and_what_comes_later(book):
    run(book, {"colour": TEXT})
    standing = Standing.of(book)
    assert len(standing) == 0
    (kept,) = book.decide([edit("colour", "blue")], by="ana")
    standing = standing.renewed(book)
    assert standing.row("A").fields["colour"].value == "blue"  # type: ignore[union-attr]
    book.undo([kept.id], by="ana")
    assert standing.renewed(book).row("A") is None
    assert now(book).fields["colour"] == TEXT


def test_what_stands_is_renewed_where_a_table_brings_an_earlier_record_back(book):
    def take(source: str) -> None:
        book.seat("t.csv", [Seat(1, "kA", "A", source, True)], by_id=True)

    run(book, {"colour": TEXT}, "t.p1")
    take("t.p2")
    run(book, {"colour": PHOTO}, "t.p2")
    say(book, approve("colour"))
    standing = Standing.of(book)
    take("t.p1")
    row = book.row_by_id("A")
    found = standing.renewed(book).applied(row, Result.model_validate_json(row.record_json))
    assert (found.fields["colour"].value, found.status) == ("red", "review")
