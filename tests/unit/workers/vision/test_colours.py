import numpy as np
import pytest
from PIL import Image, ImageDraw

from orchestra.core.call import Call
from workers.synthetic.drawn import KINDS, PALETTE, draw_product
from workers.vision import colour_answers
from workers.vision.asked import asked_of
from workers.vision.foreground import cut_out
from workers.vision.lab import lab_of
from workers.vision.palette import palette_of
from workers.vision.shades import BASIC, MULTI, SHADES, words


def product(paint: tuple[int, int, int], behind: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", (120, 160), behind)
    ImageDraw.Draw(image).rectangle((30, 40, 90, 130), fill=paint)
    return image


def asked(**properties: object) -> Call:
    return Call("Describe it.", schema={"type": "object", "properties": properties})


def test_lab_has_white_at_a_hundred_and_grey_without_hue() -> None:
    white, grey = lab_of(np.array([[255, 255, 255], [119, 119, 119]], dtype=np.uint8))
    assert white == pytest.approx([100, 0, 0], abs=0.1)
    assert grey == pytest.approx([50, 0, 0], abs=0.3)


def test_the_product_is_cut_out_of_its_background() -> None:
    left, top, right, bottom = cut_out(product((200, 30, 30), (230, 230, 225))).box
    assert (left, top) == pytest.approx((0.25, 0.25), abs=0.1)
    assert (right, bottom) == pytest.approx((0.75, 0.81), abs=0.1)


def test_a_product_that_fills_the_photo_is_taken_from_the_middle() -> None:
    assert next(iter(palette_of(Image.new("RGB", (90, 120), PALETTE["green"])).basics())) == "green"


@pytest.mark.parametrize("colour", PALETTE)
def test_every_basic_colour_is_named_on_grey_and_on_wood(colour: str) -> None:
    # Far from the paint, or nobody could see it.
    behind = (222, 200, 164) if colour in ("white", "grey", "black", "blue") else (128, 128, 132)
    assert next(iter(palette_of(product(PALETTE[colour], behind)).basics())) == colour


def test_most_drawn_garments_are_named_by_their_paint() -> None:
    looks = [(kind, colour) for kind in KINDS if kind.islower() for colour in PALETTE]
    right = [
        next(iter(palette_of(draw_product(kind, colour, seed=1_700_000 + at)).basics())) == colour
        for at, (kind, colour) in enumerate(looks)
    ]
    assert sum(right) / len(right) > 0.85


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (("red", "blue", "green"), "blue"),
        (("GREEN", "RED", "Blue"), "Blue"),
        (("红色", "蓝色", "绿色"), "蓝色"),
        (("navy", "sky blue", "red"), "navy"),
        (("深蓝色", "天蓝色"), "深蓝色"),
        (("red", "white", "black"), "black"),  # what is nearest, where blue is no choice
    ],
)
def test_a_navy_product_is_told_in_the_users_words(choices: tuple[str, ...], said: str) -> None:
    found = colour_answers.answer(palette_of(product((30, 40, 74), (200, 200, 196))), choices)
    assert found is not None
    assert found[0] == said
    assert 0 < found[1] <= colour_answers.MOST


def test_what_is_no_colour_is_never_the_answer() -> None:
    palette = palette_of(product((200, 30, 30), (230, 230, 225)))
    assert colour_answers.answer(palette, ("cotton", "wool")) is None
    assert colour_answers.answer(palette, ("cotton", "blue", "red")) == pytest.approx(
        ("red", 0.9), abs=0.2
    )


def test_a_plaid_is_multicoloured_and_a_list_names_its_colours() -> None:
    image = product((40, 90, 190), (235, 235, 230))
    pen = ImageDraw.Draw(image)
    for at, paint in enumerate(("red", "yellow", "green", "blue") * 2):
        pen.rectangle((30, 40 + 11 * at, 90, 51 + 11 * at), fill=PALETTE[paint])
    palette = palette_of(image)
    found = colour_answers.answer(palette, ("blue", "red", "yellow", "green", "multicolour"))
    assert found is not None and found[0] == "multicolour"
    assert set(colour_answers.several(palette, ("red", "yellow", "green", "blue"))) == {
        "red", "yellow", "green", "blue",
    }  # fmt: skip


def test_what_a_kind_is_expected_to_look_like_breaks_a_tie() -> None:
    palette = palette_of(product((176, 110, 50), (230, 230, 225)))  # between orange and brown
    expected = {"orange": 0.9, "brown": 0.1}
    assert (colour_answers.answer(palette, ("orange", "brown"), expected) or ("", 0))[0] == "orange"


def test_colour_questions_are_known_by_choices_or_by_wording() -> None:
    call = asked(
        shade={"enum": ["Navy", "WHITE", "红色", None]},
        颜色={"type": "string"},
        main_colour={"type": "string"},
        colors={"type": "array", "items": {"enum": ["red", "blue"]}},
        material={"enum": ["cotton", "wool"]},
        category={"enum": ["mug", "orange"]},
        count={"type": "integer"},
    )
    found = {one.name: one for one in asked_of(call)}
    assert [name for name, one in found.items() if one.is_colour] == [
        "shade", "颜色", "main_colour", "colors",
    ]  # fmt: skip
    assert found["colors"].is_list
    assert [name for name, one in found.items() if one.is_kind] == ["category"]
    assert "count" not in found


def test_no_word_means_two_colours() -> None:
    names = {*BASIC, *(name for _, name, *_ in SHADES), MULTI}
    assert all(words().find(name) == name for name in names)
    assert words().find("Grå") == "grey" and words().find("multi-coloured") == MULTI


def test_a_free_answer_is_in_the_language_of_the_question() -> None:
    assert colour_answers.in_language("red", "颜色") == "红色"
    assert colour_answers.in_language("red", "colour") == "red"
