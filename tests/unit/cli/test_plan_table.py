"""`orchestra plan TABLE` and `orchestra batch --plan`, as a user types them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestra.cli.main import main
from orchestra.cli.plan import seconds_of
from orchestra.core.errors import InvalidBudget
from tests.unit.cli.scripted_worker import fleet_file


def call(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    unexpected = result.exception
    assert unexpected is None or isinstance(unexpected, SystemExit), repr(unexpected)
    return result


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    """A fleet file with the cards of `mini` and an engine that needs no weights."""
    return fleet_file(tmp_path / "scripted.yaml")


@pytest.fixture
def products(tmp_path: Path) -> Path:
    path = tmp_path / "products.csv"
    lines = ["id,name,truth"]
    lines += [f"{n:03},A red apple from Italy {'x' * (n % 7 * 9)} {n},Apple" for n in range(30)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_is_planned_saved_and_run_by_its_plan(
    tmp_path: Path, scripted: Path, products: Path
) -> None:
    out, saved = tmp_path / "out", tmp_path / "plan.json"
    shown = call(
        "plan", products, "--fleet", scripted, "--cost-usd", "1", "--deadline", "2h",
        "--gold", "category=truth", "--out", out, "--save", saved,
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    first = [line.split("  ")[0] for line in shown.stdout.splitlines()[:5]]
    assert first == ["money", "time", "review", "quality", "left out"]
    assert re.search(r"review +\d+ of 30 rows for a person \[\d+, \d+\]", shown.stdout)
    for word in ("sample ", "hosts for the deadline", "one more dollar"):
        assert word in shown.stdout
    assert "kind " not in shown.stdout
    told = shlex.join(["orchestra", "batch", str(products), "--plan", str(saved)])
    assert f"{told} --out {out}" in shown.stdout
    ran = call("batch", products, "--fleet", scripted, "--out", out, "--plan", saved)
    assert ran.exit_code == 0, ran.output
    assert re.search(r"spend +\$[\d.]+, quoted \$[\d.]+ \[.*\]: (within|outside)", ran.stdout)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["quote"]["quality"]["actual"] is not None


def test_routes_are_printed_where_they_are_asked_for(products: Path) -> None:
    short, long = call("plan", products, "--dry"), call("plan", products, "--dry", "--routes")
    assert long.stdout.startswith(short.stdout.rstrip())
    assert re.search(r"^kind +rows +route +takes it", long.stdout, re.MULTILINE)
    assert "worth " in long.stdout and "worth " not in short.stdout


def test_a_pilot_is_told_beside_its_own_quote_and_the_whole_beside_its_own(
    tmp_path: Path, scripted: Path, products: Path
) -> None:
    out, saved = tmp_path / "out", tmp_path / "plan.json"
    asked = ("--fleet", scripted, "--out", out)
    call("plan", products, *asked, "--cost-usd", "1", "--save", saved)
    whole = json.loads(saved.read_text(encoding="utf-8"))
    call("batch", products, *asked, "--plan", saved, "--limit", "9")
    pilot = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert pilot["rows"] == 9
    assert pilot["quote"]["spend_usd"]["quoted"] < whole["spend"]["value"] * 0.75
    assert pilot["quote"]["spend_usd"]["within"]
    call("batch", products, *asked, "--plan", saved)
    full = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert full["quote"]["spend_usd"]["quoted"] == whole["spend"]["value"]
    assert full["quote"]["spend_usd"]["within"]


def test_a_dry_plan_makes_no_folder(tmp_path: Path, products: Path) -> None:
    out = tmp_path / "out"
    shown = call("plan", products, "--dry", "--out", out, "--json")
    assert json.loads(shown.stdout)["spend"] is None
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["A red shirt", "--deadline", "2h"], "UsageError"),
        (["A red shirt", "--dry"], "UsageError"),
        (["A red shirt", "--routes"], "UsageError"),
        (["gone.csv", "--dry"], "InvalidTable"),
        (["PRODUCTS", "--dry", "--gold", "category"], "UsageError"),
        (["PRODUCTS", "--dry", "--deadline", "soon"], "InvalidBudget"),
        (["PRODUCTS", "--dry", "--sample", "0"], "InvalidBudget"),
        (["PRODUCTS", "--dry", "--text-columns", "nmae"], "InvalidTable"),
    ],
)
def test_what_cannot_be_planned_is_refused(products: Path, arguments: list[str], kind: str) -> None:
    given = [str(products) if word == "PRODUCTS" else word for word in arguments]
    refused = call("plan", *given)
    assert refused.exit_code == 2 and f"\n{kind}: " in f"\n{refused.stderr}"


def test_a_batch_refuses_what_is_no_plan(tmp_path: Path, scripted: Path, products: Path) -> None:
    (tmp_path / "plan.json").write_text("{}", encoding="utf-8")
    out = tmp_path / "out"
    refused = call(
        "batch", products, "--fleet", scripted, "--out", out, "--plan", tmp_path / "plan.json"
    )
    assert refused.exit_code == 2 and "InvalidPlan" in refused.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("90", 90), ("45min", 2700), ("1h30m", 5400), ("2 h", 7200)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2 weeks", "-3h", "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidBudget, match="is no duration"):
        seconds_of(text)
