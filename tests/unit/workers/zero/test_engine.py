"""The maths worker on random weights: the engine contract where it applies, refusals, hashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from orchestra.core.call import Call, Reply
from orchestra.core.errors import (
    Cancelled,
    CheckpointInvalid,
    InvalidSchema,
    OrchestraError,
    OutsideDomain,
    UsageError,
)
from tests.contract.engine_contract import TEXTS, EngineContract, replies
from workers.training.zero.policy import build_policy, save_policy
from workers.training.zero.token_environment import TokenEnvironment
from workers.zero.engine import ZeroEngine
from workers.zero.environment import TRAINING_ID

QUESTION = "What is 5 + 6 modulo 8?"
QUESTIONS = [QUESTION, "(0 + 63) % 8", "7 加 7 模 8 等于多少？"]
ANSWER = {"type": "object", "properties": {"answer": {"type": "string"}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights."""
    out = tmp_path_factory.mktemp("zero")
    world = TokenEnvironment.open(TRAINING_ID)
    save_policy(build_policy(world, 0), world, TRAINING_ID, out)
    return out


@pytest.fixture(scope="module")
def engine(folder: Path) -> ZeroEngine:
    return ZeroEngine.load(folder)


def asked(question: str = QUESTION, **changes) -> Call:
    return Call(question, **{"schema": ANSWER, **changes})


class TestContract:
    """The parts of the contract that apply to an engine whose prompt is three tokens and whose
    answer is one number: the rest asks for texts, several properties, turns, or long prompts.
    """

    max_tokens = EngineContract.max_tokens
    test_no_calls_give_no_replies = EngineContract.test_no_calls_give_no_replies
    test_a_call_has_the_same_answer_alone_and_in_a_batch = (
        EngineContract.test_a_call_has_the_same_answer_alone_and_in_a_batch
    )
    test_the_same_batch_gives_the_same_answers_again = (
        EngineContract.test_the_same_batch_gives_the_same_answers_again
    )
    test_a_call_without_schema_gives_text_within_its_bound = (
        EngineContract.test_a_call_without_schema_gives_text_within_its_bound
    )
    test_a_schema_that_cannot_be_held_names_the_keyword = (
        EngineContract.test_a_schema_that_cannot_be_held_names_the_keyword
    )
    test_a_cancelled_row_costs_the_others_nothing = (
        EngineContract.test_a_cancelled_row_costs_the_others_nothing
    )
    test_the_pieces_that_are_heard_join_to_the_text = (
        EngineContract.test_the_pieces_that_are_heard_join_to_the_text
    )

    def call(self, text: str | None = None, **changes) -> Call:
        """Each text of the contract as a question of its own."""
        number = TEXTS.index(text) if text in TEXTS else 0
        return asked(f"What is {number} + 6 modulo 8?", **changes)


def test_an_answer_is_the_policys_likeliest_with_its_probability(
    engine: ZeroEngine, folder: Path
) -> None:
    policy = build_policy(TokenEnvironment.open(TRAINING_ID), 0)
    with torch.inference_mode():
        logits = policy(input_ids=torch.tensor([[5, 6, 64]])).logits[0, -1, :8]
    chances = logits.softmax(-1)
    (reply,) = replies(engine.generate([asked()]))
    assert reply.value == {"answer": str(int(chances.argmax()))}
    assert reply.text == json.dumps(reply.value, separators=(",", ":"))
    assert reply.confidence["answer"] == pytest.approx(float(chances.max()), rel=1e-4)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 1)
    assert reply.usage.cpu_s > 0


def test_a_schema_bounds_the_answer_and_confidence_is_the_share_of_what_it_allows(
    engine: ZeroEngine,
) -> None:
    only = {"type": "object", "properties": {"answer": {"const": 3}}}
    pair = {"type": "object", "properties": {"answer": {"enum": [1, 2]}}}
    one, other = replies(engine.generate([asked(schema=only), asked(schema=pair)]))
    assert (one.value, one.confidence) == ({"answer": 3}, {"answer": 1.0})
    assert other.value["answer"] in (1, 2)
    assert 0.5 <= other.confidence["answer"] < 1


def test_the_data_is_the_question_where_there_is_data(engine: ZeroEngine) -> None:
    plain, data = replies(
        engine.generate([asked(QUESTIONS[1]), asked("Work it out.", text=QUESTIONS[1])])
    )
    assert plain.text == data.text


@pytest.mark.parametrize(
    ("call", "kind", "part"),
    [
        (asked("What is the capital of France?"), OutsideDomain, "capital of France"),
        (asked("What is 5 + 6 modulo 7?"), OutsideDomain, "modulo 8"),
        (asked("What is 64 + 6 modulo 8?"), OutsideDomain, "64 is over 63"),
        (asked("Solve.", text="红色纯棉衬衫"), OutsideDomain, "红色纯棉衬衫"),
        (asked(images=(Image.new("RGB", (8, 8)),)), UsageError, "1 images"),
        (
            asked(schema={"type": "object", "properties": {"ok": {"type": "boolean"}}}),
            InvalidSchema,
            "'ok'",
        ),
    ],
)
def test_what_was_not_learnt_is_refused_and_costs_the_others_nothing(
    engine: ZeroEngine, call: Call, kind: type[OrchestraError], part: str
) -> None:
    (alone,) = replies(engine.generate([asked()]))
    error, fine = engine.generate([call, asked()])
    assert type(error) is kind and part in str(error)
    assert isinstance(fine, Reply) and fine.text == alone.text


def test_a_cancelled_row_is_not_computed(engine: ZeroEngine) -> None:
    gone, fine = engine.generate([asked(), asked()], lambda row: row == 0)
    assert isinstance(gone, Cancelled) and isinstance(fine, Reply)


@pytest.mark.parametrize("name", ["task.json", "model.safetensors"])
def test_a_checkpoint_that_was_changed_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(b" " + (folder / name).read_bytes()[1:])
    with pytest.raises(CheckpointInvalid, match="sha256"):
        ZeroEngine.load(tmp_path)


def test_a_checkpoint_that_does_not_say_its_task_cannot_be_served(
    folder: Path, tmp_path: Path
) -> None:
    for file in folder.iterdir():
        if file.name not in ("task.json", "checksums.json"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointInvalid, match=r"task\.json"):
        ZeroEngine.load(tmp_path)
