"""Finished rows, claimed ids and notes."""

import pytest

from orchestra.book.book import Book
from orchestra.book.calls import Settlement
from orchestra.core.errors import BookError


@pytest.fixture
def book():
    with Book.open(None) as opened:
        opened.open_account("batch", cost_micro=1000)
        yield opened


def start(book: Book, account: str = "row") -> int:
    book.open_account(account, parent="batch", cost_micro=100, hold=True)
    entry = book.reserve(
        account, cost_micro=50, tokens=0, node="look", model="vl", key=f"{account}/look"
    )
    book.dispatch(entry)
    return entry


def finish(book: Book, ordinal: int, status: str = "complete", row_id: str | None = None) -> bool:
    return book.finish_row(
        f"key-{ordinal}",
        ordinal=ordinal,
        row_id=row_id or f"sku-{ordinal}",
        status=status,
        record_json=f'{{"n":{ordinal}}}',
    )


def test_finishing_a_row_settles_its_calls_and_closes_its_account_together(book):
    entry = start(book)
    done = book.finish_row(
        "key-0",
        ordinal=0,
        row_id="sku-0",
        status="review",
        record_json='{"a":1}',
        settle=[Settlement(entry, 30, 0, reply="red")],
        close="row",
    )
    assert done
    spent = book.spent("batch")
    assert (spent.cost_micro, spent.open_cost_micro) == (30, 0)
    row = book.row("key-0")
    assert row is not None
    assert (row.ordinal, row.row_id, row.status) == (0, "sku-0", "review")
    assert (row.record_json, row.account) == ('{"a":1}', "row")
    assert book.reply("row/look") == "red"


def test_a_row_whose_settlement_fails_is_not_finished(book):
    entry = start(book)
    book.release(entry)
    with pytest.raises(BookError, match="released"):
        book.finish_row(
            "key-0",
            ordinal=0,
            row_id="sku-0",
            status="complete",
            record_json="{}",
            settle=[Settlement(entry, 30, 0)],
            close="row",
        )
    assert not book.is_finished("key-0")
    assert book.spent("batch").open_cost_micro == 100


def test_a_second_finish_keeps_the_first_record_and_says_so(book):
    assert finish(book, 3, "complete") is True
    assert finish(book, 3, "failed") is False
    assert book.counts() == {"complete": 1}


def test_a_second_finish_still_pays_for_the_second_run_and_repeats_harmlessly(book):
    assert finish(book, 0)
    entry = start(book, "second run")
    for _ in range(2):
        again = book.finish_row(
            "key-0",
            ordinal=0,
            row_id="sku-0",
            status="failed",
            record_json="{}",
            settle=[Settlement(entry, 30, 0)],
            close="second run",
        )
        assert again is False
    assert (book.spent("batch").cost_micro, book.spent("batch").open_cost_micro) == (30, 0)


def test_one_ordinal_belongs_to_one_key(book):
    finish(book, 0)
    with pytest.raises(BookError, match=r"key-0.*other"):
        book.finish_row("other", ordinal=0, row_id="x", status="complete", record_json="{}")


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
    keys = [f"key-{ordinal}" for ordinal in range(1500)]
    assert book.finished_among(keys) == set(keys[::2])
    assert book.finished_among([]) == set()
    assert book.is_finished("key-0")
    assert not book.is_finished("key-1")


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
    claims = [("00123", 0), ("b", 1), ("00123", 2)]
    assert book.claim_ids(claims) == [None, None, 0]
    assert book.claim_ids(claims) == [None, None, 0]
    assert book.claim_id("b", 1) is None
    assert book.claim_id("b", 5) == 1
    assert book.claim_id("123", 6) is None


def test_notes_are_kept_and_replaced_and_apart_from_the_books_own(book):
    assert book.meta("epoch") is None
    book.set_meta("epoch", "mine")
    book.set_meta("fingerprint", "a")
    book.set_meta("fingerprint", "b")
    assert (book.meta("fingerprint"), book.meta("epoch")) == ("b", "mine")
    assert book.epoch == 1
