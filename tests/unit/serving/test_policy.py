"""A served policy, without Ray: jobs are escalated and rated by it, a foreign one refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from graphs.answer import build as build_answer
from orchestra import Context, Fleet, JobState, ask, serve
from orchestra.cli.main import main
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.ask import ask as ask_node
from orchestra.core.ask import prompt_hash
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.errors import InvalidPolicy, InvalidRecipe
from orchestra.core.identity import fingerprints
from orchestra.fleet.source import load_fleet
from orchestra.quality.policy import Accuracy, Calibration, Cascade, Escalation, Policy, save_policy
from orchestra.serving.args import read_args
from orchestra.serving.config import deploy_config
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine

HALF = Accuracy(share=0.5, low=0.4, high=0.6, rows=100)
ASKED = "Extract what the text states."


class Facts(BaseModel):
    colour: str | None


def build() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", ASKED, schema=Facts))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph


def saying(colour: str, sure: float) -> ScriptedEngine:
    def answer(call: Call) -> Any:
        return Reply(colour, {"colour": colour}, {"colour": sure}, Usage(50, 10, 0))

    return ScriptedEngine(answer)


def curve(model: str, prompt: str) -> Calibration:
    """Right half as often as the model says."""
    return Calibration(
        node="read",
        model=model,
        field="colour",
        prompt=prompt,
        method="platt",
        right=HALF,
        covered=1.0,
        knots=((0.0, 0.0, 0.0, 1.0), (1.0, 0.5, 0.0, 1.0)),
        gain=(0.1, 0.2, 0.3),
        ece_before=0.2,
        ece_after=0.1,
    )


def written(path: Path, **changed: str) -> Path:
    """A policy of mini's models, whose fingerprints are `changed`."""
    prompt = prompt_hash(ask_node("text", ASKED, schema=Facts))
    own = fingerprints(*load_fleet("mini"))
    under_half = Escalation(ask="unsure", min_confidence=0.5)
    fields = {"colour": under_half}
    policy = Policy(
        fleet="mini",
        models={name: own[name] for name in ("v2", "r1")} | changed,
        cascades=(Cascade(node="read", models=("v2", "r1"), fields=fields, escalated=0.25),),
        calibration=(curve("v2", prompt), curve("r1", prompt)),
    )
    save_policy(policy, path)
    return path


async def test_a_job_over_http_is_planned_escalated_and_rated_by_the_policy(
    tmp_path: Path,
) -> None:
    first, better = saying("red", 0.3), saying("blue", 0.9)
    engines = {"v2": first, "r1": better}
    clients: Any = {
        name: InProcessClient(name, lambda engine=engine: engine)
        for name, engine in engines.items()
    }
    wanted = read_args({"policy": str(written(tmp_path / "policy.yaml"))})
    async with Fleet.open("mini", clients=clients, policy=Path(wanted.policy)) as fleet:
        app = make_app(Service(fleet, {"shop": build}))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as http:
            job = {"text": "A red shirt, or a blue one."}
            plan = (await http.post("/v1/plan", json=job)).json()
            result = (await http.post("/v1/jobs", json=job)).json()
    (node,) = plan["nodes"]
    assert (node["model"], node["escalation"]["model"]) == ("v2", "r1")
    assert len(first.calls) == len(better.calls) == 1
    colour = result["fields"]["colour"]
    assert (colour["value"], colour["model"]) == ("blue", "r1")
    assert colour["probability"] == pytest.approx(0.45)


def test_a_policy_of_another_fleet_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    foreign = str(written(tmp_path / "policy.yaml", v2="0" * 16))
    refused = r"another model 'v2'.*run `orchestra calibrate`"
    with pytest.raises(InvalidPolicy, match=refused):
        serve(build_answer)({"fleet": "mini", "policy": foreign})
    with pytest.raises(InvalidPolicy, match=refused):
        deploy_config("answer", {"fleet": "mini", "policy": foreign}, 8000)
    said = CliRunner().invoke(main, ["serve", "--graph", "answer", "--policy", foreign])
    assert said.exit_code != 0 and "InvalidPolicy" in said.stderr
    assert "another model 'v2'" in said.stderr and "starting a cluster" not in said.stderr


def test_a_policy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"none\.yaml"):
        serve(build_answer)({"policy": str(tmp_path / "none.yaml")})


def test_the_deploy_file_names_the_policy(tmp_path: Path) -> None:
    policy, config = written(tmp_path / "policy.yaml"), tmp_path / "serve.yaml"
    arguments = ["serve", "--graph", "answer", "--policy", policy, "--write-config", config]
    said = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert said.exit_code == 0, said.output
    (app,) = yaml.safe_load(config.read_text("utf-8"))["applications"]
    assert app["args"]["policy"] == str(policy.resolve())
