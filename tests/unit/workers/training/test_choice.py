"""How the chooser's numbers are fitted; vectors are drawn, no encoder runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestra.core.errors import InvalidTable
from workers.choice.calibration import ChoiceCalibration
from workers.choice.chooser import Chooser
from workers.choice.known import TrainedHead
from workers.choice.options import ChoiceOptions
from workers.choice.ridge import train
from workers.choice.space import Space
from workers.training.choice.fit import chinese_texts, fit, read_lines
from workers.training.choice.ridge import left_out, scaled
from workers.training.choice.sentiment import HELD_AGAIN, HELD_BACK, LEARNT, ratings
from workers.training.choice.sentiment import fit as fit_sentiment

TOPICS = ("tea", "shoe", "lamp", "tent", "drum", "soap")


class Topical:
    """An encoder whose vectors lie near the topic that a text names."""

    def vectors(self, texts: Sequence[str]) -> NDArray[Any]:
        made = []
        for text in texts:
            drawn = np.random.default_rng(list(text.encode())).normal(size=384) * 0.02
            drawn[380] = 1
            for at, topic in enumerate(TOPICS):
                drawn[at] += 0.6 * (topic in text.casefold())
            made.append(drawn / np.linalg.norm(drawn))
        return np.array(made, np.float32)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choice")
    paths = []
    for number in range(2):
        path = folder / f"set{number}.jsonl"
        rows = [{"input": f"{t} {number} {at}", "category": t} for t in TOPICS for at in range(12)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        paths.append(str(path))
    fit(paths, folder, Topical())
    return folder


def test_what_is_fitted_chooses_and_tells_none(fitted: Path) -> None:
    space = Space.load(fitted / "choice.safetensors")
    chooser = Chooser(Topical(), space, ChoiceCalibration.load(fitted / "calibration.json"))
    options = ChoiceOptions.of(TOPICS[:4])
    fits = [options.with_examples([(f"{t} {at} shown", t) for t in TOPICS[:4] for at in range(5)])]
    for asked in (options, *fits):
        texts = [
            _Read(f"{topic} anew", Topical().vectors([f"{topic} anew"])[0]) for topic in TOPICS
        ]
        best = [c.ranked[0] for c in chooser.choose(texts, asked)]
        assert [name for name, _ in best[:4]] == list(TOPICS[:4])
        assert min(p for _, p in best[:4]) > max(p for _, p in best[4:])


class _Read:
    def __init__(self, text: str, vector: NDArray[Any]) -> None:
        self.text, self.vector = text, vector


def test_a_set_without_its_columns_is_told(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text('{"title": "tea"}\n', encoding="utf-8")
    with pytest.raises(InvalidTable, match="'input' or 'category'"):
        read_lines(path, Topical())


def test_chinese_texts_are_the_same_every_time() -> None:
    assert chinese_texts() == chinese_texts()


def test_a_head_tells_classes_that_it_did_not_train() -> None:
    texts = [f"{topic} {at}" for topic in TOPICS[:3] for at in range(6)]
    classes, fold = [at // 6 for at in range(18)], np.arange(18) % 3
    vectors, weights = Topical().vectors(texts), np.ones(18)
    scores = left_out(vectors, classes, weights, fold, 0.1)
    assert (scores.argmax(axis=1) == classes).all()
    head, scale = scaled(train(vectors, classes, weights, 0.1), scores, np.array(classes))
    assert scale > 1
    assert head.shares(vectors).max(axis=1).mean() > 0.8


def test_a_sentiment_head_tells_held_back_reviews_it_never_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Toned:
        """An encoder that hears the tone of what `held_back.yaml` says, and of what trains."""

        def vectors(self, texts: Sequence[str]) -> NDArray[Any]:
            tone = {each.text: each.tone for each in ratings(*LEARNT, HELD_BACK, HELD_AGAIN)}
            return np.eye(3, dtype=np.float32)[[tone[text] for text in texts]]

    fit_sentiment(ratings(*LEARNT), tmp_path, Toned())
    head = TrainedHead.load(tmp_path / "sentiment.safetensors")
    assert head.shares(np.eye(3, dtype=np.float32)).argmax(axis=1).tolist() == [0, 1, 2]
    assert capsys.readouterr().out.count("100.0% of three") == 3


def test_what_trains_is_neither_measured_nor_held_back_nor_near_it() -> None:
    reviews = Path(__file__).parents[4] / "benchmarks" / "choice" / "reviews.jsonl"
    measured = [json.loads(line)["input"] for line in reviews.read_text("utf-8").splitlines()]
    held = [each.text for each in ratings(HELD_BACK, HELD_AGAIN)]
    learnt = [_threes(each.text) for each in ratings(*LEARNT)]
    for text in (*measured, *held):
        own = _threes(text)
        nearest = max(_alike(own, other) for other in learnt)
        assert nearest < 0.5, text


def _alike(left: set[str], right: set[str]) -> float:
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def _threes(text: str) -> set[str]:
    plain = f"  {text.casefold()}  "
    return {plain[at : at + 3] for at in range(len(plain) - 2)}
