"""docs/workers.md is true: its worker, card and graph run as they stand, and so do its samples."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from orchestra.cli.main import main
from tests.documents import command_lines, files
from tests.fake_server import Said, serving

PAGE = "docs/workers.md"
MODULES = ("mail", "fitted", "remote", "tuned")


class Topics:
    """As scikit-learn's classifiers are: names, and a row of shares for each text."""

    classes_ = np.array(["delivery", "return"])

    def predict_proba(self, texts: list[str]) -> Any:
        return np.array([[0.9, 0.1] if "parcel" in text else [0.2, 0.8] for text in texts])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder with the files of the page."""
    for name, text in files(PAGE).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)


def run(*arguments: str, code: int = 0) -> Result:
    ran = CliRunner().invoke(main, list(arguments))
    assert ran.exit_code == code, ran.output
    return ran


def hosted_by(home: Path, worker: str, **hosting: Any) -> None:
    """Change the card's worker, as the page says of its other samples."""
    fleet = yaml.safe_load((home / "mail.yaml").read_text(encoding="utf-8"))
    fleet["models"][0]["hosting"] |= {"worker": worker, **hosting}
    (home / "mail.yaml").write_text(yaml.safe_dump(fleet), encoding="utf-8")


def topic(home: Path, text: str) -> dict[str, Any]:
    ran = run("run", text, "--fleet", "mail.yaml", "--graph", "sort.py:build", "--json")
    return json.loads(ran.stdout)["fields"]["topic"]


def test_the_worked_example_runs_as_it_stands(home: Path) -> None:
    rows = "id,text\n1,Where is it?\n2,It came torn\n3,I love it\n"
    (home / "mails.csv").write_text(rows, encoding="utf-8")
    check, job, batch = (run(*words) for words in command_lines(PAGE)[:3])
    assert check.stdout.startswith("sorter: ok, loaded in ")
    assert "delivery" in job.stdout
    assert "3 rows: 3 complete" in batch.output
    table = (home / "out" / "products.csv").read_text(encoding="utf-8-sig")
    assert [word in table for word in ("delivery", "return", "praise")] == [True] * 3


def test_a_label_has_its_share_and_the_whole_text_as_evidence(home: Path) -> None:
    found = topic(home, "My parcel is late.")
    assert (found["value"], found["source"], found["model"]) == ("delivery", "text", "sorter")
    assert found["confidence"] == pytest.approx(17 / 19)
    assert (found["evidence"][0]["kind"], found["evidence"][0]["text"]) == ("text", None)


def test_what_scikit_learn_fitted_is_served(home: Path) -> None:
    (home / "model.pkl").write_bytes(pickle.dumps(Topics()))
    hosted_by(home, "fitted:Fitted")
    run("models", "--check", "mail.yaml")
    found = topic(home, "Where is my parcel?")
    assert (found["value"], found["confidence"]) == ("delivery", 0.9)


def test_a_model_behind_http_is_served_and_a_server_that_fails_is_unavailable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted_by(home, "remote:Remote")
    with serving(Said({"shares": [{"return": 0.75, "praise": 0.25}]})) as server:
        monkeypatch.setenv("MAIL_URL", server.url)
        run("models", "--check", "mail.yaml")
        assert topic(home, "It is torn.")["value"] == "return"
        assert server.asked[-1] == {"texts": ["It is torn."]}
    with serving(Said({}, 500)) as server:
        monkeypatch.setenv("MAIL_URL", server.url)
        broken = run("models", "--check", "mail.yaml", code=1)
    assert "ModelUnavailable: The mail server failed" in broken.stdout


def test_a_classifier_of_transformers_is_served(home: Path) -> None:
    words = ["[PAD]", "[UNK]", "parcel", "torn", "late"]
    by_word = models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = Tokenizer(by_word)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(home)
    names = ["return", "delivery", "praise"]
    small = dict.fromkeys(("hidden_size", "intermediate_size"), 16)
    config = BertConfig(
        vocab_size=len(words),
        num_hidden_layers=1,
        num_attention_heads=2,
        id2label=dict(enumerate(names)),
        **small,
    )
    BertForSequenceClassification(config).save_pretrained(home)
    hosted_by(home, "tuned:Tuned")
    run("models", "--check", "mail.yaml")
    found = topic(home, "My parcel is late.")
    assert found["value"] in names and 1 / 3 <= found["confidence"] < 1
