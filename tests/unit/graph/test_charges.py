"""What servers charge is what is booked: above the bound, beside no answer, or never reported."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Budget, Context, Job, JobState, Result, ask
from orchestra.app import Fleet
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.book.book import Book
from orchestra.chat.model import ChatModel
from orchestra.cli.main import main
from orchestra.core.card import FleetFile
from orchestra.core.errors import BudgetExceeded
from tests.booked import BookedCall, booked
from tests.servers.fake_server import FakeServer, Said, chat, endpoint_card, failing, serving

PRICE = {
    "as_of": "2026-11-01",
    "usd_per_million_input_tokens": 1,
    "usd_per_million_output_tokens": 1,
}
RED = '{"colour":"red"}'


class Facts(BaseModel):
    colour: str | None


def used(sent: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": sent, "completion_tokens": written}


GREEDY = chat(RED, usage=used(40, 13_999_960))  # a server that ignores max_tokens, and $14 for it


def build() -> StateGraph[JobState, Context]:
    """Two questions, one after the other."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
    graph.add_node("again", ask("text", "Say it again.", schema=Facts))
    graph.add_edge(START, "read")
    graph.add_edge("read", "again")
    graph.add_edge("again", END)
    return graph


@asynccontextmanager
async def far(*script: Said, book: Path | None = None) -> AsyncIterator[tuple[Fleet, FakeServer]]:
    """A fleet of one paid model, whose server says `script`."""
    with serving(*script) as server:
        card = endpoint_card(server.url, price=PRICE, endpoint={"attempts": 1})
        file = FleetFile(name="paid", models=(card,))
        kept = None if book is None else Book.open(book)
        async with Fleet(file, Path(), book=kept) as fleet:
            yield fleet, server


async def run(
    tmp_path: Path, *script: Said, **limits: Any
) -> tuple[Result, list[BookedCall], FakeServer]:
    """A job over both nodes: its result, its entries in the book, and what was asked."""
    path = tmp_path / "book.sqlite"
    async with far(*script, book=path) as (fleet, server):
        result = await fleet.run(build, Job(text="A red shirt.", budget=Budget(**limits)))
    with Book.open(path, exclusive=False) as book:
        account = book._read("SELECT id FROM accounts")[0][0]
        entries, spent = booked(book, account), book.spent(account)
    assert sum(entry.cost_micro for entry in entries) == spent.cost_micro
    assert result.cost_usd == Decimal(spent.cost_micro).scaleb(-6)
    assert result.tokens == spent.tokens
    assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
    return result, entries, server


async def test_a_server_that_ignores_max_tokens_is_booked_whole_and_asked_no_more(
    tmp_path: Path,
) -> None:
    result, (first,), server = await run(tmp_path, GREEDY, cost_usd=3)
    assert result.cost_usd == 14 and first.cost_micro == 14_000_000
    assert first.overrun_micro == 14_000_000 - first.reserved_micro
    assert result.overrun_usd == Decimal(first.overrun_micro).scaleb(-6)
    assert len(server.asked) == 1
    (error,) = result.errors
    assert (error.stage, error.type) == ("again", "BudgetExceeded")
    assert "$14.00 are spent" in error.message and "'far' charged $13.99" in error.message
    assert "raise" in error.message.lower() and "ignores max_tokens" in error.message
    notes = " ".join(result.notes)
    assert "far counted 13999960 written tokens" in notes and "the call of far cost $14" in notes


async def test_a_job_without_a_budget_goes_on_and_says_what_was_charged(tmp_path: Path) -> None:
    result, entries, server = await run(tmp_path, GREEDY)
    assert (result.status, result.cost_usd, len(entries)) == ("complete", 28, 2)
    assert len(server.asked) == 2 and not result.errors
    assert result.overrun_usd > 27


async def test_a_budget_that_still_has_room_lets_the_next_node_ask(tmp_path: Path) -> None:
    result, _, server = await run(tmp_path, GREEDY, cost_usd=20)
    assert result.status == "complete" and len(server.asked) == 2
    assert result.cost_usd == 28  # the second call had room for its bound


@pytest.mark.parametrize(
    "said",
    [
        chat("It is red.", usage=used(40, 9)),
        chat('{"colour": "r', finish="length", usage=used(40, 9)),
        chat(None, message={"refusal": "I cannot."}, usage=used(40, 9)),
    ],
)
async def test_an_answer_that_cannot_be_used_costs_what_was_reported(
    tmp_path: Path, said: Said
) -> None:
    result, (first, second), _ = await run(tmp_path, said, chat(RED, usage=used(30, 5)))
    assert (first.state, first.cost_micro, first.tokens) == ("settled", 49, 49)
    assert (second.state, second.cost_micro) == ("settled", 35)
    failed = result.calls[0]
    assert failed.error is not None and not failed.presumed
    assert (failed.input_tokens, failed.output_tokens) == (40, 9)
    assert result.status == "partial"


@pytest.mark.parametrize(
    ("said", "is_answered"),
    [
        (chat(RED, usage=None), True),
        (chat(RED, usage=used(0, 0)), True),
        (chat("It is red.", usage=None), False),
        (failing(500, "out of memory"), False),
        (chat(RED, breaks_off=True), False),
    ],
)
async def test_use_that_nobody_reports_is_presumed_at_the_worst_and_noted(
    tmp_path: Path, said: Said, is_answered: bool
) -> None:
    result, (first, _), _ = await run(tmp_path, said, chat(RED, usage=used(30, 5)))
    assert (first.state, first.overrun_micro) == ("presumed", 0)
    assert 0 < first.cost_micro <= first.reserved_micro
    call = result.calls[0]
    assert call.presumed and (call.error is None) == is_answered
    assert call.cost_usd == Decimal(first.cost_micro).scaleb(-6) == result.presumed_usd
    assert any("far reports" in note for note in result.notes)


async def test_tokens_outside_the_reported_parts_are_booked_and_noted(tmp_path: Path) -> None:
    said = chat(RED, usage=used(40, 9) | {"total_tokens": 149})
    result, (first, _), _ = await run(tmp_path, said, chat(RED, usage=used(30, 5)))
    assert (first.cost_micro, first.tokens, first.state) == (149, 149, "settled")
    assert any("far reports total_tokens=149, 100 more" in note for note in result.notes)


async def test_a_budget_of_tokens_ends_as_one_of_dollars_does(tmp_path: Path) -> None:
    result, _, server = await run(tmp_path, GREEDY, tokens=5_000)
    assert len(server.asked) == 1 and result.tokens == 14_000_000
    assert result.errors[0].type == "BudgetExceeded"
    assert "0 tokens left of 5000" in result.errors[0].message
    assert "beyond the bounds of 1 call" in result.errors[0].message


async def test_a_node_of_the_users_own_gets_nothing_of_a_budget_that_was_overcharged() -> None:
    said: list[str] = []
    model = ChatModel(fleet="mini", max_tokens=16)

    async def talk(state: JobState) -> dict[str, Any]:
        answer = await model.ainvoke("Hi.")
        said.append(str(answer.response_metadata["finish_reason"]))
        said.append(str(answer.content))
        return {}

    def with_talk() -> StateGraph[JobState, Context]:
        graph = StateGraph(JobState, context_schema=Context)
        graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
        graph.add_node("talk", talk)
        graph.add_edge(START, "read")
        graph.add_edge("read", "talk")
        graph.add_edge("talk", END)
        return graph

    async with far(GREEDY) as (fleet, server):
        result = await fleet.run(with_talk, Job(text="A shirt.", budget=Budget(cost_usd=3)))
    assert said[0] == "budget" and "'far' charged $13.99" in said[1]
    assert len(server.asked) == 1
    assert result.cost_usd == 14


def table(folder: Path, rows: int) -> Path:
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name"])
        writer.writerows([number, f"Red shirt {number}"] for number in range(rows))
    return path


async def test_a_batch_stops_at_its_cap_says_who_charged_more_and_goes_on_with_a_higher_one(
    tmp_path: Path,
) -> None:
    source, out = table(tmp_path, 5), tmp_path / "out"
    options: dict[str, Any] = {
        "out": out,
        "text_columns": ("name",),
        "image_column": "",
        "id_column": "id",
        "in_flight": 2,
        "spread": False,
    }
    paid = chat(RED, usage=used(40, 9))
    async with far(paid, paid, GREEDY, paid) as (fleet, server):
        stopped = await fleet.batch(build, source, budget=Budget(cost_usd=3), **options)
        asked = len(server.asked)
        assert 3 <= asked <= 4  # what was on its way beside the greedy call
        assert stopped.cost_usd == 14 + (asked - 1) * Decimal("0.000049")
        assert "'far' charged $13.99" in stopped.stopped and "beyond the bounds" in stopped.stopped
        assert stopped.failed == stopped.partial == 0 < stopped.pending
        assert stopped.overrun_usd > 13
        assert [one["model"] for one in stopped.public()["overruns"]] == ["far"]
        same = await fleet.batch(build, source, budget=Budget(cost_usd=3), **options)
        assert len(server.asked) == asked and same.cost_usd == stopped.cost_usd
        with pytest.raises(BudgetExceeded, match="'far' charged"):
            await fleet.batch(build, source, budget=Budget(cost_usd=4), **options)
        whole = await fleet.batch(build, source, budget=Budget(cost_usd=20), **options)
    assert (whole.complete, whole.pending, whole.stopped) == (5, 0, "")
    assert len(server.asked) == 10  # no answer was paid twice
    assert whole.cost_usd == 14 + 9 * Decimal("0.000049")
    told = CliRunner().invoke(main, ["costs", str(out)])
    assert "above bounds" in told.stdout and "$14.000441" in told.stdout
    with closing(Folder.read(out).book) as book:
        assert book.spent(BATCH_ACCOUNT).cost_micro == 14_000_441
