"""The built wheel in clean environments: what it holds, and what each extra is enough for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.demo.make_catalog import PLANTED, write_catalog
from orchestra.fleet.source import load_fleet
from tests.servers.fake_server import chat, endpoint_card, serving
from tests.tuning import cups, write_table
from tests.wheel import ROOT, Installed, build_wheel, install

MOST_MB = 32  # 27 of them are the bundled checkpoints
TEXT = "Red cotton shirt. Brand: Brandal. Origin: Italy."


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """No extra; `openai` is the user's own."""
    return install(wheel, tmp_path_factory.mktemp("base"), beside=("openai",))


@pytest.fixture(scope="module")
def edge(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(wheel, tmp_path_factory.mktemp("edge"), ("edge",))


@pytest.fixture(scope="module")
def mini(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(wheel, tmp_path_factory.mktemp("mini"), ("mini",))


@pytest.fixture(scope="module")
def local(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(wheel, tmp_path_factory.mktemp("local"), ("local",))


def test_the_wheel_holds_the_library_its_graphs_and_its_workers_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "graphs",
        "orchestra",
        "workers",
    }
    assert not [name for name in names if name.startswith("workers/training/")]
    assert {"orchestra/py.typed", "workers/finetune/trainer.py"} <= set(names)
    assert wheel.stat().st_size < MOST_MB * 1e6


def test_the_base_brings_neither_torch_nor_ray_nor_an_engine(base: Installed) -> None:
    assert base.has("langgraph")
    for module in ("torch", "transformers", "ray", "onnxruntime", "tests", "workers.training"):
        assert not base.has(module)


def test_the_base_tells_of_models(base: Installed) -> None:
    for fleet in ("mini", "article", "edge"):
        told = json.loads(base.run("orchestra", "models", "--fleet", fleet, "--json"))
        assert told["models"]


def test_the_base_runs_a_fleet_of_endpoints(base: Installed) -> None:
    with serving(chat('{"answer": "Hello"}')) as server:
        card = endpoint_card(server.url).model_dump(mode="json", exclude_unset=True)
        fleet = base.home / "fleet.yaml"
        fleet.write_text(yaml.safe_dump({"name": "mine", "models": [card]}), encoding="utf-8")
        told = json.loads(base.run("orchestra", "run", "Hello", "--fleet", fleet, "--json"))
    assert [call["error"] for call in told["calls"]] == [None]
    assert server.asked


def test_edge_brings_no_torch_and_no_ray(edge: Installed) -> None:
    assert edge.has("onnxruntime")
    for module in ("torch", "transformers", "ray"):
        assert not edge.has(module)


def test_edge_alone_writes_a_listing(edge: Installed) -> None:
    asked = ("run", TEXT, "--graph", "listing", "--fleet", "edge", "--json")
    told = json.loads(edge.run("orchestra", *asked))
    fields = {name: field["value"] for name, field in told["fields"].items()}
    assert (fields["category"], fields["colour"], fields["origin"]) == ("shirt", "red", "Italy")
    assert fields["title"]


def test_the_model_of_edge_is_minis() -> None:
    (mine,) = load_fleet(str(ROOT / "workers" / "fleets" / "edge.yaml"))[0].models
    assert mine == load_fleet("mini")[0].card("v2")


def test_mini_brings_no_torch_and_enriches_the_demos_catalog(mini: Installed) -> None:
    for module in ("torch", "transformers", "ray", "pyarrow"):
        assert not mini.has(module)
    table = write_catalog(mini.home / "catalog", 40, 1_000_000)
    mini.run("orchestra", "batch", table, "--out", "out", "--language", "auto")
    summary = json.loads((mini.home / "out" / "summary.json").read_text())
    for status in ("partial", "review", "failed"):
        assert summary[status] == sum(row.status == status for row in PLANTED.values())
    truth = mini.home / "catalog" / "truth.csv"
    scored = ("eval", "out", "--truth", truth, "--field", "category", "--json")
    assert json.loads(mini.run("orchestra", *scored))["accuracy"] == 1.0


def test_local_trains_a_model_further_and_benches_one(local: Installed) -> None:
    assert local.has("torch") and not local.has("ray")
    table = write_table(local.home / "mine.jsonl", cups(12))
    tune = ("finetune", "--base", "mini/r1", "--data", table, "--out", "tuned", "--steps", "1")
    assert json.loads(local.run("orchestra", *tune, "--json"))["steps"] == 1
    bench = ("bench", "--model", "r1", "--per-kind", "1", "--json")
    assert json.loads(local.run("orchestra", *bench))


# A user of LangGraph alone gets what its own types lack; that much is not ours to mend.
PLAIN = """
from typing import Any, TypedDict
from langgraph.graph import StateGraph

class State(TypedDict):
    text: str

def node(state: State) -> dict[str, Any]:
    return {}

def build() -> StateGraph[State]:
    graph = StateGraph(State)
    graph.add_node("read", node)
    return graph
"""
# What a user's own code does beyond the readme's samples.
MORE = """
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from langgraph.graph import StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel
from orchestra import Budget, Card, ChatModel, Context, Evidence, Field, Fleet, Job, JobState
from orchestra import OrchestraError, Plan, Recipe, Result, ask, merge, serve
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.errors import InvalidFleet
from orchestra.testing import ScriptedEngine

class Facts(BaseModel):
    colour: str | None

async def check(state: JobState, runtime: Runtime[Context]) -> dict[str, Any]:
    return {"fields": {"said": str(state["job"]), "fleet": runtime.context.fleet}}

class Worker:
    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> ScriptedEngine:
        return ScriptedEngine(lambda call: answer([call])[0])

def answer(calls: Sequence[Call]) -> list[Reply]:
    return [Reply(call.instruction, "x", usage=Usage(output_tokens=1)) for call in calls]

def build(recipe: Recipe | None = None) -> StateGraph[JobState, Context]:
    nodes = ask("text", "x", schema=Facts, data=lambda state: str(state["job"])), merge("look")
    assert nodes and recipe
    return StateGraph(JobState, context_schema=Context)

app = serve(build)

async def main() -> list[Evidence]:
    async with Fleet.open("mini") as fleet:
        cards: Sequence[Card] = fleet.file.models
        plan: Plan = fleet.plan(build, Job(text="x", budget=Budget(cost_usd="0.1")))
        print(cards, [node.model for node in plan.nodes])
        result: Result = await fleet.run(build, Job(text="x"))
        fields: list[Field] = list(result.fields.values())
        print([call.cost_usd for call in result.calls])
        done = await fleet.batch(build, "products.csv", out="out", limit=20)
        print(done.rows)
        return [evidence for field in fields for evidence in field.evidence]

def talk() -> str:
    try:
        return ChatModel(fleet="mini", budget=Budget(tokens=100)).invoke("Hello").text
    except (InvalidFleet, OrchestraError) as error:
        return error.kind
"""


@pytest.fixture(scope="module")
def samples(base: Installed) -> list[Path]:
    """The readmes' blocks of Python as files of a user's, and more that a user writes."""
    found = {"plain": PLAIN, "more": MORE}
    for page in ("README.md", "README.zh-CN.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        found |= {f"{page.lower()}_{at}".replace(".", "_"): body for at, body in enumerate(blocks)}
    assert len(found) > 4
    (base.home / "typed").mkdir()
    paths = [base.home / "typed" / f"{name}.py" for name in found]
    for path, body in zip(paths, found.values(), strict=True):
        path.write_text(body, encoding="utf-8")
    return paths


def test_pyright_finds_nothing_in_a_users_code_when_strict(
    base: Installed, samples: list[Path]
) -> None:
    settings = {"typeCheckingMode": "strict", "include": ["."], "pythonVersion": "3.11"}
    project = samples[0].parent / "pyrightconfig.json"
    project.write_text(json.dumps(settings), encoding="utf-8")
    command = ["-m", "pyright", "--outputjson", "--pythonpath", base.python, "-p", project]
    told = json.loads(checked(command, samples))
    assert told["summary"]["filesAnalyzed"] == len(samples)
    of_langgraph = {said(each) for each in told["generalDiagnostics"] if "plain.py" in each["file"]}
    rest = [each for each in told["generalDiagnostics"] if said(each) not in of_langgraph]
    assert rest == []


def said(diagnostic: dict[str, Any]) -> tuple[str, str]:
    return diagnostic.get("rule", ""), diagnostic["message"].splitlines()[0]


def test_mypy_finds_nothing_in_a_users_code_when_strict(
    base: Installed, samples: list[Path]
) -> None:
    cache = base.home / "mypy"
    command = ["-m", "mypy", "--strict", "--python-executable", base.python, "--cache-dir", cache]
    said = checked([*command, *samples], samples)
    assert said.startswith("Success: no issues found"), said


def checked(command: list[str | Path], samples: list[Path]) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True, text=True, timeout=280, check=False, cwd=samples[0].parent,
    )  # fmt: skip
    return done.stdout or done.stderr
