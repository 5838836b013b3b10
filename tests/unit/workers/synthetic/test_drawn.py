"""Drawn products are repeatable, varied, and of the colour that they are labelled with."""

import colorsys

import pytest
from PIL import Image, ImageChops, ImageStat

from workers.synthetic.drawn import KINDS, PALETTE, draw_nothing, draw_product
from workers.synthetic.lexicon import choices

LOOKS = [(kind, colour) for kind, colours in KINDS.items() for colour in colours]


def hue(pixel: tuple[int, int, int]) -> float:
    return colorsys.rgb_to_hsv(*(value / 255 for value in pixel))[0]


def share_like(image: Image.Image, colour: str) -> float:
    """The share of pixels whose hue, or whose lightness for a grey tone, is the colour's."""
    goal = PALETTE[colour]
    is_tone = max(goal) - min(goal) < 60
    raw = image.convert("RGB").tobytes()
    pixels = list(zip(raw[::3], raw[1::3], raw[2::3], strict=True))
    like = 0
    for pixel in pixels:
        if is_tone:
            like += abs(sum(pixel) - sum(goal)) < 150 and max(pixel) - min(pixel) < 90
        else:
            apart = abs(hue(pixel) - hue(goal))
            like += min(apart, 1 - apart) < 0.06 and max(pixel) - min(pixel) > 35
    return like / len(pixels)


def test_kinds_and_colours_are_values_of_the_default_recipe():
    assert len(KINDS) >= 22
    assert set(KINDS) <= set(choices("category"))
    assert {colour for _, colour in LOOKS} <= set(choices("colour"))


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_draws_the_same_picture_and_another_seed_another(kind):
    colour = KINDS[kind][0]
    first = draw_product(kind, colour, seed=1_000_001, size=48)
    assert first.tobytes() == draw_product(kind, colour, seed=1_000_001, size=48).tobytes()
    assert first.tobytes() != draw_product(kind, colour, seed=1_000_002, size=48).tobytes()
    assert (first.size, first.mode) == ((48, 48), "RGB")


@pytest.mark.parametrize(("kind", "colour"), LOOKS)
def test_the_labelled_colour_is_seen(kind, colour):
    shares = [
        share_like(draw_product(kind, colour, seed=1_000_010 + seed, size=32), colour)
        for seed in range(4)
    ]
    assert sum(shares) / len(shares) > 0.08


def test_two_kinds_of_one_colour_and_seed_differ_in_shape():
    pear = draw_product("Pear", "green", seed=1_000_003, size=48)
    pepper = draw_product("Pepper", "green", seed=1_000_003, size=48)
    assert sum(ImageStat.Stat(ImageChops.difference(pear, pepper)).mean) > 10


def test_unknown_kind_and_colour_are_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"'Sofa'.*Apple"):
        draw_product("Sofa", "red", seed=1)
    with pytest.raises(ValueError, match=r"'blue'.*yellow"):
        draw_product("Banana", "blue", seed=1)


def test_empty_scenes_repeat_by_seed_and_vary_between_seeds():
    scenes = [draw_nothing(seed=seed, size=32).tobytes() for seed in range(12)]
    assert scenes[0] == draw_nothing(seed=0, size=32).tobytes()
    assert len(set(scenes)) == len(scenes)
