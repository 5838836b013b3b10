"""The bill of a book: every micro-dollar under each heading, and corrections beside history."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from orchestra.book.book import Book
from orchestra.book.costs import NO_ROW, By, correct, costs
from orchestra.book.messages import BeginCall, FinishRow, OpenAccount, SettleCall
from orchestra.book.spending import PAGE_ROWS
from orchestra.cli.main import main
from orchestra.core.card import Card
from orchestra.core.errors import BookError
from orchestra.core.tags import label_of

REPLY = json.dumps({"text": "x", "value": "x", "confidence": {}, "usage": [100, 10, 0]})
CARD = {
    "name": "big",
    "role": "test",
    "capabilities": ["text"],
    "price": {"as_of": "2026-11-01", "usd_per_million_input_tokens": 10},
    "profile": {"origin": "measured"},
    "hosting": {"memory_gib": 1},
    "limits": {"context_tokens": 1000},
}


def card(**price: float) -> Card:
    return Card.model_validate(CARD | {"price": {"as_of": "2026-11-02", **price}})


def paid(book: Book, account: str, uid: str, model: str, cost: int, reply: str | None) -> None:
    book.do(BeginCall(uid, account, uid, "read", model, 9000, 200))
    book.do(SettleCall(uid, cost, 110, reply=reply))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two rows, an agent's call beside a row's plan, a failed call at its worst case."""
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.do(OpenAccount("batch", label=label_of({"season": "spring"})))
        for number in (1, 2):
            book.do(OpenAccount(f"row:{number}:ab", parent="batch", cost_micro=50_000))
            paid(book, f"row:{number}:ab", f"c{number}", "big", 1000, REPLY)
        book.do(OpenAccount("row:1:ab:unplanned", parent="batch"))
        book.do(OpenAccount("question:1", parent="row:1:ab:unplanned"))
        paid(book, "question:1", "q1", "small", 7, REPLY)
        paid(book, "row:2:ab", "failed", "big", 500, None)
        for n in (1, 2):
            book.do(FinishRow(f"key{n}", n, f"SKU{n}", "complete", "{}", f"row:{n}:ab"))
    return path


def summed(path: Path, by: By) -> dict[str, int]:
    with Book.open(path, exclusive=False) as book:
        return {line.name: line.cost_micro for line in costs(book, by, graph="listing").lines}


def test_each_heading_sums_to_all_that_was_spent(path: Path) -> None:
    with Book.open(path, exclusive=False) as book:
        spent = book.spent("batch").cost_micro
    for by in get_args(By):
        assert sum(summed(path, by).values()) == spent == 2507


def test_a_row_is_charged_for_its_plan_and_for_what_its_nodes_asked_beside_it(path: Path) -> None:
    assert summed(path, "row") == {"SKU1": 1007, "SKU2": 1500}


def test_each_try_at_a_row_is_charged_to_it(path: Path) -> None:
    with Book.open(path) as book:
        for account in ("row:2:cd", "row:3:ef"):
            book.do(OpenAccount(account, parent="batch", cost_micro=50_000))
            paid(book, account, account, "big", 40, None)
    assert summed(path, "row") == {"SKU1": 1007, "SKU2": 1540, "row 3": 40}


def test_other_headings_name_model_graph_tag_and_day(path: Path) -> None:
    assert summed(path, "model") == {"big": 2500, "small": 7}
    assert summed(path, "graph") == {"listing": 2507}
    assert summed(path, "tag") == {"season=spring": 2507}
    assert summed(path, "day") == {f"{datetime.now(UTC):%Y-%m-%d}": 2507}


def test_a_bill_of_several_pages_has_each_call_once() -> None:
    with Book.open(None) as book, book.transaction():
        book.do(OpenAccount("batch"))
        for number in range(PAGE_ROWS + 2):
            paid(book, "batch", f"c{number}", "big", 3, None)
        total = costs(book, "model").total
    assert (total.calls, total.cost_micro) == (PAGE_ROWS + 2, 3 * (PAGE_ROWS + 2))


def test_calls_of_no_row_are_said_to_be_of_none(tmp_path: Path) -> None:
    with Book.open(tmp_path / "chat.sqlite") as book:
        book.do(OpenAccount("chat:1"))
        paid(book, "chat:1", "c", "big", 5, REPLY)
        assert [line.name for line in costs(book, "row").lines] == [NO_ROW]


def test_a_correction_stands_beside_what_was_booked(path: Path) -> None:
    with Book.open(path) as book:
        done = correct(book, card(usd_per_million_input_tokens=20), reason="old price list")
        bill = costs(book, "model")
        assert book.spent("batch").cost_micro == 2507  # budgets held at the price of their time
    # 100 tokens at $20 a million are 2000 micro-dollars; the failed call follows in proportion
    big = bill.lines[0]
    assert (big.booked_micro, big.cost_micro) == (2500, 2000 + 2000 + 1000)
    assert (done.calls, done.scaled, done.more_micro) == (3, 1, 2500)
    assert bill.corrections == (done,)
    assert done.reason == "old price list" and done.price["as_of"] == "2026-11-02"


def test_a_second_correction_replaces_the_first_in_the_sum_and_both_stay(path: Path) -> None:
    with Book.open(path) as book:
        correct(book, card(usd_per_million_input_tokens=20), reason="wrong")
        correct(book, card(usd_per_million_input_tokens=5), reason="wrong again")
        bill = costs(book, "model")
    assert bill.total.cost_micro == 500 + 500 + 250 + 7
    assert [entry.reason for entry in bill.corrections] == ["wrong", "wrong again"]


def test_a_correction_needs_a_reason_and_a_model_that_was_paid(path: Path) -> None:
    with Book.open(path) as book:
        with pytest.raises(BookError, match="no reason"):
            correct(book, card(), reason=" ")
        with pytest.raises(BookError, match="no paid call of 'other'"):
            correct(book, card().model_copy(update={"name": "other"}), reason="x")
        assert book.corrections() == []


def test_a_model_that_was_booked_for_nothing_is_corrected_to_its_price(path: Path) -> None:
    with Book.open(path) as book:
        paid(book, "batch", "given", "gift", 0, REPLY)
        gift = card(usd_per_million_input_tokens=20).model_copy(update={"name": "gift"})
        done = correct(book, gift, reason="it was never free")
        assert (done.calls, done.scaled, done.more_micro) == (1, 0, 2000)


def test_calls_that_kept_no_reply_alone_cannot_be_priced_again(path: Path) -> None:
    with Book.open(path) as book:
        paid(book, "batch", "lost", "gone", 500, None)
        gone = card(usd_per_million_input_tokens=20).model_copy(update={"name": "gone"})
        with pytest.raises(BookError, match="No call of 'gone' kept its reply"):
            correct(book, gone, reason="old price list")
        assert book.corrections() == []


def test_replicas_that_waited_are_charged_for_their_hour(path: Path) -> None:
    with Book.open(path, exclusive=False) as book:
        bill = costs(book, "model", cards=[card(usd_per_hour=3.6)], seconds=10)
    assert [(i.model, i.hosted_micro, i.idle_micro) for i in bill.idle] == [("big", 10_000, 7_500)]


def test_hosting_is_charged_only_for_models_that_were_called_and_a_time_that_is_known(
    path: Path,
) -> None:
    hosted = card(usd_per_hour=3.6)
    uncalled = hosted.model_copy(update={"name": "uncalled"})
    with Book.open(path, exclusive=False) as book:
        assert costs(book, "model", cards=[uncalled, card()], seconds=10).idle == ()
        assert costs(book, "model", cards=[hosted]).idle == ()


def test_the_command_sums_and_corrects(path: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "mended.yaml"
    mended = CARD | {"price": {"as_of": "2026-11-02", "usd_per_million_input_tokens": 20}}
    fleet.write_text(json.dumps({"name": "mended", "models": [mended]}), "utf-8")
    run = CliRunner()
    asked = ["costs", str(path), "--correct", "big", "--fleet", str(fleet), "--json"]
    refused = run.invoke(main, asked)
    assert refused.exit_code == 1 and "no reason" in refused.stdout
    done = run.invoke(main, [*asked, "--reason", "old list"])
    assert done.exit_code == 0, done.output
    bill = json.loads(done.stdout)
    assert bill["total"] | {"cost_usd": 0.005007, "booked_usd": 0.002507} == bill["total"]
    shown = run.invoke(main, ["costs", str(path), "--by", "row"]).stdout
    assert "SKU2" in shown and "booked $0.0015" in shown and "old list" in shown


def test_a_place_without_a_book_is_refused(tmp_path: Path) -> None:
    refused = CliRunner().invoke(main, ["costs", str(tmp_path)])
    assert refused.exit_code == 1 and "is no book and holds none" in refused.stderr
