"""Dashboard and alerts over a real Prometheus that scrapes a service with the bundled models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
import yaml

from graphs.answer import build
from orchestra.app import Fleet
from orchestra.core.errors import DiskFull
from orchestra.serving.http import make_app
from orchestra.serving.problems import reported
from orchestra.serving.service import Service
from tests.prometheus import (
    CONFIG,
    DASHBOARD,
    MISSING,
    RULE_TESTS,
    RULES,
    Prometheus,
    has_prometheus,
    panels,
    prometheus,
    promtool,
)
from tests.served_here import ask_all, served_here

pytestmark = pytest.mark.skipif(not has_prometheus(), reason=MISSING)

WINDOW = "30s"
METRIC = re.compile(r"\b(orchestra_[a-z_]+)\b")
# What this service has not: a queue, and keys.
ABSENT = {
    "Requests that wait",
    "Seconds in the queue",
    "Admission",
    "Dollars spent by tenant",
    "Dollars left by tenant",
}


LATER = {
    "orchestra_admission_total",
    "orchestra_budget_left_usd",
    "orchestra_queue_depth",
    "orchestra_queue_seconds_bucket",
    "orchestra_spend_usd_total",
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus, once it has seen a service at work."""
    fleet = Fleet.open("mini")

    async def lost() -> dict[str, str]:
        return {"zero": "no replica runs"}

    service = Service(fleet, {"answer": build}, lost)
    with (
        served_here(make_app(service)) as address,
        prometheus(tmp_path_factory.mktemp("prometheus"), address) as server,
    ):
        server.wait_for('up{job="orchestra"} == 1')
        statuses = ask_all(address, 48, 8)
        assert {200, 404} <= set(statuses)
        reported(DiskFull("no room"))  # as the ingress tells it
        server.wait_for('increase(orchestra_problems_total{type="DiskFull"}[1m]) > 0')
        server.wait_for(f'rate(orchestra_jobs_total{{status="complete"}}[{WINDOW}]) > 0')
        yield server
    with fleet:
        """Close it."""


def names_of(family: prometheus_client.Metric) -> set[str]:
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {f"{family.name}{end}" for end in ends.get(family.type, ("",))}


def rules() -> list[dict[str, str]]:
    read = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [e for p in panels("1m") for e, _ in p.targets]


def test_rules_and_configuration_are_read_and_each_alert_fires_when_it_should() -> None:
    for words in (("check", "rules", RULES), ("check", "config", CONFIG)):
        done = promtool(*words)
        assert done.returncode == 0, done.stderr + done.stdout
    done = promtool("test", "rules", RULE_TESTS)
    assert done.returncode == 0, done.stderr + done.stdout
    tested = RULE_TESTS.read_text(encoding="utf-8")
    assert [rule["alert"] for rule in rules() if f'"{rule["alert"]}"' not in tested] == []
    assert all(rule["annotations"]["runbook"] for rule in rules())  # type: ignore[index]


def test_every_metric_of_dashboard_and_alerts_is_one_that_is_counted() -> None:
    known = {name for f in prometheus_client.REGISTRY.collect() for name in names_of(f)}
    asked = {name for each in expressions() for name in METRIC.findall(each)}
    assert asked - known == LATER


def test_every_picture_of_the_dashboard_shows_what_the_service_did(seen: Prometheus) -> None:
    shown = {
        panel.title: [seen.query(expression) for expression, _ in panel.targets]
        for panel in panels(WINDOW)
    }
    assert {title for title, found in shown.items() if not any(found)} <= ABSENT
    refused = {each["metric"]["type"]: each for each in shown["Requests refused"][0]}
    assert "UnknownModel" in refused
    models = {each["metric"]["model"] for each in shown["Time to first token"][0]}
    assert models  # not NaN, either
    assert all(float(e["value"][1]) > 0 for e in shown["Calls in a batch"][0])
    lost = {each["metric"]["model"]: each["value"][1] for each in shown["Models lost"][0]}
    assert lost["zero"] == "1"


def test_every_legend_names_labels_that_its_series_have(seen: Prometheus) -> None:
    for panel in panels(WINDOW):
        for expression, legend in panel.targets:
            wanted = set(re.findall(r"{{(\w+)}}", legend))
            for series in seen.query(expression):
                assert wanted == set(series["metric"]), panel.title


def test_alerts_are_loaded_healthy_and_the_ones_that_should_be_are_active(
    seen: Prometheus,
) -> None:
    loaded = [rule for group in seen.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {rule["alert"] for rule in rules()}
    assert {rule["health"] for rule in loaded} <= {"ok", "unknown"}
    for rule in loaded:
        seen.query(rule["query"])
    firing = seen.wait_for('ALERTS{alertname="OrchestraBookTrouble", alertstate="firing"}')
    assert firing[0]["metric"]["type"] == "DiskFull"
    pending = seen.query('ALERTS{alertname="OrchestraModelLost"}')
    assert {each["metric"]["model"] for each in pending} == {"zero"}


def test_the_dashboard_is_laid_out_without_gaps_or_overlaps() -> None:
    read = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    cells: set[tuple[int, int]] = set()
    for panel in read["panels"]:
        at = panel["gridPos"]
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own
    assert len({panel["id"] for panel in read["panels"]}) == len(read["panels"])


def test_the_configuration_scrapes_where_the_service_listens_by_default() -> None:
    read = yaml.safe_load(Path(CONFIG).read_text(encoding="utf-8"))
    assert read["scrape_configs"][0]["static_configs"] == [{"targets": ["127.0.0.1:8000"]}]
