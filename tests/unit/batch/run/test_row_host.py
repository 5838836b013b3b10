"""A host of rows, made from what can be pickled, with its book behind messages; without Ray."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestra.batch.folder import BATCH_ACCOUNT
from orchestra.batch.row_run import Ran, row_account
from orchestra.batch.run.row_host import RowHost
from orchestra.batch.spec import BatchSpec, RunSettings
from orchestra.batch.tables.row import Row
from orchestra.book.book import Book
from orchestra.book.messages import AnyMessage, OpenAccount
from orchestra.book.shared.remote import Keeper, Send
from orchestra.core.errors import BookError, ModelUnavailable
from orchestra.core.job import Result
from orchestra.fleet.source import load_graph
from orchestra.quality.policy import Accuracy, Calibration, Policy
from tests.serving_workers import BrokenWorker
from tests.serving_workers import write_fleet as write_fleet_of
from tests.stub_worker import write_fleet

KEEPER = "book-of-a-test"


def row_host(
    folder: Path, reach: Callable[[str], Send], fleet: Path | None = None, **changes: Any
) -> RowHost:
    """A host of the rows of one batch, whose specification has made the journey to it."""
    spec = BatchSpec(
        table=folder / "products.csv",
        graph="listing",
        fleet=str(fleet or write_fleet(folder)),
        text_columns=("name",),
        image_column=(),
        id_column="id",
        language="en",
    )
    asked = pickle.loads(pickle.dumps(spec.model_copy(update=changes)))
    settings = pickle.loads(pickle.dumps(RunSettings(out=folder / "out")))
    return RowHost(asked, settings, folder / "images", KEEPER, reach)


def reaching(book: Book) -> Callable[[str], Send]:
    """How messages get to the keeper of `book`, which has one name."""
    keeper = Keeper(book)

    def reach(name: str) -> Send:
        assert name == KEEPER

        async def send(messages: list[AnyMessage]) -> list[Any]:
            return await keeper.apply(pickle.loads(pickle.dumps(messages)))

        return send

    return reach


def batch_book(cost_micro: int | None = None) -> Book:
    book = Book.open(None)
    book.do(OpenAccount(BATCH_ACCOUNT, label="batch"))
    book.set_limits(BATCH_ACCOUNT, cost_micro=cost_micro, tokens=None)
    return book


def row(ordinal: int) -> Row:
    return Row(ordinal, {"id": f"A{ordinal}", "name": f"Red apple, lot {ordinal}"})


async def test_rows_end_in_the_book_with_what_they_cost(tmp_path: Path) -> None:
    with batch_book() as book:
        host = row_host(tmp_path, reaching(book))
        await host.prepare(["r1"])
        rows = [row(number) for number in (1, 2, 3)]
        ran = await asyncio.gather(*(host.run(one, row_account(one)) for one in rows))
        assert [one.end for one in ran] == ["finished"] * 3
        found = {one.ordinal: Result.model_validate_json(one.record_json) for one in book.rows()}
        assert sorted(found) == [1, 2, 3]
        spent = book.spent(BATCH_ACCOUNT)
        cost = sum(int(result.cost_usd * 1_000_000) for result in found.values())
        assert spent.cost_micro == cost > 0 and spent.open_cost_micro == 0


async def test_a_recipe_arrives_with_the_batch(tmp_path: Path) -> None:
    recipe = load_graph("graphs.listing:default_recipe")()
    kept = {"fields": {"origin": recipe.fields["origin"]}, "identity": None}
    one_field = recipe.model_copy(update=kept)
    with batch_book() as book:
        await row_host(tmp_path, reaching(book), recipe=one_field).run(row(1), "row:1")
        (one,) = book.rows()
    fields = Result.model_validate_json(one.record_json).fields
    assert set(fields) & set(recipe.fields) == {"origin"}


async def test_a_model_that_cannot_load_is_told_before_any_row(tmp_path: Path) -> None:
    fleet = write_fleet_of(tmp_path, BrokenWorker, name="broken")
    with batch_book() as book, pytest.raises(ModelUnavailable, match="weights of layer 3"):
        await row_host(tmp_path, reaching(book), fleet).prepare(["broken"])


async def test_a_book_that_does_not_answer_says_how_to_go_on(tmp_path: Path) -> None:
    lost = BookError("The actor that keeps the book does not answer. Run the command again.")

    def reach(name: str) -> Send:
        async def send(messages: list[AnyMessage]) -> list[Any]:
            raise lost

        return send

    with pytest.raises(BookError) as told:
        await row_host(tmp_path, reach).run(row(1), "row:1")
    assert told.value is lost


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_row_without_room_waits_for_refunds_unless_the_batch_stops(
    tmp_path: Path, is_stopped: bool
) -> None:
    with batch_book() as free:
        host = row_host(tmp_path, reaching(free))
        await host.run(row(1), "row:1")
        cost = free.spent(BATCH_ACCOUNT).cost_micro
    with batch_book(cost_micro=cost) as book:
        book.do(OpenAccount("other", parent=BATCH_ACCOUNT, cost_micro=cost, hold=True))
        host = row_host(tmp_path, reaching(book))
        waiting = asyncio.create_task(host.run(row(1), "row:1"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        if is_stopped:
            await host.stop()
        else:
            book.set_limits(BATCH_ACCOUNT, cost_micro=100 * cost, tokens=None)
        ran = await waiting
        assert isinstance(ran, Ran) and ran.end == ("no room" if is_stopped else "finished")


async def test_a_host_answers_by_the_policy_that_it_is_told(tmp_path: Path) -> None:
    right = Accuracy(share=0.75, low=0.5, high=0.9, rows=20)
    known = Calibration(
        node="read",
        model="r1",
        field="category",
        prompt="any",
        method="rate",
        right=right,
        covered=1.0,
        knots=((0.0, 0.75, 0.5, 0.9),),
        gain=(0.0, 0.0, 0.0),
        ece_before=0.1,
        ece_after=0.1,
    )
    policy = Policy(calibration=(known,))
    with batch_book() as book:
        host = row_host(tmp_path, reaching(book), policy=policy)
        assert (await host.run(row(1), "row:1")).end == "finished"
        (kept,) = book.rows()
    fields = Result.model_validate_json(kept.record_json).fields
    assert fields["category"].probability == 0.75
