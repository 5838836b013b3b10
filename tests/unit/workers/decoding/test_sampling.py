"""Sampled tokens follow temperature and nucleus, and depend on seed and call alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from orchestra.core.call import Call, Turn
from orchestra.core.card import Sampling
from tests.contract.engine_contract import SCHEMA, TEXTS, replies
from tests.tiny_models import tiny_qwen2
from workers.decoding.sampling import CANDIDATES, GREEDY, generator
from workers.engine import TransformersEngine
from workers.text.pick import draw

WARM = Sampling(temperature=0.6, top_p=0.95, seed=7)
FOUR = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("qwen2"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> TransformersEngine:
    return TransformersEngine.load(folder, sampling=WARM)


def free(text: str) -> Call:
    return Call("Go on.", text=text, max_tokens=12)


@pytest.mark.parametrize(
    ("quantile", "top_p", "token"),
    [(0.0, 1, 0), (0.49, 1, 0), (0.51, 1, 1), (0.94, 1, 2), (0.999, 1, 3), (0.999, 0.8, 1)],
)
def test_a_quantile_falls_on_the_token_whose_mass_covers_it(quantile, top_p, token):
    sampling = Sampling(temperature=1, top_p=top_p)
    assert draw(FOUR, sampling, [quantile]).tolist() == [token]


def test_a_nucleus_is_the_smallest_set_that_holds_top_p():
    sampling = Sampling(temperature=1, top_p=0.81)
    drawn = {draw(FOUR, sampling, [u]).item() for u in np.linspace(0, 0.999, 200)}
    assert drawn == {0, 1, 2}


def test_a_low_temperature_sharpens():
    cold, hot = Sampling(temperature=0.1), Sampling(temperature=2)
    quantiles = np.linspace(0, 0.999, 500)
    shares = [
        np.mean([draw(FOUR, sampling, [u]).item() == 0 for u in quantiles])
        for sampling in (cold, hot)
    ]
    assert shares[0] > 0.99 > 0.6 > shares[1]


@pytest.mark.parametrize("top_p", [0.95, 1])
def test_forbidden_tokens_are_never_drawn(top_p: float):
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    sampling = Sampling(temperature=2, top_p=top_p)
    drawn = {draw(logits, sampling, [u]).item() for u in (0.0, 0.3, 0.5, 0.7, 1 - 1e-16)}
    assert drawn == {1, 3}


def test_a_flat_nucleus_wider_than_the_candidates_is_drawn_from_whole():
    logits = torch.zeros(1, 4 * CANDIDATES)
    sampling = Sampling(temperature=1, top_p=0.9)
    ranks = [int(draw(logits, sampling, [u]).item()) for u in np.linspace(0, 0.999, 300)]
    assert len(set(ranks)) > 290


def test_each_row_of_a_batch_is_drawn_by_its_own_quantile():
    logits = FOUR.repeat(3, 1)
    assert draw(logits, Sampling(temperature=1), [0.1, 0.6, 0.999]).tolist() == [0, 1, 3]


def test_a_greedy_card_draws_nothing():
    assert generator(GREEDY, free("x")) is None


def test_draws_depend_on_everything_that_is_asked_and_on_the_seed():
    photo = Image.new("RGB", (4, 4), "red")
    calls = [
        free("x"),
        free("y"),
        Call("Stop.", text="x"),
        Call("Go on.", text="x", images=(photo,)),
        Call("Go on.", text="x", schema=SCHEMA),
        Call("Go on.", text="x", turns=(Turn("user", "hi"),)),
    ]
    sources = [generator(WARM, call) for call in calls]
    sources.append(generator(WARM.model_copy(update={"seed": 8}), calls[0]))
    assert len({source.random() for source in sources if source is not None}) == len(sources)
    again = generator(WARM, free("x"))
    assert again is not None and again.random() == generator(WARM, calls[0]).random()  # pyright: ignore[reportOptionalMemberAccess]


def test_a_sampled_answer_is_the_same_in_any_batch_and_again(engine: TransformersEngine):
    calls = [free(text) for text in TEXTS]
    together = [r.text for r in replies(engine.generate(calls))]
    assert [replies(engine.generate([call]))[0].text for call in calls] == together
    assert [r.text for r in replies(engine.generate(calls[::-1]))] == together[::-1]


def test_another_seed_draws_another_answer(folder: Path, engine: TransformersEngine):
    other = TransformersEngine.load(folder, sampling=WARM.model_copy(update={"seed": 8}))
    calls = [free(text) for text in TEXTS]
    first, second = (replies(model.generate(calls)) for model in (engine, other))
    assert [r.text for r in first] != [r.text for r in second]


def test_a_sampled_answer_is_held_to_its_schema(engine: TransformersEngine):
    call = Call("Extract.", text=TEXTS[0], schema=SCHEMA, max_tokens=200)
    (reply,) = replies(engine.generate([call]))
    assert list(reply.value) == list(SCHEMA["properties"])
    assert all(0 < value <= 1 for value in reply.confidence.values())
