"""Finished rows, claimed ids and notes."""

import pytest

from orchestra.book.book import Book
from orchestra.book.messages import (
    AdmitRows,
    Candidate,
    CountAttempt,
    FinishRow,
    OpenAccount,
    SettleCall,
)
from orchestra.core.errors import BookError
from tests.booked import begun


@pytest.fixture
def book():
    with Book.open(None) as opened:
        opened.do(OpenAccount("batch", cost_micro=1000))
        yield opened


def start(book: Book, account: str = "row") -> str:
    """The uid of a call on its way in a row's account."""
    book.do(OpenAccount(account, parent="batch", cost_micro=100, hold=True))
    return begun(book, account, 50)


def finish(book: Book, ordinal: int, status: str = "complete", row_id: str | None = None) -> bool:
    record = f'{{"n":{ordinal}}}'
    return book.do(FinishRow(f"key-{ordinal}", ordinal, row_id or f"sku-{ordinal}", status, record))


def test_finishing_a_row_closes_its_account_with_it(book):
    book.do(SettleCall(start(book), 30, 0))
    assert book.do(FinishRow("key-0", 0, "sku-0", "review", '{"a":1}', "row"))
    spent = book.spent("batch")
    assert (spent.cost_micro, spent.open_cost_micro) == (30, 0)
    (row,) = book.rows()
    assert (row.ordinal, row.key, row.row_id, row.status) == (0, "key-0", "sku-0", "review")
    assert (row.record_json, row.account) == ('{"a":1}', "row")
    with pytest.raises(BookError, match="'row' is closed"):
        begun(book, "row")


def test_a_row_whose_account_cannot_close_is_not_finished(book):
    uid = start(book)
    end = FinishRow("key-0", 0, "sku-0", "complete", "{}", "row", ("colour",))
    with pytest.raises(BookError, match="1 open calls"):
        book.do(end)
    assert (list(book.rows()), book.field_names()) == ([], [])
    assert book.spent("batch").open_cost_micro == 100
    book.do(SettleCall(uid, 30, 0))
    assert book.do(end)
    assert book.field_names() == ["colour"]


def test_a_second_finish_keeps_the_first_record_and_says_so(book):
    assert finish(book, 3, "complete") is True
    assert finish(book, 3, "failed") is False
    assert book.counts() == {"complete": 1}


def test_a_second_finish_closes_the_second_runs_account_and_repeats_harmlessly(book):
    assert finish(book, 0)
    book.do(SettleCall(start(book, "second run"), 30, 0))
    for _ in range(2):
        assert not book.do(FinishRow("key-0", 0, "sku-0", "failed", "{}", "second run"))
    assert (book.spent("batch").cost_micro, book.spent("batch").open_cost_micro) == (30, 0)
    assert book.counts() == {"complete": 1}


def test_one_ordinal_belongs_to_one_key(book):
    finish(book, 0)
    with pytest.raises(BookError, match=r"key-0.*other"):
        book.do(FinishRow("other", 0, "x", "complete", "{}"))


def test_rows_come_in_ordinal_order_whatever_the_order_of_finishing(book):
    for ordinal in reversed(range(600)):
        finish(book, ordinal)
    assert [row.ordinal for row in book.rows()] == list(range(600))
    assert [row.ordinal for row in book.rows(after=297, limit=300)] == list(range(298, 598))
    assert list(book.rows(limit=0)) == []


def test_rows_can_be_finished_while_they_are_read(book):
    for ordinal in range(300):
        finish(book, ordinal)
    seen = 0
    for row in book.rows():
        seen += 1
        if row.ordinal == 0:
            finish(book, 300)
    assert seen == 301


def test_finished_keys_are_found_among_many(book):
    for ordinal in range(0, 1500, 2):
        finish(book, ordinal)
    rows = [Candidate(f"key-{ordinal}", ordinal) for ordinal in range(1500)]
    admitted = book.do(AdmitRows(rows))
    assert admitted == [None if n % 2 == 0 else n for n in range(1500)]
    assert book.finished_ordinals() == set(range(0, 1500, 2))
    assert book.do(AdmitRows([])) == []


def test_statuses_are_counted(book):
    assert book.counts() == {}
    for ordinal, status in enumerate(["complete", "failed", "complete", "review"]):
        finish(book, ordinal, status)
    assert book.counts() == {"complete": 2, "failed": 1, "review": 1}


def test_row_by_id_gives_the_first_of_a_repeated_id(book):
    finish(book, 9, row_id="sku")
    finish(book, 4, row_id="sku")
    row = book.row_by_id("sku")
    assert row is not None
    assert row.ordinal == 4
    assert book.row_by_id("no such") is None


def test_an_id_belongs_to_the_first_ordinal_and_a_resume_claims_it_again(book):
    def claim(*claims: tuple[str, int]) -> list[int | None]:
        return book.do(AdmitRows([Candidate(f"key-{at}", at, name) for name, at in claims]))

    claims = [("00123", 0), ("b", 1), ("00123", 2)]
    assert claim(*claims) == [0, 1, 0]
    assert claim(*claims) == [0, 1, 0]
    assert claim(("b", 1), ("b", 5), ("123", 6)) == [1, 1, 6]


def test_notes_are_kept_and_replaced_and_apart_from_the_books_own(book):
    assert book.meta("epoch") is None
    book.set_meta("epoch", "mine")
    book.set_meta("fingerprint", "a")
    book.set_meta("fingerprint", "b")
    assert (book.meta("fingerprint"), book.meta("epoch")) == ("b", "mine")
    assert book._epoch == 1


def failed(book: Book, ordinal: int, *types: str, status: str = "failed") -> None:
    errors = ", ".join(f'{{"stage": "read", "type": "{kind}", "message": "m"}}' for kind in types)
    record = f'{{"status": "{status}", "errors": [{errors}]}}'
    book.do(FinishRow(f"key-{ordinal}", ordinal, f"sku-{ordinal}", status, record))


def test_rows_are_found_by_the_types_of_their_errors(book):
    failed(book, 1, "ModelUnavailable")
    failed(book, 2, "ImageNotFound", "RateLimited", status="partial")
    failed(book, 3, status="complete")
    failed(book, 4, "AnswerInvalid")
    assert book.with_errors(["RateLimited", "ModelUnavailable"]) == {"key-1": 1, "key-2": 2}
    assert book.with_errors(["EmptyJob"]) == book.with_errors([]) == {}


def test_a_row_that_is_run_again_is_admitted_and_its_new_record_takes_the_place_of_the_old(book):
    book.do(SettleCall(start(book), 30, 0))
    failed(book, 0, "ModelUnavailable")
    row = Candidate("key-0", 0, "sku-0")
    assert book.do(AdmitRows([row])) == [None]
    assert book.do(AdmitRows([Candidate("key-0", 0, "sku-0", again=True)])) == [0]
    end = FinishRow("key-0", 0, "sku-0", "complete", "{}", "row", again=True)
    assert book.do(end) and book.do(end)
    assert [(found.status, found.account) for found in book.rows()] == [("complete", "row")]
    assert book.counts() == {"complete": 1}
    assert book.spent("batch").cost_micro == 30


def test_failed_tries_are_counted_once_each_and_forgotten_when_the_row_is_finished(book):
    tries = [CountAttempt("key-0", account) for account in ("a", "b", "b", "a", "c")]
    assert [book.do(one) for one in tries] == [1, 2, 2, 2, 3]
    assert book.do(CountAttempt("key-1", "a")) == 1
    assert book.attempts() == {"key-0": 3, "key-1": 1}
    finish(book, 0)
    assert book.attempts() == {"key-1": 1}
