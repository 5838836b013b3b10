"""Clusters of our own, as far as it goes without starting one."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestra.cluster.owned import SETTINGS, check_port, connected, cpus_for, shortage
from orchestra.core.card import FleetFile
from orchestra.core.errors import PortTaken, UsageError
from orchestra.fleet.source import load_fleet

LATE = """
import ray
from orchestra.core.errors import UsageError
from orchestra.cluster.owned import own_cluster
try:
    with own_cluster():
        print("started")
except UsageError as error:
    print(error)
"""


KNOCKING = """
import sys
from orchestra.core.errors import UsageError
from orchestra.fleet.source import load_fleet
from orchestra.cluster.owned import connected
try:
    with connected(sys.argv[1], load_fleet("mini")[0]):
        print("connected")
except UsageError as error:
    print(error)
"""


def scaled(**scaling: Any) -> FleetFile:
    """The bundled fleet, each model scaled like this."""
    file, _ = load_fleet("mini")
    raw = file.model_dump(mode="json")
    for card in raw["models"]:
        card["hosting"]["scaling"] = scaling
    return FleetFile.model_validate(raw)


def test_a_port_that_is_taken_is_named_before_anything_starts() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} of 127\.0\.0\.1.*--port"):
            check_port(port)
    check_port(port)


def test_a_cluster_has_a_logical_cpu_for_every_replica_and_never_fewer_than_the_machine() -> None:
    machine = os.cpu_count() or 1
    models = len(load_fleet("mini")[0].models)
    assert cpus_for(scaled(cpus=machine / models / 2)) == machine
    assert cpus_for(scaled(cpus=machine, replicas=3)) == models * 3 * machine
    assert cpus_for(scaled(cpus=machine, replicas=1, max_replicas=4)) == models * 4 * machine


ROOM = {"CPU": 2.0, "memory": 8.0 * 2**30}


@pytest.mark.parametrize(
    ("scaling", "told"),
    [
        ({"cpus": 0.1}, ""),
        ({"cpus": 0.1, "gpus": 0.5}, r"^its models reserve \S+ GPU and there is 0$"),
        ({"cpus": 2, "replicas": 1, "max_replicas": 4}, "CPU and there is 2"),
        ({"cpus": 0.1, "resources": {"edge": 1}}, "edge and there is 0"),
        ({"cpus": 0.0, "replicas": 99}, r"GiB of memory and 8 are free"),
    ],
)
def test_what_a_fleet_reserves_beyond_the_machine_is_told(scaling: Any, told: str) -> None:
    short = shortage(scaled(**scaling), ROOM)
    assert re.search(told, short) if told else short == ""


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:none"])
def test_a_cluster_that_is_not_there_is_an_error_with_a_cure(address: str) -> None:
    file, _ = load_fleet("mini")
    told = f"No Ray cluster answers at '{address}'.*ray start --head"
    with pytest.raises(UsageError, match=told), connected(address, file):
        pytest.fail("nothing is there")


def test_a_token_that_is_missing_here_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        said = subprocess.run(
            [sys.executable, "-c", KNOCKING, address],
            env={**os.environ, "HOME": str(tmp_path), "RAY_AUTH_MODE": "token"},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
    assert f"No Ray cluster answers at '{address}': Token authentication is enabled" in said
    assert "its ~/.ray/auth_token here" in said


def test_a_cluster_that_could_listen_beyond_loopback_is_not_started() -> None:
    (switch,) = (name for name in SETTINGS if name.endswith("CLUSTER"))
    environment = {name: value for name, value in os.environ.items() if name != switch}
    said = subprocess.run(
        [sys.executable, "-c", LATE],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert "ray was imported before" in said and f"set {switch}=0" in said
