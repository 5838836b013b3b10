"""Vectors of texts over a fleet: whose they are, what they cost, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestra import Budget, Fleet
from orchestra.book.book import Book
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.card import FleetFile
from orchestra.core.errors import (
    AnswerInvalid,
    ModelUnavailable,
    NoFeasiblePlan,
    NoModel,
    OrchestraError,
    UsageError,
)
from orchestra.core.job import Job
from orchestra.graph.encode import MOST_TEXTS, Encoding, encode_texts
from orchestra.testing import ScriptedEngine

TEXTS = [f"title {number}" for number in range(MOST_TEXTS * 2 + 3)]


def lengths(call: Call) -> Reply:
    """A vector of each text: its length, and 1."""
    rows = [[len(text), 1] for text in call.texts]
    return Reply("", None, usage=Usage(len(call.texts) * 3), vectors=np.array(rows, np.float32))


def card(name: str = "maker", **changes: Any) -> dict[str, Any]:
    hosting = {"memory_gib": 0.2, "worker": "nobody:Maker"}
    return {
        "name": name,
        "role": "encoder",
        "capabilities": ["encode"],
        "price": {"as_of": "2026-11-01", "usd_per_million_input_tokens": "10"},
        "profile": {"origin": "estimated", "fixed_ms": 1},
        "hosting": hosting,
        "limits": {"context_tokens": 100},
    } | changes


def fleet_of(
    *cards: dict[str, Any], answer: Callable[[Call], Any] = lengths, book: Book | None = None
) -> tuple[Fleet, ScriptedEngine]:
    file = FleetFile.model_validate({"name": "made", "models": list(cards or [card()])})
    engine = ScriptedEngine(answer)
    engines = {"other": ScriptedEngine(lengths)}  # whatever the script of the rest
    clients: dict[str, Any] = {
        c.name: InProcessClient(c.name, lambda name=c.name: engines.get(name, engine))
        for c in file.models
    }
    return Fleet(file, Path("."), clients=clients, book=book), engine


async def test_texts_become_rows_in_their_order_by_calls_of_bounded_size() -> None:
    fleet, engine = fleet_of()
    rows = await fleet.encode(TEXTS)
    assert rows.dtype == np.float32 and rows.shape == (len(TEXTS), 2)
    assert rows[:, 0].tolist() == [len(text) for text in TEXTS]
    assert sorted(len(call.texts) for call in engine.calls) == [3, MOST_TEXTS, MOST_TEXTS]
    assert (await fleet.encode([])).shape == (0, 0)
    await fleet.close()


async def test_usage_is_paid_by_the_card_and_an_equal_call_only_once(tmp_path: Path) -> None:
    fleet, engine = fleet_of(book=Book.open(tmp_path / "book.sqlite"))
    first = await encode_texts(fleet, Encoding(TEXTS, Job()))
    assert first.model == "maker" and first.tokens == 3 * len(TEXTS)
    assert first.cost_usd == Decimal(3 * len(TEXTS)) * 10 / 1_000_000
    again = await encode_texts(fleet, Encoding(TEXTS, Job()))
    assert again.cost_usd == 0 and again.tokens == first.tokens
    assert np.array_equal(again.rows, first.rows) and again.rows.dtype == np.float32
    assert len(engine.calls) == 3
    await fleet.close()


async def test_runs_share_vectors_through_the_cache(tmp_path: Path) -> None:
    hosting = {"memory_gib": 0, "endpoint": {"url": "http://127.0.0.1:9/v1", "model": "tiny"}}
    file = FleetFile.model_validate({"name": "made", "models": [card(hosting=hosting)]})
    engines = [ScriptedEngine(lengths), ScriptedEngine(lengths)]
    costs = []
    for engine in engines:
        clients: dict[str, Any] = {"maker": InProcessClient("maker", lambda engine=engine: engine)}
        opened = Fleet.open("mini", cache=tmp_path / "cache")
        fleet = Fleet(file, Path("."), clients=clients, cache=opened.cache)
        costs.append((await encode_texts(fleet, Encoding(["a", "b"], Job()))).cost_usd)
        await fleet.close()
    assert costs[0] > 0 and costs[1] == 0
    assert [len(engine.calls) for engine in engines] == [1, 0]


async def test_the_first_card_makes_them_and_no_fallback_does() -> None:
    broken = ModelUnavailable("It is gone. Come again.")
    cards = [card(fallback="other"), card("other")]
    fleet, _ = fleet_of(*cards, answer=lambda call: broken)
    with pytest.raises(ModelUnavailable, match="It is gone"):
        await fleet.encode(["a"])
    assert (await fleet.encode(["a"], model="other")).shape == (1, 2)
    await fleet.close()


async def test_a_failure_ends_the_request_and_what_was_held_is_given_back() -> None:
    made: list[Call] = []

    def answer(call: Call) -> Any:
        made.append(call)
        return lengths(call) if len(made) == 1 else UsageError("No more. Stop.")

    fleet, _ = fleet_of(answer=answer)
    with pytest.raises(UsageError, match="No more"):
        await fleet.encode(TEXTS * 10)
    assert len(made) < 10
    fine = await fleet.encode(TEXTS[:MOST_TEXTS])  # paid for already, and so kept
    assert fine.shape == (MOST_TEXTS, 2)
    await fleet.close()


@pytest.mark.parametrize(
    ("texts", "options", "kind", "said"),
    [
        ("one", {}, UsageError, "texts is one string"),
        (["a", " "], {}, UsageError, r"texts\[1\] is ' '"),
        (["a"], {"budget": Budget(cost_usd=0)}, NoFeasiblePlan, "cost_usd=0.000090"),
        (["a"], {"budget": Budget(tokens=8)}, NoFeasiblePlan, "tokens=9"),
        (["a"], {"budget": Budget(memory_gib=0.1)}, NoFeasiblePlan, "memory_gib=0.2"),
        (["a"], {"data": "local"}, NoModel, "data='local'"),
        (["a"], {"model": "talker"}, UsageError, "makes no vectors .* 'maker'"),
    ],
)
async def test_what_cannot_be_is_refused_before_a_call(
    texts: Any, options: dict[str, Any], kind: type[OrchestraError], said: str
) -> None:
    talker = card("talker", capabilities=["text"])
    fleet, engine = fleet_of(card(data_goes_to="Mars"), talker)
    with pytest.raises(kind, match=said):
        await fleet.encode(texts, **options)
    assert not engine.calls
    await fleet.close()


async def test_a_fleet_without_an_encoder_says_what_it_has() -> None:
    fleet, _ = fleet_of(card("talker", capabilities=["text"]))
    with pytest.raises(
        NoModel, match=r"takes 'encode' \(it has: 'text'\).*capabilities: \[encode\]"
    ):
        await fleet.encode(["a"])
    await fleet.close()


async def test_an_engine_that_gives_no_vectors_is_told() -> None:
    fleet, _ = fleet_of(answer=lambda call: "words")
    with pytest.raises(AnswerInvalid, match="no vector of each of 1 texts"):
        await fleet.encode(["a"])
    await fleet.close()


async def test_a_lone_surrogate_is_read_as_a_sign_of_what_is_missing() -> None:
    fleet, engine = fleet_of()
    await fleet.encode(["a\ud800b"])
    assert engine.calls[0].texts == ("a?b",)
    await fleet.close()
