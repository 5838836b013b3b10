"""`orchestra init`: what it writes, what it refuses, and that nothing is sent without a yes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestra.cli.main import main
from orchestra.fleet.source import load_fleet
from orchestra.setup.discover import PROVIDERS
from tests.servers.fake_server import FakeServer, chat, serving


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS:
        monkeypatch.delenv(provider.key_env, raising=False)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(chat('{"c1":"red"}'), chat('{"answer":"red cotton shirt"}')) as server:
        yield server


def init(folder: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["init", "--out", str(folder / "mine.yaml"), *arguments])


def test_a_server_is_connected_written_and_proved(tmp_path: Path, server: FakeServer) -> None:
    done = init(tmp_path, "--url", server.url)
    assert done.exit_code == 0, done.output
    assert (
        "'text' answered" not in done.output and "text answered 'red cotton shirt'" in done.output
    )
    assert "[complete, $0.00" in done.output
    file, _ = load_fleet(str(tmp_path / "mine.yaml"))
    assert file.models[0].hosting.endpoint and file.models[0].data_goes_to == "local"
    assert len(server.asked) == 2


def test_json_holds_the_proof_and_stdout_nothing_else(tmp_path: Path, server: FakeServer) -> None:
    done = init(tmp_path, "--url", server.url, "--json", "--input-price", "3")
    report = json.loads(done.stdout)
    assert report["proof"]["answer"] == "red cotton shirt"
    assert report["proof"]["cost_usd"] == pytest.approx(20 * 3 / 1_000_000)
    assert report["models"]["text"].startswith("tiny at")


def test_a_server_that_fails_the_proof_is_a_failure(tmp_path: Path, server: FakeServer) -> None:
    server.script = [chat('{"c1":"red"}'), chat('{"answer":"blue jeans"}')]
    done = init(tmp_path, "--url", server.url)
    assert done.exit_code == 1
    assert "the model said 'blue jeans', which the text does not" in done.output
    assert (tmp_path / "mine.yaml").exists()


def test_without_a_run_only_the_list_is_asked_for(tmp_path: Path, server: FakeServer) -> None:
    done = init(tmp_path, "--url", server.url, "--no-run")
    assert done.exit_code == 0 and "Nothing was tried" in done.output
    assert server.asked == [] and len(server.headers) == 1


def test_a_file_is_not_overwritten_unless_forced(tmp_path: Path, server: FakeServer) -> None:
    (tmp_path / "mine.yaml").write_text("mine", encoding="utf-8")
    done = init(tmp_path, "--url", server.url)
    assert done.exit_code == 2 and "--force" in done.output and not server.headers
    assert init(tmp_path, "--url", server.url, "--force").exit_code == 0


def test_nothing_is_sent_elsewhere_without_a_yes(tmp_path: Path) -> None:
    done = init(tmp_path, "--url", "https://api.example.com/v1")
    assert done.exit_code == 2 and "--yes" in done.output
    assert not (tmp_path / "mine.yaml").exists()


def test_a_key_of_the_environment_is_found_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-secret")
    done = init(
        tmp_path, "--provider", "deepseek", "--model", "deepseek-flash", "--no-run", "--yes"
    )
    assert done.exit_code == 0, done.output
    written = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    assert (
        "api_key_env: DEEPSEEK_API_KEY" in written and "data_goes_to: api.deepseek.com" in written
    )
    assert "price: unknown" in written and "a budget in dollars refuses it" in written
    assert "sk-secret" not in written + done.output
    assert "not found" in done.output and "OPENAI_API_KEY" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--provider", "openai", "--no-run"), "There is no 'openai' here"),
        (("--url", "http://127.0.0.1:9/v1", "--input-price", "free"), "'free' is no price"),
        (("--url", "http://127.0.0.1:9/v1"), "does not answer"),
    ],
)
def test_what_cannot_be_connected_says_why(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = init(tmp_path, *arguments)
    assert done.exit_code in (1, 2) and words in done.output
