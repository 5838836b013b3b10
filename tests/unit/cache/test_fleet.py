"""A cache behind a fleet: a hit calls no model, costs nothing, and says so everywhere."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from graphs.answer import build as answer
from graphs.listing import build as listing
from orchestra import Budget, ChatModel, Job, ask
from orchestra.app import Fleet
from orchestra.book.book import Book
from orchestra.book.costs import costs
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import BookHit, OpenAccount
from orchestra.cache.store import FILE, ReplyStore
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Reply
from orchestra.core.card import FleetFile
from orchestra.core.errors import ModelUnavailable
from orchestra.fleet.source import load_fleet
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine
from tests.booked import booked
from tests.scripted import first_allowed

Engines = dict[str, ScriptedEngine]
CHAT = {"messages": [{"role": "user", "content": "What is it?"}], "model": "r1"}


def cached_fleet(
    cache: Path, answers: Any = first_allowed, book: Book | None = None, **changes: Any
) -> tuple[Fleet, Engines]:
    """The cards of `mini` with scripted engines, sharing `cache`; `changes` are of all hosting."""
    file, folder = load_fleet("mini")
    cards = [
        card.model_copy(update={"hosting": card.hosting.model_copy(update=changes)})
        for card in file.models
    ]
    file = FleetFile.model_validate({**dict(file), "models": cards})
    engines = {card.name: ScriptedEngine(answers) for card in file.models}
    clients: Any = {
        name: InProcessClient(name, lambda engine=engine: engine)
        for name, engine in engines.items()
    }
    store = ReplyStore(cache)
    return Fleet(file, folder, clients=clients, cache=store, book=book), engines


def made(engines: Engines) -> int:
    return sum(len(engine.calls) for engine in engines.values())


async def run(cache: Path, job: Job, build: Any = listing, **options: Any) -> tuple[Any, int]:
    """The result of `job` in a fleet of its own, and how many calls reached a model."""
    fleet, engines = cached_fleet(cache, **options)
    async with fleet:
        return await fleet.run(build, job), made(engines)


@pytest.fixture
def shirt(tmp_path: Path) -> str:
    path = tmp_path / "shirt.png"
    Image.new("RGB", (40, 40), "red").save(path)
    return str(path)


async def test_another_run_gets_the_same_result_for_nothing(tmp_path: Path, shirt: str) -> None:
    job = Job(text="A red cotton shirt", images=[shirt])
    first, calls = await run(tmp_path / "cache", job)
    second, again = await run(tmp_path / "cache", job)
    assert (calls > 0, again) == (True, 0)
    assert {n: f.value for n, f in first.fields.items()} == {
        n: f.value for n, f in second.fields.items()
    }
    assert (second.status, second.cost_usd, second.tokens) == (first.status, 0, 0)
    assert (second.cached, second.saved_usd) == (calls, first.cost_usd)
    assert all(call.cached and call.reused for call in second.calls)


async def test_evidence_from_the_cache_says_so(tmp_path: Path, shirt: str) -> None:
    job = Job(text="A red cotton shirt", images=[shirt])
    first, _ = await run(tmp_path / "cache", job)
    second, _ = await run(tmp_path / "cache", job)

    def marks(result: Any) -> set[bool]:
        return {proof.cached for field in result.fields.values() for proof in field.evidence}

    assert (marks(first), marks(second)) == ({False}, {True})


async def test_other_words_or_another_photo_miss(tmp_path: Path, shirt: str) -> None:
    await run(tmp_path / "cache", Job(text="A red cotton shirt", images=[shirt]))
    other = tmp_path / "blue.png"
    Image.new("RGB", (40, 40), "blue").save(other)
    result, _ = await run(tmp_path / "cache", Job(text="A red shirt", images=[str(other)]))
    assert result.cached == 0


@pytest.mark.parametrize(
    "change", [{"revision": "2"}, {"schema_in_prompt": True}, {"device": "cuda:0"}], ids=str
)
async def test_another_model_misses(tmp_path: Path, change: dict[str, Any]) -> None:
    job = Job(text="A red cotton shirt")
    await run(tmp_path / "cache", job)
    result, calls = await run(tmp_path / "cache", job, **change)
    assert (result.cached, calls > 0) == (0, True)


async def test_a_job_that_wants_no_cache_neither_takes_nor_leaves_a_reply(tmp_path: Path) -> None:
    without = Job(text="A red cotton shirt", cache=False)
    await run(tmp_path / "cache", without)
    first, _ = await run(tmp_path / "cache", Job(text="A red cotton shirt"))
    result, calls = await run(tmp_path / "cache", without)
    assert (first.cached, result.cached, calls > 0) == (0, 0, True)


async def test_a_node_that_wants_no_cache_is_asked_again(tmp_path: Path) -> None:
    from langgraph.graph import END, START, StateGraph

    from orchestra import Context, JobState

    def build() -> Any:
        graph = StateGraph(JobState, context_schema=Context)
        graph.add_node("answer", ask("text", "Say what it is.", derived=True, cache=False))
        graph.add_edge(START, "answer")
        graph.add_edge("answer", END)
        return graph

    for _ in range(2):
        _, calls = await run(tmp_path, Job(text="A shirt"), build, answers=lambda call: "a shirt")
        assert calls == 1


async def test_what_went_wrong_is_tried_again(tmp_path: Path) -> None:
    failing: list[Exception] = [ModelUnavailable("The model stopped. Start it.")]

    def answers(call: Call) -> Any:
        return failing.pop() if failing else first_allowed(call)

    job = Job(text="What is red? A red apple.")
    first, _ = await run(tmp_path / "cache", job, answer, answers=answers)
    second, calls = await run(tmp_path / "cache", job, answer, answers=answers)
    assert first.status == "failed"
    assert (second.cached, calls) == (0, 1)


async def test_a_cut_off_answer_is_asked_for_again(tmp_path: Path) -> None:
    def cut(call: Call) -> Reply:
        return Reply("half an ans", "half an ans", finish="length")

    served = Service(cached_fleet(tmp_path, cut)[0], {"answer": answer})
    async with asking(served) as client:
        first = (await client.post("/v1/chat/completions", json=CHAT)).json()
        assert first["choices"][0]["finish_reason"] == "length"
    assert ReplyStore(tmp_path).size.replies == 0
    await served.fleet.close()


async def test_a_damaged_cache_is_a_warning_and_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(b"\x00broken" * 999)
    result, calls = await run(tmp_path, Job(text="A red cotton shirt"))
    assert (result.status, calls > 0) == ("complete", True)
    assert "Delete the file to begin anew" in caplog.text


async def test_the_book_holds_a_hit_at_nothing_with_what_it_saved(tmp_path: Path) -> None:
    job = Job(text="A red cotton shirt")
    first, calls = await run(tmp_path / "cache", job)
    book = Book.open(tmp_path / "book.sqlite")
    fleet, _ = cached_fleet(tmp_path / "cache", book=book)
    async with fleet:
        await fleet.run(listing, job)
        again = await fleet.run(listing, job)  # now the book has the replies itself
    assert (again.cached, all(call.reused for call in again.calls)) == (0, True)
    with Book.open(tmp_path / "book.sqlite", exclusive=False) as book:
        total = costs(book, "model").total
    assert (total.calls, total.hits, total.cost_micro) == (calls, calls, 0)
    assert Decimal(total.saved_micro) / 1_000_000 == first.cost_usd


async def test_a_hit_fits_an_account_that_is_used_up(tmp_path: Path) -> None:
    with Book.open(None) as book:
        ledger = LocalLedger(book)
        await ledger.send(OpenAccount("tight", cost_micro=0, tokens=0))
        hit = BookHit("h:1", "tight", "key", "read", "r1", 900, 90, '{"text": "x"}')
        assert await ledger.send(hit) is None
        assert await ledger.send(hit) is None  # its answer was lost, and it is sent again
        (entry,) = booked(book, "tight")
        assert (entry.state, entry.cost_micro, entry.cached) == ("settled", 0, 1)
        assert (entry.saved_micro, entry.saved_tokens) == (900, 90)


def asking(served: Service) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_app(served), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://orchestra")


async def test_a_served_chat_is_answered_from_the_cache_and_streamed_as_one_piece(
    tmp_path: Path,
) -> None:
    earlier, _ = cached_fleet(tmp_path, lambda call: "two words")
    async with asking(Service(earlier, {"answer": answer})) as client:
        await client.post("/v1/chat/completions", json=CHAT)
    await earlier.close()
    fleet, engines = cached_fleet(tmp_path, lambda call: "two words")
    async with asking(Service(fleet, {"answer": answer})) as client:
        told = (await client.post("/v1/chat/completions", json=CHAT)).json()
        lines = await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    await fleet.close()
    assert told["choices"][0]["message"]["content"] == "two words"
    assert (told["orchestra"]["cached"], told["orchestra"]["cost_usd"]) == (1, 0)
    assert told["orchestra"]["saved_usd"] > 0
    usage = told["usage"]
    assert usage["total_tokens"] > 0  # what was asked, of which all was known
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]
    assert lines.text.count('"content": "two words"') == 1
    assert made(engines) == 0


async def test_a_served_request_may_want_no_cache(tmp_path: Path) -> None:
    off = {**CHAT, "orchestra": {"cache": False}}
    for asked in (CHAT, off):
        fleet, engines = cached_fleet(tmp_path, lambda call: "two words")
        async with asking(Service(fleet, {"answer": answer})) as client:
            told = (await client.post("/v1/chat/completions", json=asked)).json()
        await fleet.close()
        assert (told["orchestra"]["cached"], made(engines)) == (0, 1)


async def test_a_chat_model_says_that_its_answer_was_cached(tmp_path: Path) -> None:
    for turn in range(2):
        model = ChatModel(fleet=cached_fleet(tmp_path, lambda call: "two words")[0])
        message = await model.ainvoke("What is it?")
        assert message.content == "two words"
        assert message.response_metadata["orchestra"]["cached"] is bool(turn)
        model.close()


async def test_a_second_batch_elsewhere_pays_nothing_and_says_what_it_saved(tmp_path: Path) -> None:
    table = tmp_path / "products.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "description"])
        writer.writerows([f"{n}", f"Brand{n}", "A red apple from Italy."] for n in range(5))
    summaries, calls = [], []
    for name in ("first", "second"):
        fleet, engines = cached_fleet(tmp_path / "cache")
        async with fleet:
            budget = Budget(cost_usd="1")
            summaries.append(await fleet.batch(listing, table, out=tmp_path / name, budget=budget))
        calls.append(made(engines))
    first, second = summaries
    assert (first.cached, calls[0] > 0, calls[1]) == (0, True, 0)
    assert (second.complete, second.cost_usd, second.tokens) == (first.complete, 0, 0)
    assert second.saved_usd == first.cost_usd > 0
    written = [(tmp_path / name / "products.csv").read_bytes() for name in ("first", "second")]
    assert written[0] == written[1]
    told = [(tmp_path / name / "report.html").read_text("utf-8") for name in ("first", "second")]
    assert [">calls from the cache<" in page for page in told] == [False, True]


async def planned(cache: Path, job: Job, build: Any = listing) -> tuple[Any, int]:
    fleet, engines = cached_fleet(cache)
    async with fleet:
        return await fleet.plan_with_cache(build, job), made(engines)


async def test_a_plan_prices_known_calls_at_nothing_and_counts_them(
    tmp_path: Path, shirt: str
) -> None:
    job = Job(text="A red cotton shirt", images=[shirt])
    before, _ = await planned(tmp_path / "cache", job)
    _, calls = await run(tmp_path / "cache", job)
    after, asked = await planned(tmp_path / "cache", job)
    assert (before.hits, after.hits, asked) == (0, calls, 0)
    assert before.cost_micro > 0
    assert (after.cost_micro, after.expected_micro, after.tokens) == (0, 0, 0)
    assert after.latency_ms < before.latency_ms
    assert [node.model for node in after.nodes] == [node.model for node in before.nodes]
    assert f"answers {calls} of {calls} calls" in str(after)
    again, _ = await run(tmp_path / "cache", job)
    assert again.cached == after.hits


async def test_a_plan_knows_the_part_that_is_known(tmp_path: Path, shirt: str) -> None:
    """What is written stands on what the photo shows, so it is not known before the photo is."""
    await run(tmp_path / "cache", Job(text="A red cotton shirt"))
    job = Job(text="A red cotton shirt", images=[shirt])
    partly, _ = await planned(tmp_path / "cache", job)
    hits = {node.node: node.hits for node in partly.nodes}
    assert hits == {"look": 0, "read": 1, "write": 0}
    paid = {node.node for node in partly.nodes if node.cost_micro}
    assert paid == {"look", "write"}


async def test_a_plan_does_not_run_code_of_the_graphs_own(tmp_path: Path) -> None:
    from langgraph.graph import END, START, StateGraph

    from orchestra import Context, JobState

    ran: list[str] = []

    def act(state: Any) -> dict[str, Any]:
        ran.append("act")
        return {}

    def build() -> Any:
        graph = StateGraph(JobState, context_schema=Context)
        graph.add_node("act", act)
        graph.add_node("answer", ask("text", "Say what it is.", derived=True))
        graph.add_edge(START, "act")
        graph.add_edge("act", "answer")
        graph.add_edge("answer", END)
        return graph

    unknown, _ = await planned(tmp_path, Job(text="A shirt"), build)
    assert (unknown.hits, ran) == (None, [])
