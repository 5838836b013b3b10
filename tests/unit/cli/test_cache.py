"""`--cache` of the commands: what a run left is found by the next, and costs say what it saved."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestra.cache.store import MIB, ReplyStore
from orchestra.cli.main import main
from tests.unit.cli.scripted_worker import fleet_file

QUESTION = "Which animal eats bamboo?"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """The cards of `mini` with an engine that needs no weights."""
    path = fleet_file(tmp_path / "scripted.yaml")
    cards = path.read_text(encoding="utf-8")
    unnamed = re.sub(r"\n *revision: .*", "", cards)
    path.write_text(re.sub(r"checkpoint: .*", "revision: one", unnamed), encoding="utf-8")
    return path


def test_a_second_run_is_free_and_says_so(tmp_path: Path, fleet: Path) -> None:
    told = [call("run", QUESTION, "--fleet", fleet, "--cache", tmp_path / "c") for _ in range(2)]
    assert [one.exit_code for one in told] == [0, 0], told[0].output
    assert told[0].stdout == told[1].stdout
    assert "from the cache" not in told[0].stderr
    assert re.search(r"\$0\.0+, .*1 calls from the cache \(saved \$0\.0000\d+\)", told[1].stderr)


def test_a_second_batch_is_free_and_costs_say_what_it_saved(tmp_path: Path, fleet: Path) -> None:
    table = tmp_path / "products.csv"
    table.write_text("id,name,description\n1,Brand,A red apple from Italy.\n", encoding="utf-8")
    for out in ("a", "b"):
        arguments = ("--out", tmp_path / out, "--fleet", fleet, "--cache", tmp_path / "cache")
        made = call("batch", table, *arguments, "--json")
        assert made.exit_code == 0, made.output
    summary = json.loads(made.stdout)
    assert (summary["cached"], summary["cost_usd"]) == (2, 0)
    bill = json.loads(call("costs", tmp_path / "b", "--json").stdout)["total"]
    assert (bill["hits"], bill["saved_usd"]) == (2, summary["saved_usd"])
    assert "2 from the cache, saved $" in call("costs", tmp_path / "b").stdout
    assert "from the cache" not in call("costs", tmp_path / "a").stdout


def test_a_bound_is_kept_and_without_a_cache_refused(tmp_path: Path, fleet: Path) -> None:
    bounded = ("run", QUESTION, "--fleet", fleet, "--cache-mib", "7")
    assert call(*bounded, "--cache", tmp_path / "c").exit_code == 0
    store = ReplyStore(tmp_path / "c")
    assert store.size.most_bytes == 7 * MIB
    store.close()
    refused = call(*bounded)
    assert refused.exit_code == 2
    assert "Give --cache DIR as well" in refused.stderr


def test_a_plan_says_how_many_calls_the_cache_answers(tmp_path: Path, fleet: Path) -> None:
    asked = (QUESTION, "--fleet", fleet, "--cache", tmp_path / "c")
    assert json.loads(call("plan", *asked, "--json").stdout)["hits"] == 0
    call("run", *asked)
    told = json.loads(call("plan", *asked, "--json").stdout)
    assert (told["hits"], told["total"]["cost_usd"]) == (1, 0)
    assert "cache     answers 1 of 1 calls" in call("plan", *asked).stdout
    refused = call("plan", *asked, "--explain")
    assert (refused.exit_code, "Give one or the other" in refused.stderr) == (2, True)
