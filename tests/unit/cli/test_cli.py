"""The commands a user types: their output, their JSON, and how they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from orchestra.cli.main import COMMANDS, main
from orchestra.core.identity import snapshot
from orchestra.fleet.source import load_fleet
from tests.unit.cli.scripted_worker import fleet_file

ROOT = Path(__file__).parents[3]
QUESTION = "Which animal eats bamboo?"


def call(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    unexpected = result.exception
    assert unexpected is None or isinstance(unexpected, SystemExit), repr(unexpected)
    return result


def called_json(*arguments: str | Path) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "shirt.png"
    Image.new("RGB", (40, 40), "red").save(path)
    return path


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    """A fleet file with the cards of `mini` and an engine that needs no weights."""
    return fleet_file(tmp_path / "scripted.yaml")


@pytest.fixture
def products(tmp_path: Path) -> Path:
    path = tmp_path / "products.csv"
    lines = ["id,name,description,category,price"]
    lines += [f"{n:03},Brand{n},A red apple from Italy.,Apple,9.90" for n in range(1, 4)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path: Path, scripted: Path, products: Path) -> Path:
    """The folder of a finished batch of three rows."""
    folder = tmp_path / "out"
    assert call("batch", products, "--out", folder, "--fleet", scripted).exit_code == 0
    return folder


# Help


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_says_what_a_command_does_and_shows_examples(command: str) -> None:
    shown = call(command, "--help").output
    assert "Examples:" in shown and f"orchestra {command}" in shown
    assert "--json" in shown


def test_help_lists_every_command() -> None:
    shown = call("--help").output
    assert "Examples:" in shown
    assert all(command in shown for command in COMMANDS)
    assert call("--version").output.startswith("orchestra")


def test_an_unknown_command_is_a_usage_error() -> None:
    assert call("dance").exit_code == 2


# plan


def test_plan_prints_the_keys_that_others_read(photo: Path) -> None:
    planned = called_json("plan", "Red cotton shirt", "--image", photo, "--graph", "listing")
    assert {"route", "nodes", "total", "rejected", "snapshot"} <= set(planned)
    assert planned["route"] == "text+vision"
    for node in planned["nodes"]:
        assert {"node", "model", "latency_ms", "cost_usd", "memory_gib"} <= set(node)
    assert all({"option", "reason"} == set(entry) for entry in planned["rejected"])
    costs = [Decimal(str(node["cost_usd"])) for node in planned["nodes"]]
    assert Decimal(str(planned["total"]["cost_usd"])) == sum(costs) > 0


def test_plan_for_people_names_every_node_with_its_price(photo: Path) -> None:
    shown = call("plan", "Red cotton shirt", "--image", photo, "--graph", "listing").stdout
    assert all(word in shown for word in ("look", "read", "write", "vl", "r1", "total", "snapshot"))
    assert "$0.0" in shown


def test_plan_is_the_same_each_time(photo: Path) -> None:
    arguments = ("plan", "Red shirt", "--image", photo, "--graph", "listing", "--cost-usd", "1")
    assert call(*arguments).stdout == call(*arguments).stdout


@pytest.mark.parametrize(
    ("limit", "model"),
    [((), "r1"), (("--memory-gib", "4"), "v2"), (("--latency-ms", "100"), "v2")],
)
def test_words_alone_go_to_the_model_that_the_budget_allows(
    limit: tuple[str, ...], model: str
) -> None:
    planned = called_json("plan", QUESTION, "--fleet", "article", *limit)
    assert [node["model"] for node in planned["nodes"]] == [model]


@pytest.mark.parametrize("limit", [(), ("--memory-gib", "60"), ("--latency-ms", "350")])
def test_a_photo_goes_to_a_model_that_sees(photo: Path, limit: tuple[str, ...]) -> None:
    planned = called_json("plan", QUESTION, "--image", photo, "--fleet", "article", *limit)
    sighted = {c.name for c in load_fleet("article")[0].models if "vision" in c.capabilities}
    looking = [node["model"] for node in planned["nodes"] if node["node"] == "look"]
    assert looking and set(looking) <= sighted


@pytest.mark.parametrize("fleet", ["mini", "article"])
@pytest.mark.parametrize("graph", ["answer", "listing"])
@pytest.mark.parametrize("with_photo", [False, True])
@pytest.mark.parametrize("limit", ["cost-usd", "latency-ms", "memory-gib", "tokens"])
def test_a_zero_budget_names_the_smallest_that_fits_and_just_under_it_nothing_does(
    photo: Path, fleet: str, graph: str, with_photo: bool, limit: str
) -> None:
    images = ("--image", photo) if with_photo else ()
    arguments = ("plan", "Red cotton shirt", *images, "--fleet", fleet, "--graph", graph)
    refused = call(*arguments, f"--{limit}", "0", "--json")
    assert refused.exit_code == 1
    error = json.loads(refused.stdout)["error"]
    name = limit.replace("-", "_")
    assert (error["type"], error["tightest"], set(error["smallest"])) == (
        "NoFeasiblePlan",
        name,
        {name},
    )
    smallest = error["smallest"][name]
    assert f"{name}={smallest}" in refused.stderr
    assert call(*arguments, f"--{limit}", smallest).exit_code == 0
    under = Decimal(smallest) - (1 if limit == "tokens" else Decimal("0.000001"))
    assert call(*arguments, f"--{limit}", format(under, "f")).exit_code == 1


def test_several_limits_at_once_name_a_budget_that_does(photo: Path) -> None:
    arguments = ("plan", QUESTION, "--image", photo, "--fleet", "article")
    limits = {"cost_usd": "0", "latency_ms": "10", "memory_gib": "1"}
    error = json.loads(call(*arguments, *_options(limits), "--json").stdout)["error"]
    enough = limits | error["smallest"]
    assert call(*arguments, *_options(enough)).exit_code == 0


def _options(limits: dict[str, str]) -> list[str]:
    return [
        part for name, value in limits.items() for part in (f"--{name.replace('_', '-')}", value)
    ]


@pytest.mark.parametrize("command", ["plan", "run", "batch"])
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much", ""])
@pytest.mark.parametrize("limit", ["cost-usd", "latency-ms", "memory-gib", "tokens"])
def test_what_is_no_limit_is_refused(command: str, limit: str, value: str) -> None:
    result = call(command, "x", f"--{limit}", value)
    assert (result.exit_code, result.stdout) == (2, "")
    name = limit.replace("-", "_")
    assert result.stderr.startswith(f"InvalidBudget: Budget {name}={value!r} is not a limit")
    assert "0 or more" in result.stderr


def test_a_job_with_nothing_in_it_is_refused() -> None:
    result = call("plan")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "EmptyJob" in result.stderr


def test_a_model_elsewhere_is_not_planned_for_a_local_job(tmp_path: Path) -> None:
    shipped = (load_fleet("mini")[1] / "mini.yaml").read_text(encoding="utf-8")
    path = tmp_path / "away.yaml"
    away = re.sub(r"    role: (Encode|R1|V2|V3)", r"    role: \1\n    data_goes_to: eu", shipped)
    path.write_text(away, "utf-8")
    refused = call("plan", QUESTION, "--fleet", path, "--local")
    assert refused.exit_code == 1
    assert "NoModel" in refused.stderr and "'eu'" in refused.stderr
    assert call("plan", QUESTION, "--fleet", path).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fleet", "maxi"), "InvalidFleet: There is no fleet 'maxi'"),
        (("--graph", "cards"), "InvalidGraph: There is no graph 'cards'"),
        (("--graph", "nowhere.py:build"), "InvalidGraph: There is no file 'nowhere.py'"),
    ],
)
def test_unknown_names_are_refused_on_stderr_and_as_json(
    arguments: tuple[str, str], words: str
) -> None:
    result = call("plan", QUESTION, *arguments, "--json")
    assert result.exit_code == 2
    assert result.stderr.startswith(words)
    error = json.loads(result.stdout)["error"]
    assert f"{error['type']}: {error['message']}" == result.stderr.strip()


def test_a_graph_of_the_working_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from graphs.answer import build as shipped\n\ndef build():\n    return shipped()\n"
    (tmp_path / "my_shop_graph.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    assert call("plan", QUESTION, "--graph", "my_shop_graph:build").exit_code == 0
    assert call("plan", QUESTION, "--graph", "my_shop_graph.py:build").exit_code == 0


# serve


def test_a_deploy_file_names_fleet_and_graph_files_as_other_nodes_find_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = (ROOT / "graphs" / "answer.py").read_text(encoding="utf-8")
    (tmp_path / "shop.py").write_text(graph, encoding="utf-8")
    fleet = load_fleet("mini")[1] / "mini.yaml"
    (tmp_path / "own.yaml").write_text(fleet.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    graphs = ("--graph", "listing", "--graph", "shop.py:build")
    told = call("serve", *graphs, "--fleet", "own.yaml", "--write-config", "s.yaml")
    assert told.exit_code == 0 and "serve deploy s.yaml" in told.stderr
    written = yaml.safe_load((tmp_path / "s.yaml").read_text(encoding="utf-8"))
    assert written["applications"][0]["args"] == {
        "fleet": str(tmp_path / "own.yaml"),
        "graphs": f"{tmp_path}/shop.py:build",
    }


def test_the_package_itself_is_the_command() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "orchestra", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: orchestra [OPTIONS]" in ran.stdout


# models


@pytest.mark.parametrize("fleet", ["mini", "article"])
def test_models_lists_every_card_with_its_snapshot(fleet: str) -> None:
    listed = called_json("models", "--fleet", fleet)
    file = load_fleet(fleet)[0]
    assert [card["name"] for card in listed["models"]] == [card.name for card in file.models]
    assert listed["snapshot"] == snapshot(file)
    shown = call("models", "--fleet", fleet).stdout
    assert all(f"{card.name} ({card.role})" in shown for card in file.models)
    assert snapshot(file) in shown


def test_models_says_what_is_estimated_and_what_cannot_run() -> None:
    shown = call("models", "--fleet", "article").stdout
    assert "estimated, not the source's: price, limits" in shown
    assert "planning only" in shown


# run


def test_run_prints_the_fields_on_stdout_and_the_rest_on_stderr(
    scripted: Path, photo: Path
) -> None:
    result = call("run", "Red apple", "--image", photo, "--graph", "listing", "--fleet", scripted)
    assert result.exit_code == 0
    assert "colour" in result.stdout and "red" in result.stdout.lower()
    assert "$" in result.stderr and "$" not in result.stdout


def test_run_json_is_the_whole_result(scripted: Path) -> None:
    result = called_json("run", "A red apple", "--graph", "listing", "--fleet", scripted)
    assert result["fields"]["colour"]["value"] == "red"
    assert result["fields"]["colour"]["evidence"][0]["text"] == "red"
    assert Decimal(str(result["cost_usd"])) > 0
    assert result["plan"]["route"] == "text"


def test_run_answers_a_question(scripted: Path) -> None:
    result = call("run", QUESTION, "--fleet", scripted)
    assert (result.exit_code, result.stdout.strip()) == (0, QUESTION.rstrip("?") + "?")


def test_run_with_a_bad_photo_alone_fails_with_its_error(scripted: Path) -> None:
    result = call("run", "--image", "nowhere.jpg", "--fleet", scripted)
    assert result.exit_code == 1
    assert "ImageNotFound" in result.stderr


def test_run_of_a_fleet_for_planning_says_so() -> None:
    result = call("run", QUESTION, "--fleet", "article")
    assert result.exit_code in (1, 2)
    assert "InvalidFleet" in result.stderr and "planning only" in result.stderr


def test_run_over_its_budget_spends_nothing(scripted: Path) -> None:
    result = call("run", QUESTION, "--fleet", scripted, "--cost-usd", "0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "NoFeasiblePlan" in result.stderr and "smallest budget" in result.stderr


# batch, show and eval


def test_batch_json_is_its_summary(tmp_path: Path, scripted: Path, products: Path) -> None:
    summary = called_json("batch", products, "--out", tmp_path / "o", "--fleet", scripted)
    assert summary["rows"] == 3
    wanted = "complete partial review failed contradictions reused cost_usd seconds plan_mix"
    assert set(wanted.split()) <= set(summary)
    written = json.loads((tmp_path / "o" / "summary.json").read_text(encoding="utf-8"))
    assert {name: written[name] for name in wanted.split()} == {
        name: summary[name] for name in wanted.split()
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--limit", "0"), "limit=0"),
        (("--limit", "9" * 30), "give 1 to 1,000,000,000,000"),
        (("--in-flight", "0"), "in_flight=0"),
        (("--text-columns", "nmae"), "Did you mean 'name'"),
        (("--recipe", "nowhere.yaml"), "no recipe file 'nowhere.yaml'"),
        (("--retry-failed", "ModelGone"), "no error of type 'ModelGone'"),
    ],
)
def test_batch_refuses_a_wrong_request_before_it_makes_a_folder(
    tmp_path: Path, scripted: Path, products: Path, arguments: tuple[str, str], words: str
) -> None:
    result = call("batch", products, "--out", tmp_path / "o", "--fleet", scripted, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("asked", "retried"),
    [
        ((), 0),
        (("--retry-failed",), 2),
        (("--retry-failed", "DuplicateId"), 1),
        (("--retry-failed", "AnswerInvalid, EmptyJob"), 1),
        (("--retry-failed", "EmptyJob", "--retry-failed", "DuplicateId"), 2),
        (("--retry-failed", "UsageError"), 2),
        (("--retry-failed", "ImageError"), 0),
    ],
)
def test_batch_runs_the_rows_again_that_have_an_error_of_the_types_asked_for(
    tmp_path: Path, scripted: Path, asked: tuple[str, ...], retried: int
) -> None:
    source = tmp_path / "faulty.csv"
    source.write_text("id,name\n1,Red apple\n1,Red pear\n2,\n", encoding="utf-8")
    batch = ["batch", source, "--out", tmp_path / "o", "--fleet", scripted]
    assert called_json(*batch)["failed"] == 2
    again = call(*batch, "--attempts", "2", *asked)
    assert again.exit_code == 0
    told = f"{retried} rows that have an error are run again"
    assert (told in again.stderr) == bool(retried)


@pytest.mark.parametrize("row", ["002", "2"])
def test_show_finds_a_row_by_id_and_by_number(out: Path, row: str) -> None:
    shown = called_json("show", out, row)
    assert (shown["row_id"], shown["ordinal"]) == ("002", 2)
    calls = {entry["node"]: entry for entry in shown["result"]["calls"]}
    assert set(calls) == {"read", "write"}
    assert calls["read"]["raw"] and calls["read"]["instruction"] and calls["read"]["data"]
    assert shown["result"]["fields"]["colour"]["evidence"][0]["text"] == "red"


def test_show_for_people_has_prompt_reply_evidence_and_cost(out: Path) -> None:
    shown = call("show", out, "002").stdout
    for words in ("row 2  id 002", "prompt", "reply:", "evidence text", "cost $", "'red'"):
        assert words in shown


@pytest.mark.parametrize("row", ["9", "abc", "²", "0"])
def test_show_of_a_row_that_is_not_there_says_what_to_give(out: Path, row: str) -> None:
    result = call("show", out, row)
    assert result.exit_code == 1
    assert f"no finished row {row!r}" in result.stderr


def test_show_runs_a_row_again_outside_the_batch(out: Path) -> None:
    before = (out / "book.sqlite").stat().st_mtime_ns
    shown = call("show", out, "002", "--rerun").stdout
    assert "run again:" in shown and "the same values" in shown
    again = called_json("show", out, "002", "--rerun")
    assert again["rerun"]["fields"]["colour"] == again["result"]["fields"]["colour"]
    assert (out / "book.sqlite").stat().st_mtime_ns == before


@pytest.mark.parametrize("content", ["id,name\n001,Other\n", "id,name\n001,A\n002,B\n003,C\n"])
def test_show_does_not_run_again_what_has_changed(out: Path, products: Path, content: str) -> None:
    products.write_text(content, encoding="utf-8")
    result = call("show", out, "003", "--rerun")
    assert result.exit_code == 2
    assert "OutputMismatch" in result.stderr and "has changed" in result.stderr


def test_show_of_a_folder_without_a_batch_is_refused(tmp_path: Path) -> None:
    result = call("show", tmp_path / "nothing", "1")
    assert result.exit_code == 1 and "holds no batch" in result.stderr
    assert not (tmp_path / "nothing").exists()


def test_eval_scores_one_field_with_its_intervals(out: Path, products: Path) -> None:
    scored = called_json("eval", out, "--truth", products, "--field", "category")
    assert {"rows", "coverage", "accuracy", "macro_accuracy", "baseline"} <= set(scored)
    assert (scored["rows"], scored["coverage"], scored["accuracy"]) == (3, 1.0, 1.0)
    for name in ("accuracy", "macro_accuracy"):
        low, high = scored[f"{name}_interval"]
        assert 0 <= low <= scored[name] <= high <= 1
    shown = call("eval", out, "--truth", products, "--field", "category").stdout
    assert "accuracy" in shown and "[" in shown


@pytest.mark.parametrize(
    ("field", "truth"), [("flavour", "products.csv"), ("category", "nowhere.csv")]
)
def test_eval_of_what_is_not_there_is_refused(
    out: Path, tmp_path: Path, field: str, truth: str
) -> None:
    result = call("eval", out, "--truth", tmp_path / truth, "--field", field)
    assert result.exit_code == 2
    assert (field if truth == "products.csv" else truth) in result.stderr


def test_a_batch_of_a_graph_file_can_be_shown_and_run_again(
    tmp_path: Path, scripted: Path, products: Path
) -> None:
    source = "from graphs.answer import build as shipped\n\ndef build():\n    return shipped()\n"
    path = tmp_path / "shop_of_file.py"
    path.write_text(source, encoding="utf-8")
    made = call(
        "batch", products, "--out", tmp_path / "o", "--fleet", scripted, "--graph", f"{path}:build"
    )
    assert made.exit_code == 0, made.stderr
    assert "the same values" in call("show", tmp_path / "o", "1", "--rerun").stdout


# attend


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["missing.png", "What is it?"], "ImageNotFound"),
        (["PHOTO", "  "], "UsageError"),
        (["PHOTO", "What is it?", "--model", "nobody"], "InvalidFleet"),
        (["PHOTO", "What is it?", "--fleet", "article", "--model", "VL"], "InvalidFleet"),
    ],
)
def test_attend_refuses_what_it_cannot_do(photo: Path, arguments: list[str], kind: str) -> None:
    given = [str(photo) if word == "PHOTO" else word for word in arguments]
    result = call("attend", *given, "--json")
    assert result.exit_code != 0
    assert json.loads(result.stdout)["error"]["type"] == kind


def test_attend_says_that_an_engine_gives_no_maps(photo: Path, scripted: Path) -> None:
    result = call("attend", photo, "What is it?", "--fleet", scripted, "--model", "vl", "--json")
    error = json.loads(result.stdout)["error"]
    assert error["type"] == "UsageError"
    assert "attend()" in error["message"] and "'vl'" in error["message"]


def test_maps_for_a_graph_without_a_recipe_say_where_to_ask_for_them(
    tmp_path: Path, scripted: Path, products: Path
) -> None:
    folder = tmp_path / "maps"
    given = ("--fleet", scripted, "--graph", "answer", "--maps", "--json")
    result = call("batch", products, "--out", folder, *given)
    error = json.loads(result.stdout)["error"]
    assert error["type"] == "InvalidGraph"
    assert "regions=True" in error["message"]
    assert not folder.exists()


def test_a_batch_with_maps_is_another_than_one_without(
    scripted: Path, products: Path, out: Path
) -> None:
    result = call("batch", products, "--out", out, "--fleet", scripted, "--maps", "--json")
    assert json.loads(result.stdout)["error"]["type"] == "OutputMismatch"


# label


def test_label_asks_in_the_terminal_and_eval_takes_what_was_answered(out: Path) -> None:
    command = ["label", str(out), "--rows", "3", "--field", "category"]
    asked = CliRunner().invoke(main, command, input="a\nc Pear\nq\n")
    assert asked.exit_code == 0, asked.output
    assert "2 of" not in asked.stdout and "1 accepted, 1 corrected, 1 open" in asked.stdout
    again = CliRunner().invoke(main, command, input="s\n")
    assert "1 skipped" in again.stdout and "open" not in again.stdout
    scored = called_json("eval", out, "--truth", out / "gold.csv", "--field", "category")
    assert scored["rows"] == 2


def test_label_reads_a_pages_answers_and_a_table_that_has_them(
    out: Path, products: Path, tmp_path: Path
) -> None:
    paged = call("label", out, "--page", "--field", "category")
    assert paged.exit_code == 0 and (out / "gold.html").exists()
    saved = tmp_path / "labels.csv"
    saved.write_text("id,field,verdict,value\n001,category,accepted,\n", "utf-8")
    told = called_json("label", out, "--read", saved)
    assert told["answers"] == {"accepted": 1}
    gold = ["label", out, "--out", tmp_path / "given.csv", "--gold", products]
    assert called_json(*gold, "--columns", "category=category")["answers"] == {"given": 3}
    refused = call(*gold, "--columns", "category")
    assert refused.exit_code == 2 and "FIELD=COLUMN" in refused.stderr


# calibrate


def test_calibrate_claims_nothing_from_three_rows_and_writes_a_policy_of_these_models(
    out: Path, products: Path, tmp_path: Path
) -> None:
    call("label", out, "--gold", products, "--columns", "category=category")
    policy, curves = tmp_path / "policy.yaml", tmp_path / "curves.svg"
    shown = call("calibrate", out, "--out", policy, "--picture", curves)
    assert shown.exit_code == 0, shown.output
    assert "3 labelled rows" in shown.stdout and "too few: 3 judged answers" in shown.stdout
    written = yaml.safe_load(policy.read_text("utf-8"))
    assert written["version"] == 1 and written["fleet"] == "mini"
    assert set(written["models"]) == {one["model"] for one in written["calibration"]}
    assert curves.read_text("utf-8").startswith("<svg")
    unlabelled = call("calibrate", out, "--gold", tmp_path / "none.csv")
    assert unlabelled.exit_code == 2


def test_plan_run_and_batch_take_the_policy_that_calibrate_wrote(
    out: Path, products: Path, scripted: Path, tmp_path: Path
) -> None:
    call("label", out, "--gold", products, "--columns", "category=category")
    policy = tmp_path / "policy.json"
    assert call("calibrate", out, "--out", policy).exit_code == 0
    asked = ["A red apple.", "--graph", "listing", "--fleet", scripted, "--policy", policy]
    planned = called_json("plan", *asked)
    quality = {node["node"]: node["quality_origin"] for node in planned["nodes"]}
    assert quality["read"] == "calibrated" and planned["policy"]
    ran = called_json("run", *asked)
    assert ran["fields"]["category"]["probability"] is not None
    batch = ["batch", products, "--fleet", scripted, "--policy", policy]
    assert call(*batch, "--out", tmp_path / "other").exit_code == 0
    again = called_json("show", tmp_path / "other", "1", "--rerun")["rerun"]
    assert again["fields"]["category"]["probability"] is not None
    assert "its policy was None" in call(*batch, "--out", out).stderr
    without = call("batch", products, "--fleet", scripted, "--out", tmp_path / "other")
    assert "now None" in without.stderr
    refused = call("plan", "A red apple.", "--fleet", "mini", "--policy", policy)
    assert refused.exit_code == 2 and "fingerprint" in refused.stderr
