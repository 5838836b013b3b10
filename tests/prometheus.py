"""A real Prometheus for tests and benchmarks: Debian's, with our rules, scraping one address."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy" / "observability"
RULES, RULE_TESTS = DEPLOY / "orchestra.rules.yml", DEPLOY / "orchestra.rules.test.yml"
CONFIG, DASHBOARD = DEPLOY / "prometheus.yml", DEPLOY / "grafana-orchestra.json"
MISSING = (
    "NO PROMETHEUS ON THIS MACHINE: dashboard and alerts are not tested. Install it (apt-get "
    "install prometheus), or run `make test` as root, which does."
)
PATIENCE_S = 60.0
HTTP = httpx.Client(timeout=PATIENCE_S, trust_env=False)  # Prometheus' own, on loopback


def has_prometheus() -> bool:
    """Whether this machine has the server and its tool."""
    return all(shutil.which(name) for name in ("prometheus", "promtool"))


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """What `promtool` says to these words."""
    command = ["promtool", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server that runs."""

    url: str

    def ask(self, route: str, **given: Any) -> Any:
        """The data of an answer of its API. Raises `AssertionError` with what it says is wrong."""
        answer = HTTP.get(f"{self.url}/api/v1/{route}", params=given).json()
        assert answer["status"] == "success", (given, answer)
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        return self.ask("query", query=expression)["result"]

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """The same, once there is one."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if found := self.query(expression):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{expression} gave nothing for {PATIENCE_S:g} s")


@contextmanager
def prometheus(folder: Path, target: str, *, every_s: int = 1) -> Iterator[Prometheus]:
    """The server, scraping `target` (host:port) with our configuration while the block runs."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": f"{every_s}s", "evaluation_interval": f"{every_s}s"}
    config["rule_files"] = [str(RULES)]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"]
    log = folder / "prometheus.log"
    with log.open("wb") as said:
        listen = f"--web.listen-address={address}"
        server = subprocess.Popen([*command, listen], stdout=said, stderr=said)
    try:
        _wait_until_ready(f"http://{address}", server, log)
        yield Prometheus(f"http://{address}")
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text(encoding="utf-8")
        try:
            if HTTP.get(f"{url}/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"Prometheus does not answer. It said:\n{log.read_text()}")


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of the dashboard: its expressions with the names of their series."""

    title: str
    row: str
    unit: str
    targets: tuple[tuple[str, str], ...]
    is_stacked: bool = False


def panels(window: str) -> list[Panel]:
    """The dashboard's pictures, in their order, with rates over `window`."""
    found: list[Panel] = []
    row = ""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        defaults = panel["fieldConfig"]["defaults"]
        targets = tuple(
            (each["expr"].replace("$__rate_interval", window), each["legendFormat"])
            for each in panel["targets"]
        )
        is_stacked = "stacking" in defaults["custom"]
        found.append(Panel(panel["title"], row, defaults["unit"], targets, is_stacked))
    return found
