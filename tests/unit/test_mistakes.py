"""Mistakes that people make in YAML and in graphs: each error names the mistake and its cure."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Budget, Context, Fleet, Job, JobState, OrchestraError, ask, merge
from orchestra.batch.recipe import Recipe
from orchestra.combine.merge import MergeRules
from orchestra.core import errors
from orchestra.core.card import parse_fleet
from orchestra.fleet.source import load_fleet, load_graph, load_worker
from tests.unit.core.test_card import CARD

Mistake = Callable[[], Any]


class Facts(BaseModel):
    colour: Literal["red", "blue"] | None


def yaml_of(change: Callable[[dict[str, Any]], Any], *, fleet: bool = False) -> Mistake:
    """Reading a fleet whose card, or that itself, was written wrongly."""

    def read() -> None:
        raw: dict[str, Any] = {"name": "shop", "models": [deepcopy(CARD)]}
        change(raw if fleet else raw["models"][0])
        parse_fleet(yaml.safe_load(yaml.safe_dump(raw)), origin="shop.yaml")

    return read


def renamed(old: str, new: str, *places: str) -> Callable[[dict[str, Any]], None]:
    """Write the key `old` at `places` as `new`."""

    def change(card: dict[str, Any]) -> None:
        for place in places:
            card = card[place]
        card[new] = card.pop(old, 1)

    return change


def planned(**nodes: Any) -> Mistake:
    """Planning a graph of these nodes, side by side."""

    def build() -> StateGraph[JobState, Context]:
        graph = StateGraph(JobState, context_schema=Context)
        for name, node in nodes.items():
            graph.add_node(name, node)
            graph.add_edge(START, name)
            graph.add_edge(name, END)
        return graph

    return lambda: Fleet.open("mini").plan(build, Job(text="A red shirt."))


def built(*steps: Callable[[StateGraph[JobState, Context]], Any]) -> Mistake:
    def build() -> StateGraph[JobState, Context]:
        graph = StateGraph(JobState, context_schema=Context)
        graph.add_node("look", ask("text", "Look.", schema=Facts))
        graph.add_edge(START, "look")
        for step in steps:
            step(graph)
        return graph

    return lambda: Fleet.open("mini").plan(build, Job(text="A red shirt."))


def anything(**values: Any) -> dict[str, Any]:
    """Values that pyright would not let through, as a user without it writes them."""
    return values


MISTAKES: dict[str, tuple[Mistake, str, str]] = {
    "a key of a card": (
        yaml_of(renamed("capabilities", "capabilites")),
        "InvalidFleet",
        r"models\.0\.capabilites: there is no such key. Did you mean 'capabilities'\?",
    ),
    "a key of its limits": (
        yaml_of(renamed("context_tokens", "context_token", "limits")),
        "InvalidFleet",
        r"models\.0\.limits\.context_token: .*Did you mean 'context_tokens'\?",
    ),
    "an optional key of its hosting": (
        yaml_of(renamed("none", "checkpiont", "hosting")),
        "InvalidFleet",
        r"models\.0\.hosting\.checkpiont: .*Did you mean 'checkpoint'\?",
    ),
    "a key of its quality": (
        yaml_of(lambda card: card.update(quality={"text": {"scor": 90}})),
        "InvalidFleet",
        r"models\.0\.quality\.text\.scor: .*Did you mean 'score'\?",
    ),
    "a key of an endpoint": (
        yaml_of(
            lambda card: card["hosting"].update(
                endpoint={"url": "http://here/v1", "model": "m", "api_key": "X"}
            )
        ),
        "InvalidFleet",
        r"hosting\.endpoint\.api_key: .*Did you mean 'api_key_env'\?",
    ),
    "a key of the fleet": (
        yaml_of(renamed("models", "model"), fleet=True),
        "InvalidFleet",
        r"shop\.yaml is not a fleet: model: .*Did you mean 'models'\?",
    ),
    "a key that is like none": (
        yaml_of(lambda card: card["limits"].update(flavour="sweet")),
        "InvalidFleet",
        r"limits\.flavour: there is no such key. There are: 'context_tokens', .*\(got 'sweet'\)",
    ),
    "a capability": (
        yaml_of(lambda card: card.update(capabilities=["Text"])),
        "InvalidFleet",
        r"one lower-case word, .* and 'Text' is none",
    ),
    "a fleet": (lambda: load_fleet("mni"), "InvalidFleet", r"no fleet 'mni'.*mean 'mini'\?"),
    "a graph": (lambda: load_graph("listng"), "InvalidGraph", r"'listng'.*mean 'listing'\?"),
    "a graph's function": (
        lambda: load_graph("graphs.listing:biuld"),
        "InvalidGraph",
        r"no callable 'biuld'. Did you mean 'build'\?",
    ),
    "a graph's module": (
        lambda: load_graph("graphs.lsting:build"),
        "InvalidGraph",
        r"No module named 'graphs\.lsting'. Did you mean 'graphs\.listing'\?",
    ),
    "a worker's class": (
        lambda: load_worker("tests.stub_worker:StubWorkr"),
        "InvalidFleet",
        r"tests\.stub_worker has no 'StubWorkr'. Did you mean 'StubWorker'\?",
    ),
    "a bundled worker's class": (
        lambda: load_worker("workers.onnx.engine:OnxEngine"),
        "InvalidFleet",
        r"workers\.onnx\.engine has no 'OnxEngine'. Did you mean 'OnnxEngine'\?",
    ),
    "a worker's module": (
        lambda: load_worker("workers.onx.engine:OnnxEngine"),
        "InvalidFleet",
        r"No module named 'workers\.onx'. Did you mean 'workers\.onnx'\?",
    ),
    "a worker's own module": (
        lambda: load_worker("tests.stub_wroker:StubWorker"),
        "InvalidFleet",
        r"Did you mean 'tests\.stub_worker'\?",
    ),
    "a worker without a class": (
        lambda: load_worker("tests.stub_worker"),
        "InvalidFleet",
        "names no class. Write module:Class",
    ),
    "a schema of no object": (
        lambda: ask("text", "What colour?", schema={"type": "string"}),
        "InvalidSchema",
        r'schema=\{"type": "string"\}, which has no properties.*Wrap it: .*"answer"',
    ),
    "a schema of no model": (
        lambda: ask("text", "What colour?", **anything(schema=str)),
        "InvalidSchema",
        r"schema=<class 'str'>, which is neither .*class Answer\(BaseModel\)",
    ),
    "a property of no schema": (
        lambda: ask("text", "What colour?", schema={"properties": {"colour": "string"}}),
        "InvalidSchema",
        r"property 'colour' is 'string', not a schema",
    ),
    "a placeholder": (
        lambda: ask("text", "Is it {colour}?"),
        "InvalidGraph",
        r"\{colour\} left in its prompt 'Is it \{colour\}\?'.*data=.*write \{\{colour\}\}",
    ),
    "a placeholder that is known": (
        lambda: ask("text", "Write in {langauge}."),
        "InvalidGraph",
        r"Did you mean \{language\}\?",
    ),
    "an ask for a capability": (
        planned(read=ask("txt", "Read.", schema=Facts)),
        "NoModel",
        r"No model takes 'txt' at node 'read'.*Did you mean 'text'\?",
    ),
    "a node to merge": (
        planned(read=ask("text", "Read.", schema=Facts), join=merge("raed")),
        "InvalidGraph",
        r"'join' joins the answers of 'raed', which is no node of the graph. .* 'read'\?",
    ),
    "a node to merge that is like none": (
        planned(read=ask("text", "Read.", schema=Facts), join=merge("nope")),
        "InvalidGraph",
        r"joins the answers of 'nope', which is no node of the graph. There are: 'read'\.",
    ),
    "a side to prefer": (
        lambda: merge("look", "read", **anything(prefer="txt")),
        "InvalidGraph",
        r"prefer='txt'.*Did you mean 'text'\?",
    ),
    "a side of the rules": (
        lambda: merge("look", rules=MergeRules(**anything(prefer="photo"))),
        "InvalidGraph",
        r"prefer='photo'; it prefers what the 'image' shows",
    ),
    "a node twice": (
        built(lambda graph: graph.add_node("look", ask("text", "Again.", schema=Facts))),
        "InvalidGraph",
        r"'build' cannot be built: Node `look` already present",
    ),
    "the end of an edge": (
        built(lambda graph: graph.add_edge("look", "looc")),
        "InvalidGraph",
        r"does not compile: .*`looc`.*Did you mean 'look'\?",
    ),
    "a part of a token": (
        lambda: Budget(tokens=1.5),
        "InvalidBudget",
        r"tokens=1\.5 is no whole number.*Give 2\.",
    ),
    "more tokens than are counted": (
        lambda: Budget(tokens=10**30),
        "InvalidBudget",
        r"tokens=10{30} is more than is counted: 1,000,000,000,000,000 tokens at most",
    ),
    "more time than is counted": (
        lambda: Budget(latency_ms="1e400"),
        "InvalidBudget",
        r"latency_ms='1e400' is more than is counted",
    ),
    "a key of a budget": (
        lambda: Budget(**anything(cost=1)),
        "InvalidBudget",
        r"Budget has no limit 'cost' \(got 1\). Did you mean 'cost_usd'\?",
    ),
}


@pytest.mark.parametrize(("mistake", "kind", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_cure(mistake: Mistake, kind: str, words: str) -> None:
    with pytest.raises(getattr(errors, kind), match=words) as raised:
        mistake()
    assert "pip install" not in str(raised.value)


async def test_an_option_of_a_batch_that_there_is_not_is_named(tmp_path: Path) -> None:
    async with Fleet.open("mini") as fleet:
        wrong = anything(outt=tmp_path)
        with pytest.raises(errors.UsageError, match=r"no option 'outt'"):
            await fleet.batch(lambda: None, "t.csv", out=tmp_path / "out", **wrong)


def test_files_that_there_are_not_are_looked_for_beside(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("", encoding="utf-8")
    (tmp_path / "shop.py").write_text("def build(): ...", encoding="utf-8")
    with pytest.raises(errors.InvalidFleet, match=r"Did you mean '.*shop\.yaml'\?"):
        load_fleet(str(tmp_path / "shops.yaml"))
    with pytest.raises(errors.InvalidGraph, match=r"Did you mean '.*shop\.py'\?"):
        load_graph(f"{tmp_path / 'shpo.py'}:build")
    with pytest.raises(errors.InvalidGraph, match=r"Did you mean 'build'\?"):
        load_graph(f"{tmp_path / 'shop.py'}:buidl")


def test_a_misspelt_key_of_a_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: r\nversion: 1\nfeilds: {}\n", encoding="utf-8")
    with pytest.raises(errors.InvalidRecipe, match=r"feilds: .*Did you mean 'fields'\?"):
        Recipe.load(path)


def test_what_a_build_function_raises_of_ours_stays_what_it_is() -> None:
    def build() -> Any:
        Budget(tokens=-1)

    with pytest.raises(errors.InvalidBudget):
        Fleet.open("mini").plan(build, Job(text="x"))


def test_every_mistake_is_a_request_that_stays_wrong() -> None:
    for _, kind, _ in MISTAKES.values():
        assert issubclass(getattr(errors, kind), errors.UsageError | errors.PlanError)
        assert issubclass(getattr(errors, kind), OrchestraError)
