"""Dashboard and alerts over a real Prometheus that scrapes a service with the bundled models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from graphs.answer import build
from orchestra.app import Fleet
from orchestra.book.shared.member import LedgerMember
from orchestra.book.shared.server import LedgerServer
from orchestra.core.errors import DiskFull
from orchestra.observe import metrics
from orchestra.serving.http import make_app
from orchestra.serving.problems import reported
from orchestra.serving.service import Service
from orchestra.serving.told_metrics import of_the_book
from tests.observed.prometheus import (
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
from tests.observed.service import ask_all, served_here

pytestmark = pytest.mark.skipif(not has_prometheus(), reason=MISSING)

WINDOW = "5m"
MOST_ASKED = 2400
MOVED = (
    "orchestra_job_seconds_count",
    "orchestra_deadline_share_count",
    "orchestra_time_per_token_seconds_count",
    "orchestra_batch_size_count",
    'orchestra_problems_total{type="UnknownModel"}',
    "orchestra_errors_total",
    'orchestra_cache_total{outcome="hit"}',
)
METRIC = re.compile(r"\b(orchestra_[a-z_]+)\b")
# What this service has not: keys.
ABSENT = {
    "Dollars spent by tenant",
    "Dollars left by tenant",
}


OF_A_LEDGER = {"orchestra_book_up"}  # told by who has a shared one, beside what is counted


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus, once it has seen a service at work."""
    folder = tmp_path_factory.mktemp("prometheus")
    keeper = LedgerServer(folder / "book.sqlite")
    ledger = LedgerMember(keeper, metrics.exposition)
    fleet = Fleet.open("mini", ledger=ledger)

    async def lost() -> dict[str, str]:
        return {"zero": "no replica runs"}

    service = Service(fleet, {"answer": build}, lost, ledger)
    with (
        served_here(make_app(service)) as address,
        prometheus(folder, address) as server,
    ):
        server.wait_for('up{job="orchestra"} == 1')
        for number in range(0, MOST_ASKED, 24):  # a rate needs requests between two scrapes
            assert {200, 404} <= set(ask_all(address, 24, 8, number))
            if all(server.query(f"sum(rate({each}[{WINDOW}])) > 0") for each in MOVED):
                break
        reported(DiskFull("no room"))  # as the ingress tells it
        server.wait_for('increase(orchestra_problems_total{type="DiskFull"}[5m]) > 0')
        yield server
    with fleet:
        """Close it."""
    keeper.close()


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
    told = text_string_to_metric_families(of_the_book([]).decode())
    counted = [*prometheus_client.REGISTRY.collect(), *told]
    known = {name for family in counted for name in names_of(family)}
    asked = {name for each in expressions() for name in METRIC.findall(each)}
    assert asked - known == OF_A_LEDGER


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
    # Other tests of this process left series of models that nobody asked here.
    calls = {
        each["metric"]["model"]: float(each["value"][1])
        for each in shown["Calls a second"][0]
        if each["metric"]["outcome"] == "answered"
    }
    batches = {e["metric"]["model"]: float(e["value"][1]) for e in shown["Calls in a batch"][0]}
    asked = {model for model, rate in calls.items() if rate > 0}
    assert "r1" in asked
    assert all(batches[model] > 0 for model in asked & batches.keys())
    assert "r1" in batches
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
