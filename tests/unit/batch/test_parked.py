"""Rows that ask a person are parked, stay so, and go on with their answers within the budget."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from orchestra import Budget
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.output.questions import read_answers
from orchestra.batch.output.summary import Summary
from orchestra.batch.parked import WaitingRow
from orchestra.batch.row_run import RowRun
from orchestra.batch.spec import BatchSpec
from orchestra.batch.tables.row import Row
from orchestra.book.book import Book
from orchestra.book.messages import FinishRow, KeepThread, OpenAccount
from orchestra.cli.refit import _jobs
from orchestra.core.call import Call, Reply
from orchestra.core.errors import BookError, DiskFull, InvalidGraph, ModelUnavailable, UsageError
from orchestra.core.job import Result
from orchestra.core.money import usd
from orchestra.images.store import ImageStore
from orchestra.routing.compiled import compile_graph
from tests.far_ledger import FarLedger
from tests.parked_graphs import asking, parked_fleet, says_red, stopping, two_ask

TEXTS = {"A1": "red shirt", "A2": "plain red apple", "A3": "red apron"}


def table(folder: Path, texts: dict[str, str] | None = None) -> Path:
    path = folder / "products.csv"
    lines = [f"{row_id},{text}" for row_id, text in (texts or TEXTS).items()]
    path.write_text("\n".join(["id,name", *lines]) + "\n", encoding="utf-8")
    return path


async def run(source: Path, out: Path, build: Any = asking, **options: Any) -> Summary:
    fleet, _ = parked_fleet()
    async with fleet:
        return await fleet.batch(build, source, out=out, image_column="", **options)


async def resume(out: Path, answers: dict[str, Any], **options: Any) -> tuple[Summary, int]:
    """The summary, and how many calls were made."""
    fleet, engines = parked_fleet(options.pop("models", says_red))
    async with fleet:
        summary = await fleet.resume_batch(out, answers, **options)
    return summary, sum(len(engine.calls) for engine in engines.values())


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def statuses(out: Path) -> list[str]:
    return [row["status"] for row in rows_of(out / "products.csv")]


def waiting(out: Path) -> dict[str, list[Any]]:
    fleet, _ = parked_fleet()
    return {row.row_id: [q.value for q in row.questions] for row in fleet.waiting_rows(out)}


def threads(out: Path) -> list[str]:
    folder = Folder.read(out)
    found = [row[0] for row in folder.book._read("SELECT id FROM threads ORDER BY id")]
    folder.book.close()
    return found


def check_book(out: Path, limit: Budget | None = None) -> None:
    """What the rows say they spent is what the book says, and nothing is held."""
    folder = Folder.read(out)
    spent = folder.book.spent(BATCH_ACCOUNT)
    results = folder.results().values()
    folder.book.close()
    assert sum((result.cost_usd for result in results), Decimal(0)) == usd(spent.cost_micro)
    assert sum(result.tokens for result in results) == spent.tokens
    assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
    assert limit is None or limit.tokens is None or spent.tokens <= limit.tokens


async def test_rows_that_ask_are_parked_and_what_they_ask_stands_in_the_outputs(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    summary = await run(table(tmp_path), out)
    assert (summary.waiting, summary.complete, summary.pending) == (2, 1, 0)
    assert statuses(out) == ["waiting", "complete", "waiting"]
    written = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert (written["waiting"], written["files"]["waiting"]) == (2, str(out / "waiting.csv"))
    sheet = rows_of(out / "waiting.csv")
    assert [(row["id"], row["question"]) for row in sheet] == [
        ("A1", '{"is it": "red?"}'),
        ("A3", '{"is it": "red?"}'),
    ]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "2 of 3 rows wait for a person" in page and "is it" in page
    assert waiting(out) == {"A1": [{"is it": "red?"}], "A3": [{"is it": "red?"}]}
    check_book(out)


async def test_the_same_command_again_leaves_them_parked_and_calls_no_model(
    tmp_path: Path,
) -> None:
    source, out = table(tmp_path), tmp_path / "out"
    first = await run(source, out)
    fleet, engines = parked_fleet()
    async with fleet:
        again = await fleet.batch(asking, source, out=out, image_column="", retry_failed=True)
    assert sum(len(engine.calls) for engine in engines.values()) == 0
    assert (again.waiting, again.complete, again.cost_usd) == (2, 1, first.cost_usd)
    assert len(threads(out)) == 2


async def test_answers_end_the_rows_in_another_process(tmp_path: Path) -> None:
    source, out = table(tmp_path), tmp_path / "out"
    await run(source, out)
    one, calls = await resume(out, {"A3": "yes"})
    assert (one.waiting, one.complete, one.stopped, calls) == (1, 2, "", 1)
    assert statuses(out) == ["waiting", "complete", "complete"]
    assert [row["id"] for row in rows_of(out / "waiting.csv")] == ["A1"]
    both, _ = await resume(out, {"A1": {"no": "blue"}})
    assert (both.waiting, both.complete) == (0, 3)
    assert not (out / "waiting.csv").exists() and threads(out) == []
    folder = Folder.read(out)
    results = folder.results()
    folder.book.close()
    assert results["A1"].state["said"] == [{"no": "blue"}]
    assert [call.node for call in results["A3"].calls] == ["look", "again"]
    check_book(out)


async def test_a_row_that_does_not_wait_is_an_error_that_names_those_that_do(
    tmp_path: Path,
) -> None:
    source, out = table(tmp_path), tmp_path / "out"
    await run(source, out)
    with pytest.raises(UsageError, match=r"'A2' waits for an answer\. These do: 'A1', 'A3'"):
        await resume(out, {"A2": "yes", "A1": "yes"})
    assert list(waiting(out)) == ["A1", "A3"]
    with pytest.raises(UsageError, match=r"'A1' needs an answer, and None is none\. It asks: "):
        await resume(out, {"A1": None})
    with pytest.raises(UsageError, match="no option 'cost_usd'"):
        await resume(out, {"A1": "yes"}, cost_usd=1)
    with pytest.raises(BookError, match="holds no batch"):
        await resume(tmp_path, {"A1": "yes"})


async def test_a_row_that_asks_twice_waits_twice(tmp_path: Path) -> None:
    source, out = table(tmp_path, {"A1": "red twice"}), tmp_path / "out"
    await run(source, out)
    first, calls = await resume(out, {"A1": 1})
    assert (first.waiting, calls, waiting(out)) == (1, 0, {"A1": ["sure?"]})
    last, _ = await resume(out, {"A1": 2})
    folder = Folder.read(out)
    assert (last.complete, folder.results()["A1"].state["said"]) == (1, [1, 2])
    folder.book.close()
    check_book(out)


async def test_several_questions_of_a_row_are_answered_by_their_ids_or_by_the_sheet(
    tmp_path: Path,
) -> None:
    source, out = table(tmp_path, {"A1": "red x", "A2": "red y"}), tmp_path / "out"
    await run(source, out, two_ask)
    with pytest.raises(UsageError, match="asks 2 questions at once, and 'yes' says not which"):
        await resume(out, {"A1": "yes"})
    sheet = rows_of(out / "waiting.csv")
    assert [row["question"] for row in sheet] == ["a?", "b?"] * 2
    filled = tmp_path / "answers.csv"
    with filled.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(sheet[0]))
        writer.writeheader()
        writer.writerows({**row, "answer": row["question"] + "!"} for row in sheet[:3])
    summary, _ = await resume(out, read_answers(filled))
    folder = Folder.read(out)
    assert sorted(folder.results()["A1"].state["said"]) == [["a", "a?!"], ["b", "b?!"]]
    folder.book.close()
    assert (summary.waiting, waiting(out)) == (1, {"A2": ["b?"]})  # half of it was answered


async def test_a_breakpoint_takes_any_answer_and_goes_on(tmp_path: Path) -> None:
    source, out = table(tmp_path, {"A1": "red x"}), tmp_path / "out"
    summary = await run(source, out, stopping)
    assert (summary.waiting, waiting(out)) == (1, {"A1": [None]})
    done, calls = await resume(out, {"A1": "go"})
    assert (done.waiting, calls) == (0, 1)


async def test_the_budget_holds_over_parked_and_resumed_rows(tmp_path: Path) -> None:
    source, out = table(tmp_path), tmp_path / "out"
    await run(source, out, budget=Budget(tokens=100_000))
    folder = Folder.read(out)
    results, spent = folder.results(), folder.book.spent(BATCH_ACCOUNT).tokens
    folder.book.close()
    ceiling = results["A1"].plan["total"]["tokens"]
    tight = Budget(tokens=spent + 1)
    left, calls = await resume(out, {"A1": "yes", "A3": "yes"}, budget=tight)
    assert (left.waiting, calls) == (2, 0)
    assert "2 of 2 answered rows wait as before (A1: " in left.stopped
    check_book(out, tight)
    # Each holds its ceiling less the 20 tokens that it has spent: not both have room at once.
    assert 2 * (ceiling - 20) > ceiling
    room = Budget(tokens=spent + ceiling)
    done, _ = await resume(out, {"A1": "yes", "A3": "yes"}, budget=room)
    assert (done.waiting, done.complete, done.stopped) == (0, 3, "")
    check_book(out, room)


async def test_a_model_that_is_silent_leaves_the_row_waiting_and_nothing_is_paid_twice(
    tmp_path: Path,
) -> None:
    source, out = table(tmp_path, {"A1": "red x"}), tmp_path / "out"
    await run(source, out)

    def silent(call: Call) -> Reply:
        raise ModelUnavailable("The server is down. Start it.")

    left, _ = await resume(out, {"A1": "yes"}, models=silent)
    assert (left.waiting, "The server is down" in left.stopped) == (1, True)
    done, calls = await resume(out, {"A1": "yes"})
    assert (done.complete, calls) == (1, 1)
    check_book(out)


async def test_a_process_that_is_killed_as_it_goes_on_leaves_the_row_to_be_answered(
    tmp_path: Path,
) -> None:
    source, out = table(tmp_path, {"A1": "red x", "A2": "red y"}), tmp_path / "out"
    await run(source, out)
    place = [sys.executable, "-m", "tests.parked_graphs", str(out)]
    died = subprocess.run(place, cwd=Path(__file__).parents[3], timeout=100)
    assert died.returncode == -9
    assert list(waiting(out)) == ["A1", "A2"]
    done, calls = await resume(out, {"A1": "yes", "A2": "yes"})
    assert (done.waiting, done.complete, calls) == (0, 2, 2)
    check_book(out)


async def test_a_thread_without_a_row_is_forgotten_and_one_of_a_users_own_is_not(
    tmp_path: Path,
) -> None:
    source, out = table(tmp_path, {"A1": "red x"}), tmp_path / "out"
    await run(source, out)
    folder = Folder.read(out)
    for name in ("row:1:dead", "shirt-7"):
        kept = KeepThread(
            name,
            account=name,
            status="waiting",
            record="{}",
            about="{}",
            photos={},
            by="a",
            held=False,
        )
        folder.book.do(kept)
    folder.book.close()
    before = threads(out)
    await run(source, out)
    assert set(before) - set(threads(out)) == {"row:1:dead"}


def test_answers_are_read_from_tables_as_they_were_typed(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": "A1", "answer": {"ok": true}}\n{"id": "A2", "answer": "yes"}\n')
    assert read_answers(path) == {"A1": {"ok": True}, "A2": "yes"}
    path = tmp_path / "answers.csv"
    path.write_text("id,answer\n'=A1,5\nA2,\nA3,no thanks\n")
    assert read_answers(path) == {"=A1": 5, "A3": "no thanks"}
    path.write_text("id,answer\nA1,yes\nA1,no\n")
    with pytest.raises(UsageError, match=r"Answer 2 of .* is another one to row 'A1'"):
        read_answers(path)
    path.write_text("id,answer\nA1,\n")
    with pytest.raises(UsageError, match=r"has no answers\. Fill in the column 'answer'"):
        read_answers(path)
    path.write_text("sku,answer\nA1,yes\n")
    with pytest.raises(UsageError, match=r"no column 'id' .they have: 'sku', 'answer'"):
        read_answers(path)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_row_parks_and_goes_on_by_messages_to_a_book_that_is_elsewhere(
    tmp_path: Path, times: int
) -> None:
    spec = BatchSpec(
        table=table(tmp_path), graph=asking, fleet="mini", text_columns=("name",), id_column="id"
    )
    fleet, _ = parked_fleet()
    with Book.open(None) as book:
        book.do(OpenAccount(BATCH_ACCOUNT))
        ledger = FarLedger(book, times)
        scoped = fleet.scoped(ledger, ImageStore())
        rows = RowRun(scoped, ledger, compile_graph(asking), spec, Budget())
        ran = await rows.run(Row(1, {"id": "A1", "name": "red shirt"}))
        assert ran.end == "waiting" and ran.is_recorded
        assert book.spent(BATCH_ACCOUNT).open_tokens == 0
        (found,) = book.rows(status="waiting")
        result = Result.model_validate_json(found.record_json)
        done = await rows.resume(WaitingRow("A1", 1, found.key, result), "yes")
        assert (done.end, book.counts()) == ("finished", {"complete": 1})
        assert book._read("SELECT id FROM threads") == []
    await fleet.close()


async def test_a_saver_of_the_users_own_is_gone_on_with_and_the_graph_may_have_no_name(
    tmp_path: Path,
) -> None:
    saver, out = InMemorySaver(), tmp_path / "out"
    source = table(tmp_path, {"A1": "red x", "A2": "red y"})

    def build() -> Any:
        return asking().compile(checkpointer=saver)

    await run(source, out, build)
    with pytest.raises(InvalidGraph):
        await resume(out, {"A1": "yes"})
    done, _ = await resume(out, {"A1": "yes"}, build=build)
    assert (done.complete, done.waiting) == (1, 1)

    def silent(call: Call) -> Reply:
        raise ModelUnavailable("The server is down. Start it.")

    # The saver went on beyond the answer, so it cannot be given again: the row ends as it stands.
    ended, _ = await resume(out, {"A2": "yes"}, build=build, models=silent)
    assert (ended.waiting, ended.pending, ended.stopped) == (0, 0, "")
    assert "ModelUnavailable" in (out / "errors.jsonl").read_text(encoding="utf-8")
    check_book(out)


async def test_the_outputs_of_a_pilot_stay_those_of_its_rows(tmp_path: Path) -> None:
    source, out = table(tmp_path), tmp_path / "out"
    await run(source, out, limit=2)
    done, _ = await resume(out, {"A1": "yes"})
    assert (done.rows, done.complete, statuses(out)) == (2, 2, ["complete"] * 2)
    whole = await run(source, out)
    assert (whole.complete, whole.waiting) == (2, 1)


async def test_a_sample_of_rows_that_ask_leaves_no_thread_of_its_own(tmp_path: Path) -> None:
    texts = {f"A{number}": f"red thing {number}" for number in range(30)}
    source, out = table(tmp_path, texts), tmp_path / "out"
    free = await run(source, tmp_path / "free")
    cap = Budget(cost_usd=free.cost_usd * Decimal("0.9"))
    summary = await run(source, out, budget=cap, spread=True)
    assert summary.quote is not None  # a sample was run
    assert summary.waiting + summary.pending == 30 and summary.waiting > 0
    assert len(threads(out)) == summary.waiting
    assert cap.cost_usd is not None and summary.cost_usd <= cap.cost_usd


async def test_a_row_that_waited_is_not_timed_as_a_whole(tmp_path: Path) -> None:
    source, out = table(tmp_path), tmp_path / "out"
    await run(source, out)
    await resume(out, {"A1": "yes"})
    folder = Folder.read(out)
    timed = {job.account for job in _jobs(folder.book)}
    accounts = {row.row_id: row.account for row in folder.book.rows()}
    folder.book.close()
    assert timed <= {accounts["A2"]}


async def test_what_was_typed_into_the_sheet_stays_where_its_question_is_open(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    await run(table(tmp_path), out)
    sheet = out / "waiting.csv"
    lines = sheet.read_text(encoding="utf-8-sig").splitlines()
    sheet.write_text("\n".join([lines[0], *(f"{line}=typed" for line in lines[1:])]) + "\n")
    await resume(out, {"A1": "yes"})
    assert [(row["id"], row["answer"]) for row in rows_of(sheet)] == [("A3", "'=typed")]
    assert list(read_answers(sheet)["A3"].values()) == ["=typed"]


class FullDisk(FarLedger):
    """A ledger whose disk is full as the answered row is to be recorded."""

    async def send(self, message: Any) -> Any:
        if isinstance(message, FinishRow) and message.again:
            raise DiskFull("The disk is full. Free some space.")
        return await super().send(message)


async def test_row_and_thread_end_together_or_not_at_all(tmp_path: Path) -> None:
    spec = BatchSpec(
        table=table(tmp_path), graph=asking, fleet="mini", text_columns=("name",), id_column="id"
    )
    fleet, engines = parked_fleet()
    graph = compile_graph(asking)
    with Book.open(None) as book:
        book.do(OpenAccount(BATCH_ACCOUNT))
        full, free = FullDisk(book), FarLedger(book)
        broken, whole = (
            RowRun(fleet.scoped(ledger, ImageStore()), ledger, graph, spec, Budget())
            for ledger in (full, free)
        )
        await broken.run(Row(1, {"id": "A1", "name": "red shirt"}))
        (found,) = book.rows(status="waiting")
        parked = WaitingRow("A1", 1, found.key, Result.model_validate_json(found.record_json))
        with pytest.raises(DiskFull):
            await broken.resume(parked, "yes")
        assert len(book._read("SELECT id FROM threads")) == 1
        assert (await whole.resume(parked, "yes")).end == "finished"
        assert book._read("SELECT id FROM threads") == []
        assert book.spent(BATCH_ACCOUNT).open_tokens == 0
    assert sum(len(engine.calls) for engine in engines.values()) == 2
    await fleet.close()
