"""`orchestra models --check`: each model is loaded and asked, and what is wrong is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from orchestra.cli.main import main
from tests.servers.fake_server import Said, chat, endpoint_card, serving
from tests.unit.core.test_card import CARD

HEAD = """
from orchestra.core.call import Reply, Usage
from orchestra.core.errors import OutsideDomain

class Own:
    @classmethod
    def load(cls, checkpoint, *, threads):
        return cls()
"""
GENERATE = """
    def generate(self, calls, is_cancelled=None, on_text=None):
        return [self.reply(call) for call in calls]

    def reply(self, call):
        {body}
"""
GOOD = 'return Reply("{}", {"answer": "red"}, {"answer": 0.5}, Usage(3, 1))'

Checked = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """What `--check` says of a fleet of one model, whose worker's source is given."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(source: str, *options: str, **card: Any) -> tuple[int, dict[str, Any], str]:
        name = f"own_{abs(hash(source))}"
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        hosting = {"memory_gib": 0, "worker": f"{name}:Own"} | card.pop("hosting", {})
        fleet = {"name": "own", "models": [CARD | {"hosting": hosting} | card]}
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(fleet), encoding="utf-8")
        told = CliRunner().invoke(main, ["models", "--check", str(path), "--json", *options])
        read = CliRunner().invoke(main, ["models", str(path), "--check", *options])
        assert told.exit_code == read.exit_code
        return told.exit_code, json.loads(told.stdout)["models"][0], read.stdout

    return run


def replying(body: str) -> str:
    return HEAD + GENERATE.replace("{body}", body)


def test_a_model_that_works_is_ok_with_its_times_and_its_answer(checked: Checked) -> None:
    code, told, read = checked(replying(GOOD))
    assert (code, told["status"], told["answer"], told["problem"]) == (0, "ok", "red", None)
    assert told["load_s"] >= 0 and told["answer_s"] >= 0 and told["notes"] == []
    assert read.startswith("a: ok, loaded in ") and read.endswith(": red\n")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("class Own: ...", "has no load. A worker is a class with load(cls, checkpoint"),
        (HEAD, "loads Own, which has no generate"),
        (
            replying(GOOD).replace("*, threads", ""),
            "InvalidFleet: The worker 'own_",
        ),
        (
            "class Own:\n    @classmethod\n    def load(cls, path, *, threads):\n        1 / 0",
            "stopped with ZeroDivisionError",
        ),
        ("import nothing_of_this_name", "Install what brings 'nothing_of_this_name'"),
        ("class Owm: ...", "has no 'Own'. Did you mean 'Owm'?"),
        (replying('return {"answer": "red"}'), "generate gave {'answer': 'red'}, not a Reply"),
        (replying(GOOD).replace("for call in calls]", "for call in calls] * 2"), "2 answers to 1"),
        (replying('return Reply("red", "red")'), "value is 'red', not the object"),
        (replying('return Reply("", {"label": "red"})'), "asks for 'answer'. Take the names from"),
        (replying('return Reply("", {"answer": 3})'), "answer=3, and the call's schema takes"),
        (replying('return Reply("", {"answer": "red"}, {"answer": 50})'), "is 50, not a float"),
        (replying('return Reply("", {"answer": "red"}, {}, (3, 1))'), "usage is (3, 1)"),
        (replying('return Reply(None, {"answer": "red"})'), "text is None, not a string"),
        (
            HEAD + "\n    def generate(self, calls):\n        return []",
            "takes 2 positional arguments but 4 were given",
        ),
        (replying('raise KeyError("label")'), "stopped with KeyError"),
        (replying('return OutsideDomain("Not mine.")'), "Not mine. To check it, write a question"),
    ],
)
def test_what_is_wrong_with_a_worker_is_said_with_its_cure(
    checked: Checked, source: str, words: str
) -> None:
    code, told, read = checked(source)
    assert (code, told["status"], told["answer"]) == (1, "wrong", None)
    assert words in told["problem"] and words in read


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ('return Reply("{}", {"answer": None}, {"answer": 1.0}, Usage(3))', "left the answer open"),
        ('return Reply("{}", {"answer": "red"}, {}, Usage(3))', "reports no confidence"),
        ('return Reply("{}", {"answer": "red"}, {"answer": 1.0})', "reports no tokens"),
    ],
)
def test_what_works_and_should_be_known_is_a_note(checked: Checked, body: str, note: str) -> None:
    code, told, read = checked(replying(body))
    assert (code, told["status"]) == (0, "ok")
    assert len(told["notes"]) == 1 and note in told["notes"][0] and note in read


def test_a_model_is_asked_its_cards_example_or_the_question_that_is_given(
    checked: Checked,
) -> None:
    source = replying('return Reply("{}", {"answer": call.instruction}, {"answer": 1.0}, Usage(3))')
    assert checked(source)[1]["answer"] == "What colour is it?"
    assert checked(source, example="10")[1]["answer"] == "10"
    assert checked(source, "--question", "11", example="10")[1]["answer"] == "11"


def test_a_model_that_sees_is_shown_a_photo_and_one_that_reads_a_text(checked: Checked) -> None:
    given = "return Reply('', {'answer': f'{len(call.images)} {call.text is not None}'})"
    source, one = replying(given), {"context_tokens": 100, "max_images": 1}
    assert checked(source)[1]["answer"] == "0 True"
    assert checked(source, capabilities=["vision"], limits=one)[1]["answer"] == "1 False"
    assert checked(source, capabilities=["text", "vision"], limits=one)[1]["answer"] == "1 True"
    assert checked(source, capabilities=["leaves"], limits=one)[1]["answer"] == "1 False"


def test_a_card_for_planning_only_is_no_problem(checked: Checked) -> None:
    code, told, read = checked("", hosting={"worker": None})
    assert (code, told["status"]) == (0, "not hosted")
    assert "neither hosting.worker nor hosting.endpoint" in read


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (chat('{"answer": "red"}'), "ok", "red"),
        (Said({"error": {"message": "bad key"}}, 401), "wrong", "AccessRefused"),
    ],
)
def test_a_server_is_asked_as_well(tmp_path: Path, said: Said, status: str, words: str) -> None:
    with serving(said) as server:
        card = endpoint_card(server.url).model_dump(mode="json", exclude_defaults=True)
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump({"name": "own", "models": [card]}), encoding="utf-8")
        told = CliRunner().invoke(main, ["models", "--check", str(path), "--json"])
    (check,) = json.loads(told.stdout)["models"]
    assert check["status"] == status and told.exit_code == (status != "ok")
    assert words in (check["problem"] or check["answer"])


def test_a_file_that_is_no_fleet_is_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"name": "own", "modles": [CARD]}), encoding="utf-8")
    told = CliRunner().invoke(main, ["models", "--check", str(path), "--json"])
    assert told.exit_code == 1
    assert "Did you mean 'models'?" in json.loads(told.stdout)["problem"]


def test_a_question_without_a_check_is_refused() -> None:
    told = CliRunner().invoke(main, ["models", "--question", "x"])
    assert told.exit_code == 2 and "Give --check as well" in told.stderr


def test_the_cards_of_a_file_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"name": "own", "models": [CARD]}), encoding="utf-8")
    told = CliRunner().invoke(main, ["models", str(path)])
    assert told.exit_code == 0 and "a (text): takes text" in told.stdout


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ('return Reply("", None, usage=Usage(3), vectors=np.ones((1, 8)))', "ok", "8 numbers"),
        ('return Reply("", None)', "wrong", "vectors are None, not a row of numbers"),
    ],
)
def test_a_model_of_vectors_is_given_a_text(
    checked: Checked, body: str, status: str, words: str
) -> None:
    source = "import numpy as np\n" + replying(body)
    _, told, read = checked(source, capabilities=["encode"])
    assert told["status"] == status and words in read
