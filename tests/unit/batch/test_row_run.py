"""A row run by itself, on a book that is elsewhere: the unit that a worker of a cluster uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, StateGraph

from graphs.listing import build
from orchestra import Budget
from orchestra.batch.folder import BATCH_ACCOUNT
from orchestra.batch.row_run import RowRun, heard_from
from orchestra.batch.spec import BatchSpec
from orchestra.batch.tables.row import Row, row_error
from orchestra.book.book import Book
from orchestra.book.messages import AnyMessage, BeginCall, OpenAccount, SettleCall
from orchestra.core.call import Call
from orchestra.core.errors import BudgetExceeded, InvalidGraph, RateLimited
from orchestra.core.job import CallRecord, ErrorRecord, Result
from orchestra.core.state import JobState
from orchestra.images.store import ImageStore
from orchestra.routing.compiled import compile_graph
from tests.booked import booked
from tests.far_ledger import FarLedger
from tests.scripted import first_allowed, scripted_fleet


def asked(folder: Path) -> BatchSpec:
    return BatchSpec(
        table=folder / "products.csv",
        graph=build,
        fleet="mini",
        text_columns=("name",),
        image_column=(),
        id_column="id",
        language="en",
    )


@asynccontextmanager
async def workers(
    tmp_path: Path, ledger: FarLedger, count: int = 1, text: Any = first_allowed
) -> AsyncIterator[list[RowRun]]:
    """As many workers of one batch, each with a fleet of its own."""
    fleets = [scripted_fleet(text)[0] for _ in range(count)]
    graph, spec = compile_graph(build), asked(tmp_path)
    yield [
        RowRun(fleet.scoped(ledger, ImageStore()), ledger, graph, spec, Budget())
        for fleet in fleets
    ]
    for fleet in fleets:
        await fleet.close()


def batch_book(**limits: int) -> Book:
    book = Book.open(None)
    book.do(OpenAccount(BATCH_ACCOUNT, label="batch"))
    book.set_limits(BATCH_ACCOUNT, cost_micro=limits.get("cost_micro"), tokens=limits.get("tokens"))
    return book


def row(ordinal: int, name: str = "Red apple") -> Row:
    return Row(ordinal, {"id": f"A{ordinal}", "name": f"{name}, lot {ordinal}"})


@pytest.mark.parametrize("times", [1, 2])
async def test_workers_share_a_book_and_each_message_counts_once(
    tmp_path: Path, times: int
) -> None:
    with batch_book() as book:
        async with workers(tmp_path, FarLedger(book, times), 2) as (one, other):
            ran = await asyncio.gather(*(one.run(row(n)) for n in (1, 2)), other.run(row(3)))
        assert [done.end for done in ran] == ["finished"] * 3
        results = [Result.model_validate_json(found.record_json) for found in book.rows()]
        spent = book.spent(BATCH_ACCOUNT)
        assert sum(int(result.cost_usd * 1_000_000) for result in results) == spent.cost_micro
        assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)


async def test_a_row_that_runs_again_elsewhere_is_not_paid_again(tmp_path: Path) -> None:
    with batch_book() as book:
        async with workers(tmp_path, FarLedger(book), 2) as (one, other):
            await one.run(row(1))
            before = book.spent(BATCH_ACCOUNT).cost_micro
            await other.run(row(1))
        assert book.spent(BATCH_ACCOUNT).cost_micro == before > 0
        assert len(list(book.rows())) == 1


async def test_a_damaged_row_fails_in_the_book_and_claims_no_id(tmp_path: Path) -> None:
    damaged = Row(1, {"id": "A1", "name": ""}, row_error("torn"))
    with batch_book() as book:
        async with workers(tmp_path, FarLedger(book)) as (one,):
            assert one.candidate(damaged).row_id is None
            assert (await one.run(damaged)).end == "finished"
        assert [(found.ordinal, found.status) for found in book.rows()] == [(1, "failed")]


async def test_a_silent_model_leaves_the_row_to_be_run_again(tmp_path: Path) -> None:
    def dies(call: Call) -> Any:
        raise RuntimeError("device lost")

    with batch_book() as book:
        async with workers(tmp_path, FarLedger(book), text=dies) as (one,):
            ran = await one.run(row(1))
        assert ran.end == "silent" and "device lost" in ran.why
        assert list(book.rows()) == []
        assert book.spent(BATCH_ACCOUNT).open_cost_micro == 0


async def test_a_used_up_rate_leaves_the_row_to_be_run_again(tmp_path: Path) -> None:
    def busy(call: Call) -> Any:
        raise RateLimited("busy; later")

    with batch_book() as book:
        async with workers(tmp_path, FarLedger(book), text=busy) as (one,):
            assert (await one.run(row(1))).end == "silent"


async def test_no_room_is_told_and_a_stopped_worker_does_not_wait_for_it(tmp_path: Path) -> None:
    with batch_book(tokens=50) as book:
        async with workers(tmp_path, FarLedger(book)) as (one,):
            assert (await one.run(row(1))).end == "no room"
            book.do(BeginCall("other", BATCH_ACCOUNT, "other", "n", "m", 0, 50))
            waiting = asyncio.create_task(one.run(row(2)))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            one.stop()
            assert (await waiting).end == "no room"


@pytest.mark.parametrize("lost", [BeginCall, SettleCall])
async def test_a_cancelled_worker_leaves_no_call_open(
    tmp_path: Path, lost: type[AnyMessage]
) -> None:
    with batch_book() as book:
        ledger = FarLedger(book, hold=lost)
        async with workers(tmp_path, ledger) as (one,):
            task = asyncio.create_task(one.run(row(1)))
            await ledger.held.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        states = [call.state for found in _accounts(book) for call in booked(book, found)]
        assert states == ["released" if lost is BeginCall else "settled"]


def _accounts(book: Book) -> list[str]:
    return [row[0] for row in book._read("SELECT id FROM accounts WHERE id != 'batch'")]


@pytest.mark.parametrize("after", ["merge", START])  # at the end, or beside a call under way
@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (BudgetExceeded("No room is left."), "BudgetExceeded"),
        (InvalidGraph("No way."), "InvalidGraph"),
        (ValueError("odd price"), "GraphFailed"),
    ],
)
async def test_a_row_whose_node_raises_keeps_what_others_answered_and_gives_back_its_hold(
    tmp_path: Path, raised: Exception, kind: str, after: str
) -> None:
    def raising() -> StateGraph[Any, Any, Any, Any]:
        async def stop(state: JobState) -> dict[str, Any]:
            await asyncio.sleep(0.02)
            raise raised

        graph = build()
        graph.add_node("stop", stop)
        graph.add_edge(after, "stop")
        return graph

    book = batch_book(tokens=1_000_000)
    ledger = FarLedger(book)
    fleet, _ = scripted_fleet(first_allowed, delay_s=0.1)
    scoped = fleet.scoped(ledger, ImageStore())
    async with fleet:
        rows = RowRun(scoped, ledger, compile_graph(raising), asked(tmp_path), Budget())
        async with asyncio.timeout(20):
            ran = await rows.run(row(1))
    assert ran.end == "finished"
    kept = Result.model_validate_json(next(iter(book.rows())).record_json)
    assert (kept.status, kept.errors[0].type) == ("partial", kind)
    assert any(field.answered for field in kept.fields.values())
    assert str(raised) in kept.errors[0].message
    assert ("test_row_run.py:" in kept.errors[0].message) == (kind == "GraphFailed")  # the place
    spent = book.spent(BATCH_ACCOUNT)
    assert spent.tokens > 0
    assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)


def call(node: str, model: str, kind: str | None = None, **changes: Any) -> CallRecord:
    error = None if kind is None else ErrorRecord(stage=node, type=kind, message="m")
    return CallRecord(node=node, model=model, instruction="Read.", error=error, **changes)


def heard(*calls: CallRecord, early: str | None = None) -> tuple[set[str], set[str]]:
    errors = tuple(one.error for one in calls if one.error is not None)
    if early is not None:
        errors += (ErrorRecord(stage=early, type="ModelUnavailable", message="m"),)
    plan = {"nodes": [{"node": "look", "model": "vl"}, {"node": "read", "model": "r1"}]}
    answered, silent = heard_from(Result(status="failed", errors=errors, calls=calls, plan=plan))
    return set(answered), set(silent)


def test_a_row_tells_which_models_answered_it_and_which_were_silent() -> None:
    silence = call("read", "r1", "ModelUnavailable")
    assert heard(call("look", "vl"), silence) == ({"vl"}, {"r1"})
    assert heard(call("look", "r1"), silence) == (set(), {"r1"})
    assert heard(call("look", "vl", reused=True), silence) == (set(), {"r1"})
    assert heard(call("look", "vl", "AnswerInvalid"), silence) == (set(), {"r1"})
    assert heard(call("look", "vl"), early="read") == ({"vl"}, {"r1"})
    assert heard(silence, call("read", "r2", "RateLimited")) == (set(), {"r1", "r2"})


def test_a_model_whose_fallback_answered_was_not_silent_to_the_row() -> None:
    failed = call("read", "r1").model_copy(
        update={"error": ErrorRecord(stage="read", type="ModelUnavailable", message="m")}
    )
    result = Result(status="complete", calls=(failed, call("read", "r2")))
    assert heard_from(result) == ({"r2"}, set())


def test_a_model_that_a_node_of_the_users_own_asked_is_known_by_its_call() -> None:
    error = ErrorRecord(stage="agent", type="ModelUnavailable", message="m")
    asked = call("answer", "r2", "ModelUnavailable")
    assert heard_from(Result(status="failed", errors=(error,), calls=(asked,))) == (set(), {"r2"})
