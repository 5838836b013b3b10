"""Deploy files: what we write, and the example, is what Ray Serve reads."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from orchestra.core.errors import InvalidFleet, InvalidGraph
from orchestra.fleet.source import load_fleet, load_graph
from orchestra.serving.app import served_graphs
from orchestra.serving.args import AppArgs
from orchestra.serving.config import NODE_LOSS, as_yaml, deploy_config, import_path

ROOT = Path(__file__).parents[3]


def test_the_written_file_is_a_deploy_file_for_each_model_and_the_ingress() -> None:
    text = as_yaml(deploy_config("listing", {"fleet": "mini", "graphs": "answer"}, 8123), "s.yaml")
    parsed = ServeDeploySchema.model_validate(yaml.safe_load(text))
    (app,) = parsed.applications
    names = [card.name for card in load_fleet("mini")[0].models]
    assert app.import_path == "graphs.listing:app"
    assert app.args == {"fleet": "mini", "graphs": "answer"}
    assert [entry.name for entry in app.deployments] == [*names, "ingress"]
    assert (parsed.http_options.host, parsed.http_options.port) == ("127.0.0.1", 8123)


def test_the_rayservice_example_holds_a_deploy_file() -> None:
    service = yaml.safe_load((ROOT / "examples/serve/rayservice.yaml").read_text(encoding="utf-8"))
    inner = yaml.safe_load(service["spec"]["serveConfigV2"])
    (app,) = ServeDeploySchema.model_validate(inner).applications
    assert app.import_path == import_path("listing")


def test_the_rayservice_example_notices_a_lost_node_as_soon_as_the_written_file_advises() -> None:
    service = yaml.safe_load((ROOT / "examples/serve/rayservice.yaml").read_text(encoding="utf-8"))
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    (container,) = head["containers"]
    assert {entry["name"]: entry["value"] for entry in container["env"]} == NODE_LOSS
    advice = as_yaml(deploy_config("listing", {}, 8000), "serve.yaml")
    assert all(f"{name}={value}" in advice for name, value in NODE_LOSS.items())


def test_the_examples_name_the_ray_and_the_extras_that_the_package_has() -> None:
    service = yaml.safe_load((ROOT / "examples/serve/rayservice.yaml").read_text(encoding="utf-8"))
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert pinned and service["spec"]["rayClusterConfig"]["rayVersion"] == pinned[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    image = (ROOT / "examples/serve/Dockerfile").read_text(encoding="utf-8")
    install = re.search(r'"\.\[([\w,]+)\]"', image)
    assert install and set(install[1].split(",")) <= set(project["optional-dependencies"])
    start = re.search(r'^CMD \["(\w+)", "serve"\]$', image, re.M)
    assert start and start[1] in project["scripts"]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidFleet, match=r"flet: .*Did you mean 'fleet'"):
        deploy_config("listing", {"flet": "mini"}, 8000)
    with pytest.raises(InvalidFleet, match="ingresses"):
        deploy_config("listing", {"book": "b.sqlite", "ingresses": "0"}, 8000)
    with pytest.raises(InvalidGraph, match="no graph 'shop'"):
        deploy_config("shop", {}, 8000)


def test_a_graph_in_a_file_is_served_under_the_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "graphs" / "answer.py").read_text(encoding="utf-8")
    (tmp_path / "shop.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (app,) = deploy_config("shop.py:build", {}, 8000)["applications"]
    assert app["import_path"] == "shop:app"
    graphs = served_graphs(load_graph("shop.py:build"), AppArgs(graphs="listing"))
    assert graphs == {"shop": f"{tmp_path}/shop.py:build", "listing": "listing"}
