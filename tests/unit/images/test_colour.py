"""Colours come out as sRGB, whatever profile a file names."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageCms

from orchestra.images.intake import normalise, read_photo
from tests.photo_files import GREEN, RED, encoded, marked, near, pixel, wide_profile

SWAPPED = (30, 220, 30)  # red, in a profile whose red is sRGB's green


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_a_profile_is_converted_to_srgb_in_every_format(format: str) -> None:
    picture = Image.new("RGB", (40, 40), RED)
    options = {} if format == "PNG" else {"quality": 95}
    data = encoded(picture, format, icc_profile=wide_profile(), **options)
    assert near(pixel(normalise(data), 0.5, 0.5), SWAPPED)


def test_a_profile_is_applied_under_transparency_and_a_palette() -> None:
    clear = Image.new("RGBA", (40, 40), (*RED, 0))
    clear.paste((*RED, 255), (10, 10, 30, 30))
    image = normalise(encoded(clear, icc_profile=wide_profile()))
    assert pixel(image, 0.05, 0.05) == (255, 255, 255)
    assert near(pixel(image, 0.5, 0.5), SWAPPED)
    palette = Image.new("RGB", (40, 40), RED).quantize()
    assert near(pixel(normalise(encoded(palette, icc_profile=wide_profile())), 0.5, 0.5), SWAPPED)


def test_srgb_s_own_profile_changes_nothing() -> None:
    plain, named = encoded(marked()), encoded(marked(), icc_profile=srgb())
    assert normalise(named).tobytes() == normalise(plain).tobytes()


def test_a_grey_photo_with_a_profile_of_colours_is_read() -> None:
    photo = read_photo(encoded(Image.linear_gradient("L"), "JPEG", icc_profile=srgb()))
    assert photo.notes == ()
    assert near(pixel(photo.image, 0.5, 0.5), (128, 128, 128))


@pytest.mark.parametrize("profile", [b"junk" * 60, srgb()[:200], b"\0"])
def test_a_damaged_profile_does_not_cost_the_photo(profile: bytes) -> None:
    photo = read_photo(encoded(marked(), "JPEG", icc_profile=profile, quality=95))
    assert near(pixel(photo.image, 0.5, 0.5), GREEN)
    assert "colour profile was not used" in photo.notes[0]


def test_a_profile_of_inks_is_used_for_inks_alone() -> None:
    inks = Image.new("RGB", (40, 40), RED).convert("CMYK")
    photo = read_photo(encoded(inks, "JPEG", icc_profile=srgb()))
    assert near(pixel(photo.image, 0.5, 0.5), RED, 20)
    assert "of 'RGB', the photo CMYK" in photo.notes[0]


def test_a_second_pass_changes_nothing() -> None:
    once = normalise(encoded(Image.new("RGB", (40, 40), RED), icc_profile=wide_profile()))
    buffer = io.BytesIO()
    once.save(buffer, "PNG")
    assert normalise(buffer.getvalue()).tobytes() == once.tobytes()
