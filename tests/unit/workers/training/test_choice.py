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
from workers.choice.options import Options
from workers.choice.space import Space
from workers.training.choice.fit import chinese_texts, fit, read_lines
from workers.training.choice.ridge import left_out, scaled, train
from workers.training.choice.sentiment import lines, opinions, rated, some

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
    options = Options.of(TOPICS[:4])
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


def test_reviews_are_read_by_their_ratings(tmp_path: Path) -> None:
    path = tmp_path / "rated.txt"
    path.write_text(
        "1\t2.1\tvery good indeed\n2\t-1.5\tbad and broken\n3\t0.1\tit is a box\n4\t.6\tso so\n"
    )
    assert [each.tone for each in rated(path)] == [2, 0, 1]
    path.write_text("还不错，很满意很喜欢\n短\n还不错，很满意很喜欢\n", encoding="utf-8")
    assert [each.text for each in lines(path, 2)] == ["还不错，很满意很喜欢"]
    assert some(opinions()) == some(opinions())


def test_no_opinion_that_trains_is_among_the_reviews_that_measure() -> None:
    reviews = Path(__file__).parents[4] / "benchmarks" / "choice" / "reviews.jsonl"
    measured = {json.loads(line)["input"] for line in reviews.read_text("utf-8").splitlines()}
    assert not measured & {each.text for each in opinions()}
