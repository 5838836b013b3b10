"""Each model is asked what it can take, and scored against the truth."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from orchestra.bench.measure import ACCOUNT, measure, percentile_ms
from orchestra.bench.questions import Question, choice_schema
from orchestra.book.messages import OpenAccount
from orchestra.core.call import Call
from orchestra.core.errors import AnswerInvalid, BudgetExceeded, ModelUnavailable
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
        await fleet.ledger.send(OpenAccount(ACCOUNT))
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
        await fleet.ledger.send(OpenAccount(ACCOUNT))
        measured = await measure(fleet, fleet.file.card("r1"), [asked("red", None)])
    (score,) = measured.scores
    assert (score.right, score.abstained, measured.failed) == (0, 0, 1)
    assert list(measured.errors) == ["AnswerInvalid"]
    assert measured.seconds == []


async def test_a_bench_stops_at_its_budget() -> None:
    fleet, _ = scripted_fleet(first_word)
    async with fleet:
        await fleet.ledger.send(OpenAccount(ACCOUNT, cost_micro=0))
        with pytest.raises(BudgetExceeded, match="'bench'"):
            await measure(fleet, fleet.file.card("r1"), [asked("red shirt", "red")])


async def test_a_model_that_takes_none_of_them_is_left_alone() -> None:
    fleet, engines = scripted_fleet(first_word)
    async with fleet:
        measured = await measure(fleet, fleet.file.card("vl"), [asked("red shirt", "red")])
    assert measured.scores == []
    assert not engines["vl"].calls


async def test_a_model_that_is_not_there_ends_the_questions() -> None:
    fleet, engines = scripted_fleet(lambda call: ModelUnavailable("The server is down. Start it."))
    async with fleet:
        await fleet.ledger.send(OpenAccount(ACCOUNT))
        with pytest.raises(ModelUnavailable, match="server is down"):
            await measure(fleet, fleet.file.card("r1"), [asked("red", "red"), asked("blue", "red")])
    assert len(engines["r1"].calls) == 1


async def test_fields_of_one_call_are_scored_apart_and_asked_once() -> None:
    fleet, engines = scripted_fleet(lambda call: {"colour": "red", "size": "small"})
    fields = {"colour": {"type": "string"}, "size": {"type": "string"}}
    call = Call("Which?", "A small red hat.", (), {"type": "object", "properties": fields})
    questions = [
        Question("extraction", call, "colour", "red", "en"),
        Question("extraction", call, "size", "large", "zh"),
    ]
    async with fleet:
        await fleet.ledger.send(OpenAccount(ACCOUNT))
        measured = await measure(fleet, fleet.file.card("r1"), questions)
    assert [(part.kind, part.right) for part in measured.parts] == [("en", 1), ("zh", 0)]
    assert (measured.scores[0].right, measured.scores[0].wrong) == (1, 1)
    assert len(measured.seconds) == 1
    assert len(engines["r1"].calls) == 2  # the first one warms it


async def test_a_wrong_answer_is_told_from_an_abstention() -> None:
    fleet, _ = scripted_fleet(first_word)
    questions = [asked("red hat", "blue"), asked("no idea", "green"), asked("none", None)]
    async with fleet:
        await fleet.ledger.send(OpenAccount(ACCOUNT))
        measured = await measure(fleet, fleet.file.card("r1"), questions)
    (score,) = measured.scores
    assert (score.right, score.wrong, score.abstained) == (1, 1, 2)


def test_percentiles_are_of_the_nearest_rank() -> None:
    seconds = [0.004, 0.001, 0.003, 0.002]
    assert percentile_ms(seconds, 0.5) == 2.0
    assert percentile_ms(seconds, 0.95) == 4.0
    assert percentile_ms([], 0.5) is None
