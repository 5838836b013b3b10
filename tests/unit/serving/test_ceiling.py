"""What a server needs before it starts: a ceiling for a fleet that bills, keys for strangers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestra.cli.main import main
from orchestra.cluster.owned import check_host
from orchestra.core.errors import ConfirmationNeeded, InvalidFleet, UsageError
from orchestra.serving.args import checked_fleet, read_args
from orchestra.serving.config import deploy_config

PAID = """\
name: paid
models:
  - name: far
    role: reads text
    capabilities: [text]
    data_goes_to: example
    hosting: {endpoint: {url: "http://127.0.0.1:9", model: m}, memory_gib: 0}
    limits: {context_tokens: 4096}
    profile: {origin: estimated, fixed_ms: 100}
    price: {as_of: 2026-11-01, usd_per_million_input_tokens: 1}
"""


@pytest.fixture
def paid(tmp_path: Path) -> str:
    path = tmp_path / "paid.yaml"
    path.write_text(PAID, encoding="utf-8")
    return str(path)


def test_a_fleet_that_bills_needs_a_ceiling_or_a_yes(paid: str) -> None:
    with pytest.raises(ConfirmationNeeded, match=r"calls of far.*--cost-usd-per-day"):
        checked_fleet(read_args({"fleet": paid}))
    assert checked_fleet(read_args({"fleet": paid, "yes": "true"})).name == "paid"
    args = read_args({"fleet": paid, "cost_usd_per_day": "0.5"})
    assert checked_fleet(args).name == "paid" and args.day_micro == 500_000
    assert checked_fleet(read_args({"fleet": "mini"})).name == "mini"


def test_keys_need_a_book_and_a_ceiling_is_an_amount(paid: str) -> None:
    with pytest.raises(InvalidFleet, match="keys are kept in a book"):
        read_args({"keys": "true"})
    for amount in ("-1", "much", "NaN", "1e12"):
        with pytest.raises(InvalidFleet, match="cost_usd_per_day"):
            read_args({"cost_usd_per_day": amount})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.com", ""])
def test_wider_than_loopback_needs_keys(host: str) -> None:
    with pytest.raises(UsageError, match="--keys and --book"):
        check_host(host, has_keys=False)
    check_host(host, has_keys=True)


def test_loopback_needs_none() -> None:
    for host in ("127.0.0.1", "127.0.0.9", "::1", "localhost"):
        check_host(host, has_keys=False)


def test_the_command_refuses_before_anything_starts(paid: str) -> None:
    for given, part in (
        (["--fleet", paid], "--cost-usd-per-day"),
        (["--host", "0.0.0.0"], "nobody is asked for a key"),
        (["--keys"], "keys are kept in a book"),
    ):
        done = CliRunner().invoke(main, ["serve", *given])
        assert done.exit_code == 2 and part in done.output


def test_a_deploy_file_says_what_is_asked_for(paid: str) -> None:
    args = {"fleet": paid, "book": "/b.sqlite", "keys": "true", "cost_usd_per_day": "20"}
    written = deploy_config("graphs.answer:build", args, 8000)["applications"][0]["args"]
    assert written == args
