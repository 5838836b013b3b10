"""Tags from a job, a command or a request to the lines of a bill."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from graphs.answer import build as answer
from graphs.listing import build as listing
from orchestra import ChatModel, Job
from orchestra.app import Fleet
from orchestra.book.book import Book
from orchestra.book.costs import NO_TAG, costs
from orchestra.cli.main import main
from orchestra.core.errors import UsageError
from orchestra.core.tags import label_of, read_tags, tags_of
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet
from tests.unit.cli.scripted_worker import fleet_file

USER = [{"role": "user", "content": "What is it?"}]


def booked(path: Path) -> Fleet:
    """The scripted fleet, which spends into a book at `path`."""
    fleet, _ = scripted_fleet(lambda call: {"answer": "red apple"} if call.schema else "two words")
    clients = {card.name: fleet.client(card.name) for card in fleet.file.models}
    return Fleet.open("mini", clients=clients, book=path)


def bill(path: Path) -> dict[str, int]:
    """Calls by tag."""
    with Book.open(path, exclusive=False) as book:
        return {line.name: line.calls for line in costs(book, "tag").lines}


@given(st.dictionaries(st.text(), st.text()))
def test_a_label_gives_back_its_tags(tags: dict[str, str]) -> None:
    assert tags_of(label_of(tags)) == tags


@pytest.mark.parametrize("label", ["", "batch", "12", "[1]", '"x"', "{"])
def test_a_label_that_is_not_of_tags_has_none(label: str) -> None:
    assert tags_of(label) == {}


@pytest.mark.parametrize("pair", ["acme", "=acme", "client="])
def test_what_is_no_tag_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match=repr(pair)):
        read_tags([pair])


def test_one_tag_with_two_values_is_refused() -> None:
    with pytest.raises(UsageError, match="'1' and '2'"):
        read_tags(["a=1", "a=2"])


def test_a_value_may_hold_the_mark() -> None:
    assert read_tags(["query=a=b", " client = acme "]) == {"query": "a=b", "client": "acme"}


@pytest.mark.parametrize(
    "tags", [{"k" * 65: "v"}, {"k": "v" * 513}, {"k": ""}, {str(n): "v" for n in range(17)}]
)
def test_a_job_takes_no_tags_that_openai_would_not(tags: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="tags"):
        Job(text="x", tags=tags)


async def test_a_jobs_tags_are_headings_and_the_total_counts_each_call_once(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    async with booked(path) as fleet:
        await fleet.run(answer, Job(text="A?", tags={"client": "acme", "season": "春"}))
        await fleet.run(answer, Job(text="B?", tags={"client": "acme"}))
        await fleet.run(answer, Job(text="C?"))
    assert bill(path) == {"client=acme": 2, "season=春": 1, NO_TAG: 1}
    with Book.open(path, exclusive=False) as book:
        assert costs(book, "tag").total.calls == 3


async def test_each_run_of_a_batch_has_its_own_tags(tmp_path: Path) -> None:
    table = tmp_path / "products.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "description"])
        writer.writerows([f"{n}", f"A red apple from Italy. Lot {n}."] for n in range(4))
    for limit, month in ((1, "may"), (4, "june")):
        fleet, _ = scripted_fleet()
        async with fleet:
            out = tmp_path / "out"
            await fleet.batch(listing, table, out=out, limit=limit, tags={"month": month})
    assert bill(tmp_path / "out" / "book.sqlite") == {"month=may": 2, "month=june": 6}


async def test_a_request_is_tagged_by_body_metadata_or_header(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    fleet = booked(path)
    transport = httpx.ASGITransport(make_app(Service(fleet, {"answer": answer})))
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:

        async def post(route: str, body: Any, **headers: str) -> int:
            return (await client.post(route, json=body, headers=headers)).status_code

        chat: dict[str, Any] = {"messages": USER, "metadata": {"client": "acme"}}
        tag = {"X-Orchestra-Tag": "client=bolt"}
        assert await post("/v1/chat/completions", chat) == 200
        assert await post("/v1/jobs", {"text": "A?", "tags": {"client": "acme"}}) == 200
        assert await post("/v1/jobs", {"text": "B?"}, **tag) == 200
        assert await post("/v1/jobs", {"text": "C?"}, **{"X-Orchestra-Tag": "bolt"}) == 400
        chat["metadata"] = {"client": "x" * 513}
        assert await post("/v1/chat/completions", chat) == 400
    await fleet.close()
    assert bill(path) == {"client=acme": 2, "client=bolt": 1}


async def test_a_chat_models_metadata_tags_its_calls(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    model = ChatModel(fleet=booked(path), metadata={"client": "acme", "attempt": 2})
    await model.ainvoke("What is it?")
    model.close()
    assert bill(path) == {"client=acme": 1}


def test_commands_note_tags_and_bill_by_them(tmp_path: Path) -> None:
    fleet, book = fleet_file(tmp_path / "scripted.yaml"), tmp_path / "spent.sqlite"

    def call(*words: str | Path) -> Any:
        return CliRunner().invoke(main, [str(word) for word in words])

    asked = ("run", "Which animal eats bamboo?", "--fleet", fleet, "--book", book)
    assert call(*asked, "--tag", "client=acme").exit_code == 0
    assert call(*asked, "--tag", "acme").exit_code == 2
    told = json.loads(call("costs", book, "--by", "tag", "--json").stdout)
    assert [line["name"] for line in told["lines"]] == ["client=acme"]
