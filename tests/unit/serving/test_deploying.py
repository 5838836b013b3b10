"""Files that deploy the server name what the package has; see `make deploy-check` for more."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestra.cli.server.serve import serve_command, url_of
from orchestra.cli.server.serve_options import GRACE_S
from orchestra.cluster.drain import DOOR_FILE
from orchestra.cluster.supervised import CLUSTER_DIED, TEARDOWN_S
from orchestra.serving.args import AppArgs

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
FILES = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
OPTIONS = {name for parameter in serve_command.params for name in parameter.opts}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def pods(thing: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods' templates of an object."""
    spec = thing.get("spec", {})
    if thing["kind"] == "StatefulSet":
        yield spec["template"]
    elif thing["kind"] == "RayService":
        cluster = spec["rayClusterConfig"]
        yield cluster["headGroupSpec"]["template"]
        yield from (group["template"] for group in cluster["workerGroupSpecs"])


PODS = [
    pod for path in FILES for thing in documents(path) if "kind" in thing for pod in pods(thing)
]


def test_the_image_starts_a_server_with_options_that_there_are() -> None:
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    command = re.search(r"^CMD (\[.*\])$", image, re.M)
    assert command is not None
    first, *rest = yaml.safe_load(command[1])
    assert first == "serve" and {one for one in rest if one.startswith("--")} <= OPTIONS
    assert re.search(r"^USER 1000", image, re.M)


def test_the_image_is_made_of_what_the_package_is_built_from() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    named = {project["project"]["readme"], *project["project"]["license-files"]}
    assert kept == {*packages, *named, "pyproject.toml", "constraints.txt"}
    assert "*" in lines  # everything else stays out: .git, tests, a user's own keys


@pytest.mark.parametrize(
    "pod",
    PODS,
    ids=lambda pod: pod["metadata"]["labels"][next(reversed(pod["metadata"]["labels"]))],
)
def test_no_pod_is_root_or_has_rights(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"]
    for container in spec["containers"]:
        own = container["securityContext"]
        assert own["capabilities"] == {"drop": ["ALL"]} and not own["allowPrivilegeEscalation"]
        assert {"requests", "limits"} <= set(container["resources"])


def test_the_pod_that_serves_has_probes_options_that_there_are_and_time_to_end() -> None:
    (server,) = documents(DEPLOY / "kubernetes/single/server.yaml")
    spec = server["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    given = [one.partition("=") for one in container["args"][1:]]
    assert {name for name, _, _ in given} <= OPTIONS
    grace_s = next(float(value) for name, _, value in given if name == "--grace-s")
    assert spec["terminationGracePeriodSeconds"] > grace_s + TEARDOWN_S
    probes = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness")
    }
    assert probes == {"startup": "/readyz", "liveness": "/healthz"}


def test_the_rayservices_application_takes_its_arguments_and_its_door_is_shut_first() -> None:
    (service,) = documents(DEPLOY / "kubernetes/kuberay/rayservice.yaml")
    (app,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    AppArgs.model_validate(app["args"])
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    (container,) = head["containers"]
    assert DOOR_FILE in {one["name"] for one in container["env"]}
    hook = container["lifecycle"]["preStop"]["exec"]["command"]
    assert hook[:3] == ["python", "-m", "orchestra.cluster.drain"]
    assert float(hook[3]) < head["terminationGracePeriodSeconds"]


def test_every_selector_finds_a_pod() -> None:
    labels = [pod["metadata"]["labels"] for pod in PODS]
    found = 0
    for path in FILES:
        for thing in documents(path):
            spec = thing.get("spec", {}) if "kind" in thing else {}
            for selector in (spec.get("selector"), spec.get("podSelector")):
                wanted = (selector or {}).get("matchLabels", selector)
                if wanted:
                    assert any(wanted.items() <= have.items() for have in labels), (path, wanted)
                    found += 1
    assert found >= 6


def test_systemd_stops_the_first_process_alone_and_starts_again_after_a_dead_cluster() -> None:
    text = (DEPLOY / "systemd/orchestra.service").read_text(encoding="utf-8")
    unit = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line))
    assert unit["KillMode"] == "mixed" and unit["Restart"] == "on-failure"
    assert str(CLUSTER_DIED) not in unit["RestartPreventExitStatus"].split()
    assert float(unit["TimeoutStopSec"]) > GRACE_S + TEARDOWN_S
    given = re.findall(r"--[\w-]+", unit["ExecStart"])
    assert given and set(given) <= OPTIONS


def test_a_users_file_of_keys_is_no_part_of_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert not any(fnmatch.fnmatch("deploy/kubernetes/mine/endpoints.env", one) for one in kept)


def test_a_server_is_told_by_the_address_at_which_it_answers() -> None:
    assert url_of("127.0.0.1", 8000) == url_of("0.0.0.0", 8000) == "http://127.0.0.1:8000"
    assert url_of("10.0.0.7", 80) == "http://10.0.0.7:80"
    assert url_of("::", 80) == url_of("::1", 80) == "http://[::1]:80"
