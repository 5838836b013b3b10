"""What people decided of rows: kept for ever, taken back by others, written beside a batch."""

import sqlite3

import pytest

from orchestra.book.book import Book
from orchestra.book.decisions import NewDecision, live
from orchestra.book.messages import FinishRow
from orchestra.core.errors import InvalidDecision


def finish(book: Book, *names: str) -> None:
    for ordinal, row_id in enumerate(names, 1):
        record = f'{{"status":"review","n":{ordinal}}}'
        end = FinishRow(f"k{row_id}", ordinal, row_id, "review", record, names=("colour", "size"))
        book.do(end)


@pytest.fixture
def book():
    with Book.open(None) as opened:
        finish(opened, "A", "B", "C")
        yield opened


def edit(row_id: str, value: object, field: str = "colour") -> NewDecision:
    return NewDecision(row_id, "edit", field=field, value=value)


def standing(book: Book, up_to: int | None = None) -> list[tuple[str, object]]:
    found = live(list(book.decisions(up_to=up_to)))
    return [(one.row_id, one.value) for one in found if one.undoes is None]


def test_a_decision_is_kept_with_who_when_and_why_and_numbers_the_state(book):
    assert book.state == 0
    first, second = book.decide(
        [edit("A", "red"), NewDecision("B", "approve", why="seen in the shop")],
        by="ana",
        why="supplier's sheet",
    )
    assert (first.id, second.id, book.state) == (1, 2, 2)
    assert (first.by, first.why, second.why) == ("ana", "supplier's sheet", "seen in the shop")
    assert first.at.endswith("+00:00")
    assert list(book.decisions()) == [first, second]
    assert list(book.decisions(row_id="B")) == [second]
    assert list(book.decisions(1)) == [second]


@pytest.mark.parametrize("value", [None, "红色", ["a", "b"], {"kg": 1.5}, 3, True])
def test_an_edit_keeps_any_json(book, value):
    book.decide([edit("A", value)], by="ana")
    assert next(book.decisions()).value == value


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (NewDecision("Z", "approve"), "No row 'Z' of this batch has a result"),
        (edit("A", "red", "color"), "Did you mean 'colour'"),
        (NewDecision("A", "edit", value="red"), "names no field"),
        (NewDecision("A", "reject", field="size", value="red"), "takes no value"),
    ],
)
def test_one_wrong_decision_keeps_the_others_out(book, wrong, told):
    with pytest.raises(InvalidDecision, match=told):
        book.decide([edit("A", "red"), wrong], by="ana")
    assert list(book.decisions()) == []
    with pytest.raises(InvalidDecision, match="--by"):
        book.decide([edit("A", "red")], by=" ")


def test_a_group_that_comes_twice_is_written_once(book):
    sent = [edit("A", "red"), edit("B", "blue")]
    first = book.decide(sent, by="ana", group="g1")
    assert book.decide(sent, by="ana", group="g1") == first
    back = book.undo([one.id for one in first], by="ana", group="g2")
    assert book.undo([one.id for one in first], by="ana", group="g2") == back
    assert book.state == 4


def test_taking_back_appends_and_can_be_taken_back(book):
    (first,) = book.decide([edit("A", "red")], by="ana")
    (back,) = book.undo([first.id], by="bo", why="wrong row")
    assert (back.undoes, back.row_id, back.why) == (1, "A", "wrong row")
    assert standing(book) == []
    assert book.undo([first.id], by="bo") == ()
    book.undo([back.id], by="ana")
    assert standing(book) == [("A", "red")]
    with pytest.raises(InvalidDecision, match="no decision 9"):
        book.undo([9], by="ana")


def test_rolling_back_brings_any_earlier_state_back_and_stays_in_the_record(book):
    (red,) = book.decide([edit("A", "red")], by="ana")
    (blue,) = book.decide([edit("B", "blue")], by="ana")
    (gone,) = book.undo([red.id], by="ana")
    book.undo([gone.id], by="ana")
    book.decide([edit("C", "green"), edit("A", "pink")], by="ana")
    book.undo([blue.id], by="ana")
    was = {state: standing(book, state) for state in range(book.state + 1)}
    assert was[7] == [("A", "red"), ("C", "green"), ("A", "pink")]
    for state in [3, 7, 0, 4, 2, 6, 1, 5]:
        before = book.state
        book.roll_back(state, by="bo")
        assert sorted(standing(book)) == sorted(was[state]), state
        assert standing(book, before) is not None
        assert book.state >= before
    with pytest.raises(InvalidDecision, match="no state 99"):
        book.roll_back(99, by="bo")


def test_decisions_are_written_beside_a_running_batch_and_whoever_takes_the_book_over(tmp_path):
    path = tmp_path / "book.sqlite"
    batch = Book.open(path)
    finish(batch, "A")
    page = Book.open(path, exclusive=False)
    page.decide([edit("A", "red")], by="ana")
    batch.close()
    with Book.open(path) as again:
        page.decide([edit("A", "blue")], by="ana")
        assert [one.value for one in again.decisions()] == ["red", "blue"]
    page.close()


def test_the_file_refuses_to_change_or_lose_a_decision(tmp_path):
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        finish(book, "A")
        book.decide([edit("A", "red")], by="ana")
    database = sqlite3.connect(path)
    for statement in ("DELETE FROM decisions", "UPDATE decisions SET by = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            database.execute(statement)
    database.close()


def test_what_a_person_saw_stays_known_when_the_row_is_run_again(book):
    def again(row_id: str, record: str) -> None:
        ordinal = "ABC".index(row_id) + 1
        book.do(FinishRow(f"k{row_id}", ordinal, row_id, "complete", record, again=True))

    (seen,) = book.decide([NewDecision("A", "approve")], by="ana")
    again("A", '{"n":10}')
    again("B", '{"n":20}')
    assert book.row_by_id("A").version != seen.version
    assert book.records_decided_of() == {seen.version: ('{"status":"review","n":1}', "")}
