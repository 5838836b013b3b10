"""What `vl` is taught is true, and its choices and temperature do what the engine relies on."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import avg_pool2d
from transformers import AutoProcessor, PreTrainedTokenizerFast

from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid
from workers.engine import TransformersEngine
from workers.synthetic.drawn import draw_product
from workers.synthetic.scenes import PLACES, Thing
from workers.training.pictures.lessons import fields_answer, known, lesson
from workers.training.pictures.photos import NOTHING, UNKNOWN, Shot, draw_pool, normalise, square
from workers.training.pictures.plain_scenes import draw_plain_scenes, plain_shots
from workers.training.text.tokenizer import train_tokenizer
from workers.training.vision.detail import (
    DetailRun,
    mirrored,
    small_pictures,
    train_detail,
    truth_of,
)
from workers.training.vision.probe import train_probe
from workers.training.vision.save import save
from workers.training.vision.speaker import Speaker, build_model, image_tokens
from workers.training.vision.speech import Phase, SpeechRun, train_speech
from workers.training.vision.temperature import Choosing, best_scale, choose, scale_logits
from workers.training.vision.tune import TuneRun, tune
from workers.training.vision.unseen import REASON
from workers.training.vision.views import Eye, Views, embeddings
from workers.vision.domain import Domain, fit_world
from workers.vision.lite import LiteTower, LiteTowerConfig, fold

LEMON = Shot(None, "Lemon", "Lemon", "Fruit", "yellow")
CARTON = Shot(None, "Oatly Oat Milk", "Oat Milk", "Packages", None)
EMPTY = Shot(None, None, NOTHING, NOTHING, None)
VALUES = ("Apple", "Lemon", "shirt")
PHASES = (Phase(0, 4, (0.5, 0.5)), Phase(2, 4, (0.5, 0.5), unseen=0.4, aligner=1.0))


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
    scale = best_scale(sure, right, [1.0] * 10)
    assert sure[0].confidence() > 0.95
    assert abs(sure[0].confidence(scale) - 0.6) < 0.2


PX = 64  # of the small tower


def small_tower(detail_size: int = 0) -> LiteTower:
    """A tower of four narrow stages: 4 x 4 fine places, 2 x 2 tokens."""
    stages = ((3, 1, 1, 8, 1), (3, 2, 2, 8, 1), (3, 4, 2, 12, 1), (3, 2, 2, 16, 1))
    config = LiteTowerConfig(
        image_size=PX,
        stem=8,
        stages=stages,
        embedding_size=24,
        fine_stage=2,
        detail_size=detail_size,
    )
    torch.manual_seed(3)
    tower = LiteTower(config).eval()
    for part in tower.parameters():
        if part.ndim > 1:
            torch.nn.init.kaiming_normal_(part, nonlinearity="relu")
    return tower


def seen(tower: LiteTower, count: int) -> Views:
    """Two views of drawn products and of two empty scenes, as `tower` sees them."""
    pool = draw_pool(count, 2, seed=0, px=PX)
    somewhere = Path("photo.jpg")  # only photos have tokens that lessons do without
    shots = tuple(
        replace(s, path=somewhere, product=s.category) if s.colour else s for s in pool.shots
    )
    with torch.inference_mode():
        maps = tower.trunk(normalise(pool.pixels))
    return Views(shots, torch.stack([maps, maps.flip(3)]).half().clone())


def test_tuning_changes_the_top_alone_and_logs_the_held_out_photos():
    tower = small_tower()
    views = seen(tower, 6)
    before = {name: part.clone() for name, part in tower.state_dict().items()}
    probe = train_probe(embeddings(tower, views.maps[0]), views.shots, 0)
    logged: list[str] = []
    tune(TuneRun(2, 0, logged.append, batch=4), tower, probe, views, views)
    after = tower.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith(("stages.3.", "head.")) for name in changed)
    assert "held-out" in logged[-1]


def test_the_detail_branch_learns_what_scenes_hold_and_nothing_else_of_the_tower_changes():
    tower = small_tower(detail_size=16)
    pixels = draw_plain_scenes(40, 0, PX)
    with torch.inference_mode():
        maps = tower.trunk(normalise(pixels))
    scenes = Views(plain_shots(40, 0), maps[None].half().clone())
    small = small_pictures(tower, [scenes])
    assert torch.allclose(small.float(), avg_pool2d(normalise(pixels), 4), atol=1e-2)
    before = {name: part.clone() for name, part in tower.state_dict().items()}
    logged: list[str] = []
    run = DetailRun(400, 0, logged.append, batch=16, rate=1e-2)
    train_detail(run, tower, [scenes])
    loss = float(logged[-1].split("loss ")[1].split()[0])
    assert loss < 5.0  # untrained, the five heads stand at about 11
    changed = {
        name for name, part in tower.state_dict().items() if not torch.equal(part, before[name])
    }
    assert changed
    assert all(name.startswith("detail.") for name in changed)
    assert not any(part.requires_grad for part in tower.detail.parameters())


def test_a_place_is_told_what_has_its_centre_there_and_a_bare_scene_holds_nothing():
    thing = Thing("star", "red", "plain", x=0.9, y=0.1, size=0.2)
    truth = truth_of([(thing,), ()], side=2)
    assert truth["count"].tolist() == [1, 0]
    assert truth["place"][0].tolist() == [UNKNOWN, PLACES.index("top right"), UNKNOWN, UNKNOWN]
    assert truth["kind"].ne(UNKNOWN).tolist() == [[False, True, False, False], [False] * 4]
    turned = mirrored(truth, side=2)
    assert turned["place"][0].tolist() == [PLACES.index("top left"), UNKNOWN, UNKNOWN, UNKNOWN]
    assert turned["count"].tolist() == [1, 0]


def test_an_eye_takes_a_kept_view_for_what_it_would_see_again(tmp_path: Path):
    pool = draw_pool(2, 1, seed=0, px=PX)
    logged: list[str] = []
    eye = Eye(small_tower(), 0, logged.append, tmp_path)
    first = eye.look("drawn", pool.shots, lambda: pool.pixels, 2)
    assert not torch.equal(first.maps[0], first.maps[1])
    again = eye.look("drawn", pool.shots, lambda: pool.pixels[:0], 2)
    assert torch.equal(first.maps, again.maps)
    assert sum("from the cache" in line for line in logged) == 2


@pytest.mark.parametrize("detail_size", [0, 16])
def test_a_folded_tower_gives_what_the_tower_gave(detail_size: int):
    tower = small_tower(detail_size)
    with torch.no_grad():
        for name, buffer in tower.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
    pixels = torch.randn(2, 3, PX, PX)
    mine, folded = tower(pixels), fold(tower)(pixels)
    assert mine.last_hidden_state.shape == (2, 4, tower.config.hidden_size)
    assert torch.allclose(mine.last_hidden_state, folded.last_hidden_state, atol=1e-4)
    assert torch.allclose(mine.pooler_output, folded.pooler_output, atol=1e-4)


def test_speech_leaves_the_tower_and_a_run_that_was_cut_short_goes_on_as_if_it_was_not(
    tmp_path: Path,
):
    tower = fold(small_tower())
    views = seen(tower, 6)
    with torch.inference_mode():
        maps = tower.trunk(normalise(draw_plain_scenes(3, 0, PX)))
    scenes = Views(plain_shots(3, 0), maps[None].half().clone())
    probe = train_probe(embeddings(tower, views.maps[0]), views.shots, 0)
    words = tokenizer()
    logged: list[str] = []

    def learned(name: str, stops: int | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = build_model(tower, words)
        run = SpeechRun(PHASES, 0, logged.append, batch=4, snapshot=tmp_path / name)
        run.kept_every, run.stops = 2, stops
        train_speech(run, model, words, (views, scenes), probe)
        return {name: part.clone() for name, part in model.state_dict().items()}

    whole = learned("whole")
    learned("parts", stops=2)
    parts = learned("parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert all(
        torch.equal(part, whole[f"model.vision_model.{name}"])
        for name, part in tower.state_dict().items()
    )
    assert "speech step 4 of 4" in logged[-1]


def untrained(scale: float = 1.0) -> Speaker:
    """A speaker with a small tower; `scale` makes it sure of what it says at random."""
    torch.manual_seed(3)
    words = tokenizer()
    model = build_model(fold(small_tower()), words).half().float().eval()
    speaker = Speaker(model, words, 0)
    scale_logits(speaker, scale)
    return speaker


def maps_of(speaker: Speaker, pixels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return speaker.model.model.vision_model.trunk(normalise(pixels))


def lemon():
    return draw_product("Lemon", "yellow", seed=1_000_000, size=96)


def around(speaker: Speaker, least: float) -> Domain:
    """A domain whose kinds are drawn products; at a `least` above 1 every photo is outside."""
    tower = speaker.model.model.vision_model
    embedding_NE = embeddings(tower, seen(tower, 12).maps[0])
    kinds = torch.arange(len(embedding_NE)) % 3
    world = fit_world(embedding_NE, kinds, embedding_NE, 0.1, width=8)
    settings = {"slope": "0.2", "turn": "1", "least": str(least), "reason": REASON}
    return Domain([world], settings)


ASKED = Call(
    "Describe the product shown.",
    images=(lemon(),),
    schema={
        "type": "object",
        "properties": {"category": {"enum": [*VALUES, None]}},
        "required": ["category"],
        "additionalProperties": False,
    },
)


def test_a_saved_checkpoint_answers_through_the_engine_as_in_training(tmp_path: Path):
    speaker = untrained()
    maps = maps_of(speaker, square(lemon(), PX).unsqueeze(0))
    (mine,) = choose(speaker, maps, "category", [*VALUES, None])
    domain = around(speaker, least=0.0)
    save(speaker.model, speaker.tokenizer, domain, ("Royal Gala",), tmp_path)
    assert AutoProcessor.from_pretrained(tmp_path).num_image_tokens == image_tokens(speaker.model)
    (reply,) = TransformersEngine.load(tmp_path).generate([ASKED])
    assert isinstance(reply, Reply)
    assert reply.value == {"category": mine.value}
    tower = speaker.model.model.vision_model
    likely = domain.likely(embeddings(tower, maps)).item()
    assert 0 < likely < 1
    assert reply.confidence["category"] == pytest.approx(mine.confidence() * likely, rel=0.02)
    assert not reply.abstained


def test_a_photo_outside_the_domain_gets_no_value_but_the_reason(tmp_path: Path):
    speaker = untrained()
    save(speaker.model, speaker.tokenizer, around(speaker, least=1.1), ("Royal Gala",), tmp_path)
    (reply,) = TransformersEngine.load(tmp_path).generate([ASKED])
    assert isinstance(reply, Reply)
    assert reply.value == {"category": None}
    assert reply.abstained == {"category": REASON}


def test_scaling_the_logits_changes_confidence_and_no_choice():
    speaker = untrained(scale=30.0)  # sure of everything
    pixels = torch.stack([square(lemon(), PX)] * 2)
    before = choose(speaker, maps_of(speaker, pixels), "category", [*VALUES, None])
    scale_logits(speaker, 0.05)
    after = choose(speaker, maps_of(speaker, pixels), "category", [*VALUES, None])
    assert [one.value for one in before] == [one.value for one in after]
    assert sum(one.confidence() for one in after) < sum(one.confidence() for one in before)


@pytest.mark.parametrize("size", [(1, 1), (160, 20), (20, 160)])
def test_a_photo_of_one_pixel_or_a_long_strip_is_answered(tmp_path: Path, size: tuple[int, int]):
    speaker = untrained()
    save(speaker.model, speaker.tokenizer, around(speaker, least=0.0), ("Royal Gala",), tmp_path)
    call = replace(ASKED, images=(lemon().resize(size),))
    (reply,) = TransformersEngine.load(tmp_path).generate([call])
    assert isinstance(reply, Reply)
    assert reply.value["category"] in (*VALUES, None)


@pytest.mark.parametrize("file", ["domain.safetensors", "model.safetensors", "tokenizer.json"])
def test_a_changed_or_missing_file_is_refused_by_name(tmp_path: Path, file: str):
    speaker = untrained()
    save(speaker.model, speaker.tokenizer, around(speaker, least=0.0), ("Royal Gala",), tmp_path)
    changed = (tmp_path / file).read_bytes() + b" "
    (tmp_path / file).write_bytes(changed)
    with pytest.raises(CheckpointInvalid, match=rf"{file}.*sha256"):
        TransformersEngine.load(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CheckpointInvalid, match=r"missing|no file|No \.safetensors"):
        TransformersEngine.load(tmp_path)
