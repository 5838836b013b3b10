"""What `vl` is taught is true, and its choices and temperature do what the engine relies on."""

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor, PreTrainedTokenizerFast

from orchestra.clients.engine import Call, Reply
from workers.engine import TransformersEngine
from workers.training.drawn import draw_product
from workers.training.lessons import fields_answer, known, lesson
from workers.training.photos import IMAGE_PX, NOTHING, PhotoSet, Shot, draw_pool, square
from workers.training.speech import Speaker, SpeechRun, build_model, train_speech
from workers.training.temperature import Choosing, best_scale, calibrate, choose
from workers.training.tokenizer import train_tokenizer
from workers.training.tower import Labels, Tower, TowerRun, train_tower
from workers.training.vl import save

LEMON = Shot(None, "Lemon", "Lemon", "Fruit", "yellow")
CARTON = Shot(None, "Oatly Oat Milk", "Oat Milk", "Packages", None)
EMPTY = Shot(None, None, NOTHING, NOTHING, None)
VALUES = ("Apple", "Lemon", "shirt")


def tokenizer() -> PreTrainedTokenizerFast:
    """A small tokenizer that has seen the words of this test."""
    return train_tokenizer(
        ['{"category":"Apple"} Describe the product shown. Lemon shirt'] * 3, 320
    )


@pytest.mark.parametrize("shot", [LEMON, CARTON, EMPTY])
def test_every_taught_answer_is_json_and_states_only_what_is_known(shot):
    rng = random.Random(0)
    for _ in range(200):
        answer = json.loads(fields_answer(shot, rng))
        assert answer
        assert answer.items() <= known(shot).items()
        instruction, said = lesson(shot, rng)
        assert instruction
        assert isinstance(json.loads(said), dict)


def test_an_unknown_colour_is_left_out_and_never_taught_as_null():
    assert "colour" not in known(CARTON)
    assert set(known(EMPTY).values()) == {None}


def test_scaling_makes_an_overconfident_model_as_sure_as_it_is_right():
    sure = [Choosing("Apple", [1], [(torch.tensor([4.0, 0.0]), 0)]) for _ in range(10)]
    right = [True] * 6 + [False] * 4
    scale = best_scale(sure, right)
    assert sure[0].confidence() > 0.95
    assert abs(sure[0].confidence(scale) - 0.6) < 0.2


def labelled_pool(count: int) -> tuple[PhotoSet, Labels]:
    pool = draw_pool(count, 2, seed=0, px=80)
    categories = tuple(dict.fromkeys(shot.category for shot in pool.shots))
    return pool, Labels(("Lemon",), categories)


def test_both_stages_train_and_the_tower_stays_frozen_in_the_second():
    pool, labels = labelled_pool(6)
    logged: list[str] = []
    held = PhotoSet(pool.shots, torch.stack([p[:, :IMAGE_PX, :IMAGE_PX] for p in pool.pixels]))
    run = TowerRun(None, 2, seed=0, snapshot=None, log=logged.append, batch=4)
    tower = train_tower(run, pool, pool, held, labels)
    words = tokenizer()
    model = build_model(tower.vision, words)
    before = model.model.language_model.norm.weight.clone()
    speech = SpeechRun(None, 2, seed=0, log=logged.append, batch=4)
    train_speech(speech, model, words, pool, pool)
    assert not torch.equal(before, model.model.language_model.norm.weight)
    trained = model.model.vision_model.state_dict()
    assert all(torch.equal(value, trained[key]) for key, value in tower.vision.state_dict().items())
    assert any("held-out" in line for line in logged)


def test_a_saved_checkpoint_answers_through_the_engine_as_in_training(tmp_path: Path):
    torch.manual_seed(3)
    _, labels = labelled_pool(2)
    words = tokenizer()
    model = build_model(Tower(labels).vision, words).half().float().eval()
    picture = draw_product("Lemon", "yellow", seed=1_000_000, size=96)
    photos = PhotoSet((LEMON,), square(picture, IMAGE_PX).unsqueeze(0))
    (mine,) = choose(Speaker(model, words, 0), photos, "category", [*VALUES, None])
    save(model, words, tmp_path)
    assert AutoProcessor.from_pretrained(tmp_path).num_image_tokens == 64
    schema = {
        "type": "object",
        "properties": {"category": {"enum": [*VALUES, None]}},
        "required": ["category"],
        "additionalProperties": False,
    }
    engine = TransformersEngine.load(tmp_path)
    (reply,) = engine.generate(
        [Call("Describe the product shown.", images=(picture,), schema=schema)]
    )
    assert isinstance(reply, Reply)
    assert reply.value == {"category": mine.value}
    assert reply.confidence["category"] == pytest.approx(mine.confidence(), rel=1e-3)


def test_calibrating_changes_confidence_and_no_choice():
    torch.manual_seed(3)
    _, labels = labelled_pool(2)
    words = tokenizer()
    model = build_model(Tower(labels).vision, words).eval()
    with torch.no_grad():
        model.model.language_model.norm.weight.mul_(30)  # sure of everything
    held = PhotoSet((LEMON, CARTON), torch.stack([square(_picture(i), IMAGE_PX) for i in range(2)]))
    before = choose(Speaker(model, words, 0), held, "category", [*VALUES, None])
    calibrate(model, words, held, VALUES, log=lambda line: None)
    after = choose(Speaker(model, words, 0), held, "category", [*VALUES, None])
    assert [c.value for c in before] == [c.value for c in after]
    assert sum(c.confidence() for c in after) < sum(c.confidence() for c in before)


def _picture(seed: int):
    return draw_product("Pear", "green", seed=1_000_000 + seed, size=64)
