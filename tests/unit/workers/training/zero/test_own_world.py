"""An environment of a user's own is trained on, checked, and served through a fleet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from click.testing import CliRunner
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from graphs.maths import build as maths
from orchestra import Context, Fleet, Job, JobState, ask
from orchestra.cli.main import main
from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid, OutsideDomain, UsageError
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.documents import files
from workers.training.zero import train
from workers.training.zero.policy import build_policy, save_policy
from workers.training.zero.token_environment import TokenEnvironment
from workers.zero.engine import ZeroEngine

BOUND = """

class Bound(Thermostat):
    def read(self, question):
        return self.degrees
"""


class Advice(BaseModel):
    advice: Literal["heat", "wait", "cool"]


def build() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("advise", ask("climate", "What to do?", schema=Advice))
    graph.add_edge(START, "advise")
    graph.add_edge("advise", END)
    return graph


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder that `python -m workers.training.zero.train` leaves."""
    home = tmp_path_factory.mktemp("world")
    written = files("docs/workers.md")["rooms.py"]  # as a user writes it
    (home / "rooms.py").write_text(written + BOUND, encoding="utf-8")
    arguments = ["train", "--env", "rooms:Thermostat", "--episodes", "300", "--seeds", "0"]
    arguments += ["--capability", "climate", "--out", str(home / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(home))
        patch.setattr(sys, "argv", arguments)
        train.main()
        yield home / "out"


async def test_what_was_trained_is_served_by_the_fleet_that_training_wrote(trained: Path) -> None:
    async with Fleet.open(str(trained / "fleet.yaml")) as fleet:
        (card,) = fleet.file.models
        assert (card.name, card.capabilities) == ("thermostat", ("climate",))
        assert card.quality["climate"].score == 100.0
        for degrees, right in ((15, "heat"), (20, "wait"), (24, "cool")):
            result = await fleet.run(build, Job(text=f"The room has {degrees} degrees now."))
            field = result.fields["advice"]
            assert (result.status, field.value, field.source) == ("complete", right, "text")
            assert field.confidence is not None and 1 / 3 < field.confidence <= 1
        refused = await fleet.run(build, Job(text="It is 40 degrees."))
        assert (refused.status, refused.errors[0].type) == ("failed", "OutsideDomain")
        assert "15 to 24" in refused.errors[0].message


async def test_it_is_chatted_with_over_http_by_its_name(trained: Path) -> None:
    async with Fleet.open(str(trained / "fleet.yaml")) as fleet:
        transport = httpx.ASGITransport(app=make_app(Service(fleet, {"maths": maths})))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            message = {"role": "user", "content": "It is 17 degrees."}
            asked = {"model": "thermostat", "messages": [message]}
            told = (await http.post("/v1/chat/completions", json=asked)).json()
    assert told["choices"][0]["message"]["content"] == "heat"


def test_its_card_passes_the_check_with_its_own_example(trained: Path) -> None:
    told = CliRunner().invoke(main, ["models", "--check", str(trained / "fleet.yaml")])
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("thermostat: ok") and told.stdout.endswith(": heat\n")


def engine_of(name: str, out: Path) -> ZeroEngine:
    world = TokenEnvironment.open(name)
    save_policy(build_policy(world, 0), world, name, out)
    return ZeroEngine.load(out)


@pytest.mark.parametrize(
    ("question", "is_read"), [("10", True), ("place 13", True), ("9", False), ("14", False)]
)
def test_a_world_without_a_reader_is_asked_by_the_numbers_that_it_shows(
    tmp_path: Path, question: str, is_read: bool
) -> None:
    engine = engine_of("tests.unit.workers.training.zero.zero_worlds:Corridor", tmp_path)
    schema = {"type": "object", "properties": {"go": {"type": "integer"}}}
    answer, words, none = engine.generate(
        [Call(question, schema=schema), Call(question), Call("10 11")]
    )
    assert isinstance(none, OutsideDomain)
    if not is_read:
        assert isinstance(answer, OutsideDomain) and "10 to 13" in str(answer)
        return
    assert isinstance(answer, Reply) and isinstance(words, Reply)
    assert answer.value["go"] in (1, 2) and words.value == str(answer.value["go"])
    assert answer.usage.input_tokens == engine.count_tokens(Call(question)) == 2


def test_a_reader_that_is_gone_or_needs_an_environment_is_named(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = TokenEnvironment.open("rooms:Bound")
    with pytest.raises(UsageError, match=r"Bound\.read .*Make it a @staticmethod"):
        save_policy(build_policy(world, 0), world, "rooms:Bound", tmp_path)
    monkeypatch.delitem(sys.modules, "rooms")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if "world" not in place])
    with pytest.raises(CheckpointInvalid, match="'rooms:Thermostat', which reads"):
        ZeroEngine.load(trained)
