"""Deploy files: what we write, and the example, is what Ray Serve reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from orchestra.errors import InvalidFleet, InvalidGraph
from orchestra.serving.config import NODE_LOSS, as_yaml, deploy_config, import_path

ROOT = Path(__file__).parents[3]


def test_the_written_file_is_a_deploy_file_for_each_model_and_the_ingress() -> None:
    text = as_yaml(deploy_config("listing", {"fleet": "mini", "graphs": "answer"}, 8123), "s.yaml")
    parsed = ServeDeploySchema.model_validate(yaml.safe_load(text))
    (app,) = parsed.applications
    assert app.import_path == "graphs.listing:app"
    assert app.args == {"fleet": "mini", "graphs": "answer"}
    assert [entry.name for entry in app.deployments] == ["r1", "vl", "ingress"]
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


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidFleet, match="'flet'"):
        deploy_config("listing", {"flet": "mini"}, 8000)
    with pytest.raises(InvalidFleet, match="one writer"):
        deploy_config("listing", {"book": "b.sqlite", "ingresses": "2"}, 8000)
    with pytest.raises(InvalidGraph, match="no graph 'shop'"):
        deploy_config("shop", {}, 8000)
