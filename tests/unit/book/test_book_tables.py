"""Finished rows in their places of another table: kept, moved, past, and back again."""

from __future__ import annotations

import pytest

from orchestra.book.book import Book
from orchestra.book.decisions import NewDecision
from orchestra.book.messages import AdmitRows, Candidate, FinishRow, OpenAccount
from orchestra.book.tables import Seat


def rows(*named: str) -> list[tuple[int, str, str]]:
    """`A1`: the row A with the source 1."""
    return [(at, name[:1], name[1:]) for at, name in enumerate(named, 1)]


@pytest.fixture
def book():
    with Book.open(None) as opened:
        opened.begin_table("monday.csv")
        yield opened


def key(ordinal: int, row_id: str) -> str:
    return f"{row_id}@{ordinal}"


def run(book: Book, *named: str) -> list[str]:
    """Run what is not finished of a table; the ids of what was run."""
    ran = []
    for ordinal, row_id, source in rows(*named):
        (owner,) = book.do(AdmitRows([Candidate(key(ordinal, row_id), ordinal, row_id)]))
        if owner is None:
            continue
        ran.append(row_id)
        source = source if owner == ordinal else "double"
        status = "failed" if source == "double" else "complete"
        record = f'{{"read":"{row_id}{source}"}}'
        place = (key(ordinal, row_id), ordinal, row_id)
        book.do(FinishRow(*place, status, record, source=source, names=("colour",)))
    return ran


def take(book: Book, *named: str, by_id: bool = True):
    seats = [
        Seat(at, key(at, row_id), row_id, source, by_id) for at, row_id, source in rows(*named)
    ]
    return book.seat("tuesday.csv", seats, by_id=by_id)


def records(book: Book) -> list[tuple[int, str, str]]:
    return [(row.ordinal, row.row_id, row.record_json) for row in book.rows()]


def test_the_same_rows_in_another_file_are_all_kept(book):
    run(book, "A1", "B1")
    before = records(book)
    state = take(book, "A1", "B1")
    assert (state.rows, state.kept, state.moved, state.changed, state.gone) == (2, 2, 0, 0, 0)
    assert records(book) == before
    assert run(book, "A1", "B1") == []
    assert [table.table for table in book.tables()] == ["monday.csv", "tuesday.csv"]


def test_only_what_changed_is_run_and_rows_keep_their_records_in_new_places(book):
    run(book, "A1", "B1", "C1", "D1")
    versions = {row.row_id: row.version for row in book.rows()}
    state = take(book, "E1", "C1", "B2", "A1")
    assert (state.kept, state.moved, state.changed, state.gone, state.back) == (2, 2, 1, 1, 0)
    assert [(row.ordinal, row.row_id) for row in book.rows()] == [(2, "C"), (4, "A")]
    assert run(book, "E1", "C1", "B2", "A1") == ["E", "B"]
    now = {row.row_id: row.version for row in book.rows()}
    assert (now["A"], now["C"]) == (versions["A"], versions["C"])
    assert now["B"] != versions["B"] and "D" not in now


def test_the_table_of_last_week_again_costs_nothing(book):
    run(book, "A1", "B1", "C1")
    monday = records(book)
    take(book, "B2", "A1")
    run(book, "B2", "A1")
    state = take(book, "A1", "B1", "C1")
    assert (state.kept, state.back, state.changed, state.gone) == (1, 2, 1, 0)
    assert run(book, "A1", "B1", "C1") == []
    assert records(book) == monday


def test_decisions_stay_with_the_rows_id_and_know_what_was_seen(book):
    run(book, "A1", "B1")
    (seen,) = book.decide([NewDecision("B", "approve")], by="ana")
    take(book, "B2", "A1")
    run(book, "B2", "A1")
    assert book.records_decided_of() == {seen.version: ('{"read":"B1"}', "1")}
    assert book.state == 3
    take(book, "A1", "B1")
    assert book.row_by_id("B").version == seen.version
    assert book.records_decided_of() == {}


def test_the_first_row_with_an_id_has_it_in_every_table(book):
    run(book, "A1", "A2", "B1")
    state = take(book, "B1", "A2", "A1")
    assert run(book, "B1", "A2", "A1") == ["A", "A"]
    assert [(row.ordinal, row.status) for row in book.rows()] == [
        (1, "complete"), (2, "complete"), (3, "failed"),
    ]  # fmt: skip
    assert state.kept == 1


def test_without_ids_rows_are_known_by_what_they_say_each_as_often_as_it_stands(book):
    def row(ordinal: int, source: str) -> None:
        book.do(FinishRow(key(ordinal, str(ordinal)), ordinal, str(ordinal), "complete", source,
                          source=source))  # fmt: skip

    for ordinal, source in enumerate(["x", "y", "x"], 1):
        row(ordinal, source)
    seats = [Seat(at, f"k{at}", str(at), s, False) for at, s in enumerate(["n", "x", "x", "x"], 1)]
    state = book.seat("b.csv", seats, by_id=False)
    assert (state.kept, state.moved, state.gone, state.changed) == (2, 1, 1, 0)
    assert [(one.ordinal, one.row_id) for one in book.rows()] == [(2, "2"), (3, "3")]


def test_a_failure_while_seating_changes_nothing(book):
    run(book, "A1", "B1")
    before = records(book)

    def broken():
        yield Seat(1, "k", "B", "1", True)
        raise RuntimeError("the disk of the table is gone")

    with pytest.raises(RuntimeError):
        book.seat("b.csv", broken(), by_id=True)
    assert records(book) == before
    assert len(book.tables()) == 1
    assert take(book, "A1", "B1").kept == 2


def test_costs_of_past_rows_keep_their_names(book):
    book.do(OpenAccount("row:1:x"))
    book.do(FinishRow("k", 1, "A", "complete", "{}", "row:1:x", source="1"))
    take(book, "B1")
    assert {place.row_id for place in book.places().values()} == {"A"}


def test_a_row_that_waited_and_was_gone_is_run_anew_when_it_is_back(book):
    run(book, "B1")
    book.do(FinishRow(key(2, "A"), 2, "A", "waiting", "{}", source="1"))
    take(book, "B1")
    assert take(book, "B1", "A1").back == 0
    assert run(book, "B1", "A1") == ["A"]
