"""The bundled maths model: what its card says of it is so, and it answers where a user asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner
from transformers import Qwen2ForCausalLM

from graphs.listing import build as listing
from graphs.maths import build as maths
from orchestra.app import Fleet
from orchestra.cli.main import main
from orchestra.core.call import Call, Reply
from orchestra.core.card import Card
from orchestra.core.job import Job
from orchestra.fleet.source import load_fleet
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from workers.training.zero.learn import solve_rate
from workers.training.zero.token_environment import TokenEnvironment
from workers.zero.engine import ZeroEngine
from workers.zero.environment import KEPT_OUT_ID, TRAINING_ID

QUESTION = "What is 5 + 6 modulo 8?"


def bundled() -> tuple[Card, Path]:
    file, folder = load_fleet("mini")
    card = file.card("zero")
    return card, folder / (card.hosting.checkpoint or "")


def test_the_cards_score_is_the_rate_on_problems_kept_out_of_training() -> None:
    card, folder = bundled()
    policy: Any = Qwen2ForCausalLM.from_pretrained(folder, local_files_only=True)
    kept_out, training = TokenEnvironment.open(KEPT_OUT_ID), TokenEnvironment.open(TRAINING_ID)
    score = round(100 * solve_rate(policy, kept_out), 1)
    assert card.quality["maths"].score == score >= 67
    shares = f"{score}% of {len(kept_out.env.get_wrapper_attr('problems'))}"
    assert shares in card.scores[0]
    assert f"{100 * solve_rate(policy, training):.1f}%" in card.scores[0]
    assert shares in (folder / "CARD.md").read_text(encoding="utf-8")


def test_the_worker_answers_in_words_what_the_policy_solves() -> None:
    card, folder = bundled()
    engine = ZeroEngine.load(folder)
    problems: list[tuple[int, int]] = TokenEnvironment.open(KEPT_OUT_ID).env.get_wrapper_attr(
        "problems"
    )
    calls = [Call(f"What is {a} + {b} modulo 8?") for a, b in problems]
    replies = [reply for reply in engine.generate(calls) if isinstance(reply, Reply)]
    right = [
        reply.text == str((a + b) % 8) for (a, b), reply in zip(problems, replies, strict=True)
    ]
    assert round(100 * sum(right) / len(right), 1) == card.quality["maths"].score


async def test_the_graph_answers_with_the_policys_confidence_and_refuses_what_it_never_learnt() -> (
    None
):
    async with Fleet.open("mini") as fleet:
        result = await fleet.run(maths, Job(text=QUESTION))
        field = result.fields["answer"]
        assert (field.value, field.source, field.model) == ("3", "derived", "zero")
        assert field.confidence is not None and 0.5 < field.confidence <= 1
        assert result.status == "complete" and result.cost_usd > 0
        refused = await fleet.run(maths, Job(text="What is the capital of France?"))
        assert (refused.status, refused.errors[0].type) == ("failed", "OutsideDomain")
        assert "capital of France" in refused.errors[0].message


async def test_a_chat_with_the_model_is_answered_and_one_outside_its_task_is_a_422() -> None:
    async with Fleet.open("mini") as fleet:
        app = make_app(Service(fleet, {"maths": maths}))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:

            async def chat(model: str, question: str, **more: Any) -> httpx.Response:
                message = {"role": "user", "content": question}
                asked = {"model": model, "messages": [message], **more}
                return await http.post("/v1/chat/completions", json=asked)

            plain = (await chat("zero", QUESTION)).json()
            assert plain["choices"][0]["message"]["content"] == "3"
            assert plain["orchestra"]["models"] == ["zero"]
            shape = {"type": "object", "properties": {"sum": {"type": "integer"}}}
            held = {"type": "json_schema", "json_schema": {"name": "sum", "schema": shape}}
            told = (await chat("zero", QUESTION, response_format=held)).json()
            assert told["choices"][0]["message"]["content"] == '{"sum":3}'
            by_graph = (await chat("maths", QUESTION)).json()
            for answer, name in ((told, "sum"), (by_graph, "answer")):
                assert 0.5 < answer["orchestra"]["fields"][name]["confidence"] <= 1
            refused = await chat("zero", "Who wrote Hamlet?")
            assert (refused.status_code, refused.json()["error"]["code"]) == (422, "OutsideDomain")


async def test_no_text_or_photo_is_sent_to_the_maths_model() -> None:
    async with Fleet.open("mini") as fleet:
        plan = fleet.plan(listing, Job(text=QUESTION))
        assert "zero" not in {node.model for node in plan.nodes}
        assert any("takes maths" in entry.reason for entry in plan.rejected)


def test_run_prints_the_answer_alone_on_stdout() -> None:
    ran = CliRunner().invoke(main, ["run", "--graph", "maths", QUESTION])
    assert (ran.exit_code, ran.stdout) == (0, "3\n")
    assert "[complete, $" in ran.stderr


def test_run_says_why_a_question_outside_the_task_has_no_answer_and_fails() -> None:
    ran = CliRunner().invoke(main, ["run", "--graph", "maths", "Who wrote Hamlet?"])
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "work_out: OutsideDomain: 'Who wrote Hamlet?' is outside what" in ran.stderr
