"""Commands run in a folder whose own packages are called `graphs` and `workers`, as ours are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from orchestra.fleet.source import load_fleet
from tests.processes import ROOT, free_port, running
from tests.tiny_models import tiny_qwen2
from tests.tuning import cups, write_table
from tests.tuning import write_fleet as write_base
from workers.synthetic.drawn import RESERVED_SEED, draw_product

GRAPH = """
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel
from orchestra import Context, JobState, ask, merge
from graphs.helpers import ASKED

class Facts(BaseModel):
    colour: str | None

def build():
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", ASKED, schema=Facts))
    graph.add_node("read", ask("text", ASKED, schema=Facts))
    graph.add_node("merge", merge("look", "read", prefer="text"), defer=True)
    graph.add_edge(START, "look")
    graph.add_edge(START, "read")
    graph.add_edge("look", "merge")
    graph.add_edge("read", "merge")
    graph.add_edge("merge", END)
    return graph
"""
WORKER = """
from orchestra.core.call import Reply, Usage
from orchestra.testing import ScriptedEngine
from workers.text import ANSWER

class Worker:
    @classmethod
    def load(cls, checkpoint, *, threads):
        return ScriptedEngine(lambda call: Reply(ANSWER, ANSWER, usage=Usage(output_tokens=8)))
"""
FILES = {
    "graphs/__init__.py": "",
    "graphs/mine.py": GRAPH,
    "graphs/helpers.py": "ASKED = 'Describe the product shown.'\n",
    "graphs/listing.py": "raise RuntimeError('this listing is the user\\'s')\n",
    "workers/__init__.py": "",
    "workers/mine.py": WORKER,
    "workers/text.py": """ANSWER = '{"colour": "green"}'\n""",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of the user's, with a fleet of their text worker beside our vision model."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    image = draw_product("Apple", "green", seed=RESERVED_SEED, size=128)
    image.convert("RGB").save(tmp_path / "apple.png")
    (tmp_path / "t.csv").write_text("id,text,image\n1,Crisp green apple,apple.png\n")
    file, folder = load_fleet("mini")
    cards: dict[str, dict[str, Any]] = {
        card.name: card.model_dump(mode="json", exclude_unset=True)
        for card in file.models
        if card.name in ("r1", "vl")
    }
    cards["r1"] |= {"name": "mine"}
    cards["r1"]["hosting"] |= {"worker": "workers.mine:Worker", "checkpoint": "."}
    cards["vl"]["hosting"]["checkpoint"] = str((folder / "../checkpoints/vl").resolve())
    fleet = {"name": "mixed", "models": list(cards.values())}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(fleet), encoding="utf-8")
    return tmp_path


def importable(home: Path) -> dict[str, str]:
    """An environment in which the user's modules come before ours, on Ray's workers too."""
    return {"PYTHONPATH": os.pathsep.join((str(home), str(ROOT)))}


def command(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "orchestra", *arguments],
        capture_output=True, text=True, timeout=280, check=False,
        cwd=home, env=os.environ | importable(home),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ready_made_graphs_and_models_answer_there(home: Path) -> None:
    told = json.loads(command(home, "run", "Hello", "--json"))
    assert told["status"] in ("complete", "review")
    listing = ("run", "红色纯棉衬衫", "--image", "apple.png", "--graph", "listing", "--json")
    fields = json.loads(command(home, *listing))["fields"]
    assert (fields["colour"]["value"], fields["material"]["value"]) == ("red", "cotton")


MIXED = ("--graph", "graphs.mine:build", "--fleet", "fleet.yaml")


def test_a_users_graph_and_worker_run_beside_our_model_in_one_process(home: Path) -> None:
    asked = ("run", "Crisp green apple", "--image", "apple.png", *MIXED, "--json")
    told = json.loads(command(home, *asked))
    assert told["fields"]["colour"]["value"] == "green"
    assert {call["model"]: call["error"] for call in told["calls"]} == {"mine": None, "vl": None}


def test_a_model_is_fine_tuned_there(home: Path) -> None:
    tiny_qwen2(home / "weights")
    write_base(home, {"name": "r1", "hosting": {"checkpoint": "weights"}})
    write_table(home / "mine.jsonl", cups(12))
    tune = ("finetune", "--base", "base.yaml/r1", "--data", "mine.jsonl", "--out", "tuned")
    told = json.loads(command(home, *tune, "--steps", "2", "--json"))
    assert told["steps"] == 2


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_batch_on_ray_runs_the_users_graph_and_both_workers(home: Path) -> None:
    table = ("t.csv", "--text-columns", "text", "--image-column", "image")
    command(home, "batch", *table, "--out", "here", *MIXED)
    command(home, "batch", *table, "--out", "there", *MIXED, "--on", "ray")
    here, there = ((home / out / "products.csv").read_text() for out in ("here", "there"))
    assert here == there
    assert "green,photo" in here


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_replicas_serve_the_users_graph_and_ours(home: Path) -> None:
    port = free_port()
    serve = ["orchestra", "serve", *MIXED, "--graph", "answer", "--port", str(port)]
    job = {"text": "Crisp green apple"}
    with running(serve, home, importable(home)) as served:
        served.wait_for(f"http://127.0.0.1:{port}/readyz")
        for graph in ("mine", "answer"):
            answer = httpx.post(
                f"http://127.0.0.1:{port}/v1/jobs", json=job | {"graph": graph}, timeout=60
            )
            assert answer.status_code == 200, answer.text
        served.interrupt()
