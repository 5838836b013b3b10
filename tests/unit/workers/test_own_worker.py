"""docs/workers.md is true: its worker, card and graph run as they stand, and so do its samples."""

from __future__ import annotations

import json
import re
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
from tests.servers.fake_server import Said, serving

PAGE = "docs/workers.md"
MODULES = ("mail", "fitted", "remote", "tuned")


MAILS = {
    "delivery": ("Where is my parcel?", "The parcel is late", "Late again, where is it"),
    "return": ("It came torn", "I want a refund", "Broken, a refund please"),
    "praise": ("I love it", "Thank you, lovely", "Thank you so much, I love this"),
}


def fitted() -> dict[str, Any]:
    """A softmax regression on the counts of words, as the page has it saved."""
    mails = [(text, name) for name, texts in MAILS.items() for text in texts]
    said = [re.findall(r"\b\w\w+\b", text.lower()) for text, _ in mails]
    words, classes = sorted({word for each in said for word in each}), sorted(MAILS)
    counts = np.array([[each.count(word) for word in words] for each in said], float)
    wanted = np.array([[name == known for known in classes] for _, name in mails], float)
    coef, intercept = np.zeros((len(classes), len(words))), np.zeros(len(classes))
    for _ in range(300):
        scores = np.exp(counts @ coef.T + intercept)
        wrong = scores / scores.sum(axis=1, keepdims=True) - wanted
        coef -= 0.3 * wrong.T @ counts
        intercept -= 0.3 * wrong.sum(axis=0)
    arrays = {"words": np.array(words), "classes": np.array(classes)}
    return {**arrays, "coef": coef, "intercept": intercept}


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


def test_a_linear_model_that_was_fitted_is_served(home: Path) -> None:
    np.savez(home / "model.npz", **fitted())
    hosted_by(home, "fitted:Fitted")
    run("models", "--check", "mail.yaml")
    for text, name in (("My parcel?", "delivery"), ("A refund!", "return"), ("Love it", "praise")):
        found = topic(home, text)
        assert found["value"] == name and 0.5 < found["confidence"] < 1


def test_arrays_that_hold_code_are_not_read(home: Path) -> None:
    np.savez(home / "model.npz", **{**fitted(), "words": np.array([print], dtype=object)})
    hosted_by(home, "fitted:Fitted")
    refused = run("models", "--check", "mail.yaml", code=1)
    assert "allow_pickle=False" in refused.output


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
