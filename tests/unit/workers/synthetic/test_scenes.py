"""Drawn scenes show what their labels say, and every question about them has a true answer."""

import json
import random

import pytest
from PIL import Image

from workers.synthetic.scenes import MOST, PLACES, Thing, compose, draw_scene
from workers.training.pictures.lessons import known, lesson
from workers.training.pictures.photos import RESERVED_SEED, draw_scenes, scene_shot
from workers.training.pictures.plain_scenes import (
    compose_plain,
    draw_plain,
    draw_plain_scenes,
    plain_shots,
)
from workers.training.pictures.shapes import SIDE, draw_shapes

MAKERS = [(compose, draw_scene), (compose_plain, draw_plain)]


@pytest.mark.parametrize(("make", "draw"), MAKERS)
def test_a_scene_is_a_function_of_its_seed(make, draw):
    assert make(5) == make(5)
    pictures = [draw(make(seed), seed=seed, size=48).tobytes() for seed in (5, 5, 6)]
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize(("make", "draw"), MAKERS)
def test_scenes_have_one_to_six_things_in_all_places_within_the_picture(make, draw):
    scenes = [make(seed) for seed in range(400)]
    assert {len(things) for things in scenes} == set(range(1, MOST + 1))
    assert {things[0].place for things in scenes if len(things) == 1} == set(PLACES)
    assert all(0 < t.x < 1 and 0 < t.y < 1 for things in scenes for t in things)


@pytest.mark.parametrize("seed", range(12))
def test_a_thing_is_drawn_where_its_label_says(seed):
    x, y = ((seed % 3 * 2 + 1) / 6, (seed // 3 % 3 * 2 + 1) / 6)
    thing = Thing("square", "red", "plain", x, y, 0.2)
    picture = draw_plain((thing,), seed=seed, size=90)
    corner, centre = picture.getpixel((1, 1)), picture.getpixel((round(x * 90), round(y * 90)))
    assert corner != centre
    assert thing.place == PLACES[seed % 9]


@pytest.mark.parametrize("seed", range(40))
def test_what_is_taught_about_a_plain_scene_is_true(seed):
    shot = scene_shot(compose_plain(seed))
    values = known(shot)
    assert values["count"] == len(shot.things)
    assert values.get("colour") in {None, *(thing.colour for thing in shot.things)}
    rng = random.Random(seed)
    for _ in range(30):
        asked, said = lesson(shot, rng)
        assert asked
        assert isinstance(json.loads(said), dict)


def test_a_pool_of_plain_scenes_has_its_shots_and_pixels_in_order():
    pixels = draw_plain_scenes(3, 7, 32)
    assert pixels.shape == (3, 3, 32, 32)
    assert [shot.things for shot in plain_shots(3, 7)] == [compose_plain(7 + at) for at in range(3)]


def test_scenes_keep_off_the_reserved_seeds():
    with pytest.raises(ValueError, match="reserved"):
        draw_scenes(3, RESERVED_SEED - 1, 16)


def test_pictures_to_judge_by_show_as_many_shapes_as_they_say():
    one, many = draw_shapes(3, alone=True), draw_shapes(4, alone=False)
    assert one.count == 1
    assert one.place in PLACES
    assert 1 <= many.count <= MOST
    assert isinstance(many.image, Image.Image)
    assert many.image.size == (SIDE, SIDE)
