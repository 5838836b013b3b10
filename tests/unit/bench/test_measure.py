"""Each model is asked what it can take, and scored against the truth."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from orchestra.bench.measure import ACCOUNT, Measured, measure
from orchestra.bench.questions import Question, choice_schema
from orchestra.clients.engine import Call
from orchestra.errors import AnswerInvalid, BudgetExceeded
from tests.scripted import scripted_fleet

WORDS = ("red", "blue", "green")


def asked(text: str, truth: str | None, task: str = "colour") -> Question:
    return Question(task, Call("Which?", text, (), choice_schema(WORDS)), "answer", truth)


def seen(truth: str) -> Question:
    image = Image.new("RGB", (8, 8), truth)
    return Question("vqa", Call("Which?", None, (image,), choice_schema(WORDS)), "answer", truth)


def first_word(call: Call) -> Any:
    """Reads the text's first word; other words than colours are nothing it knows."""
    word = (call.text or "").split()[0]
    return {"answer": word if word in WORDS else None}


async def test_a_text_model_is_scored_on_texts_alone() -> None:
    fleet, engines = scripted_fleet(first_word)
    questions = [
        asked("red shirt", "Red"),
        asked("red apple", "blue"),
        asked("blue hat", "blue"),
        asked("nothing here", None),
        asked("no idea", "green"),
        asked("green tea", "green", task="tea"),
        seen("red"),
    ]
    async with fleet:
        await fleet.ledger.open_account(ACCOUNT)
        measured = await measure(fleet, fleet.file.card("r1"), questions)
    colour, tea = measured.scores
    assert (colour.task, colour.asked, colour.right, colour.abstained) == ("colour", 5, 3, 2)
    assert colour.baseline == 0.4  # two of five are blue
    assert colour.interval is not None and colour.interval[0] < 0.6 < colour.interval[1]
    assert (tea.task, tea.right) == ("tea", 1)
    assert len(measured.seconds) == 6
    assert not engines["vl"].calls
    assert measured.cost_usd > 0


async def test_a_failed_call_is_wrong_and_its_error_is_kept() -> None:
    fleet, _ = scripted_fleet(lambda call: AnswerInvalid("Purple is no choice. Ask again."))
    async with fleet:
        await fleet.ledger.open_account(ACCOUNT)
        measured = await measure(fleet, fleet.file.card("r1"), [asked("red", None)])
    (score,) = measured.scores
    assert (score.right, score.abstained, measured.failed) == (0, 0, 1)
    assert list(measured.errors) == ["AnswerInvalid"]
    assert measured.percentile_ms(0.5) is None


async def test_a_bench_stops_at_its_budget() -> None:
    fleet, _ = scripted_fleet(first_word)
    async with fleet:
        await fleet.ledger.open_account(ACCOUNT, cost_micro=0)
        with pytest.raises(BudgetExceeded, match="'bench'"):
            await measure(fleet, fleet.file.card("r1"), [asked("red shirt", "red")])


async def test_a_model_that_takes_none_of_them_is_left_alone() -> None:
    fleet, engines = scripted_fleet(first_word)
    async with fleet:
        measured = await measure(fleet, fleet.file.card("vl"), [asked("red shirt", "red")])
    assert measured.scores == []
    assert not engines["vl"].calls


def test_percentiles_are_of_the_nearest_rank() -> None:
    measured = Measured("m", "R1", seconds=[0.004, 0.001, 0.003, 0.002])
    assert measured.percentile_ms(0.5) == 2.0
    assert measured.percentile_ms(0.95) == 4.0
