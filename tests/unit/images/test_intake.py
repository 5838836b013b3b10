"""Intake: what a photo becomes, and which error a bad one gives."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestra.core.errors import (
    ImageForbidden,
    ImageNotFound,
    ImageTooLarge,
    ImageTruncated,
    ImageUnreadable,
)
from orchestra.images.intake import fitting, normalise
from orchestra.images.limits import ImageLimits

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
Pixel = tuple[int, int, int]


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def gradient(width: int = 320, height: int = 240) -> Image.Image:
    """A picture with detail everywhere, so that cutting its file loses pixels."""
    noise = Image.effect_noise((width, height), 80)
    return Image.merge("RGB", (noise, noise.transpose(Image.Transpose.ROTATE_180), noise))


def pixel(image: Image.Image, x: int, y: int) -> Pixel:
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return int(value[0]), int(value[1]), int(value[2])


def near(found: Pixel, wanted: Pixel, tolerance: int = 12) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to no pixels behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_each_common_format_is_read_from_bytes(format: str) -> None:
    image = normalise(encoded(Image.new("RGB", (30, 20), RED), format))
    assert (image.mode, image.size) == ("RGB", (30, 20))
    assert near(pixel(image, 15, 10), RED)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(format: str) -> None:
    wide = Image.new("RGB", (80, 40), BLUE)
    wide.paste(RED, (0, 0, 40, 40))  # stored left half red; orientation 6 turns it to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    image = normalise(encoded(wide, format, exif=exif))
    assert image.size == (40, 80)
    assert near(pixel(image, 20, 10), RED, 30)
    assert near(pixel(image, 20, 70), BLUE, 30)
    assert normalise(image).size == (40, 80)


def test_orientation_of_a_pil_image_is_applied_and_the_image_left_alone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    stored = Image.new("RGB", (40, 40), BLUE)
    stored.paste(RED, (0, 0, 40, 20))
    opened = Image.open(io.BytesIO(encoded(stored, exif=exif)))
    assert near(pixel(normalise(opened), 20, 30), RED)
    assert near(pixel(opened, 20, 5), RED)
    assert opened.getexif()[0x0112] == 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_agrees_with_pillow(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(gradient(40, 30), exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert normalise(data).tobytes() == expected.tobytes()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_cost_the_photo() -> None:
    data = encoded(Image.new("RGB", (8, 8), RED), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert near(pixel(normalise(data), 4, 4), RED)


def test_alpha_lies_on_white() -> None:
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 10, 10))
    image = normalise(encoded(image))
    assert pixel(image, 2, 5) == RED
    assert pixel(image, 18, 5) == WHITE


def test_half_transparent_red_is_pink() -> None:
    image = normalise(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128))))
    assert near(pixel(image, 1, 1), (255, 127, 127), 2)


def test_transparent_parts_of_a_large_photo_do_not_darken_its_edge() -> None:
    image = Image.new("RGBA", (3000, 300), (0, 0, 0, 0))
    image.paste((255, 230, 255, 255), (0, 0, 1501, 300))
    small = normalise(image)
    assert small.getextrema() == ((255, 255), (230, 255), (255, 255))


def test_transparent_palette_and_grey_alpha_lie_on_white() -> None:
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((3, 3), 1)
    image = normalise(encoded(palette, transparency=0))
    assert (pixel(image, 0, 0), pixel(image, 3, 3)) == (WHITE, RED)
    grey = Image.new("LA", (4, 4), (0, 0))
    grey.putpixel((3, 3), (90, 255))
    assert pixel(normalise(encoded(grey)), 1, 1) == WHITE
    keyed = Image.new("RGB", (4, 4), BLUE)
    keyed.putpixel((3, 3), RED)
    assert pixel(normalise(encoded(keyed, transparency=BLUE)), 1, 1) == WHITE


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours(format: str) -> None:
    image = Image.new("RGB", (60, 20), RED)
    image.paste(WHITE, (20, 0, 40, 20))
    image.paste((0, 0, 0), (40, 0, 60, 20))
    result = normalise(encoded(image.convert("CMYK"), format))
    assert near(pixel(result, 8, 10), RED, 20)
    assert near(pixel(result, 30, 10), WHITE, 20)
    assert near(pixel(result, 52, 10), (0, 0, 0), 20)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = Image.new("I;16", (256, 4))
    for x in range(256):
        for y in range(4):
            ramp.putpixel((x, y), x * 257)
    for data in (encoded(ramp), encoded(ramp, "TIFF")):
        image = normalise(data)
        assert [pixel(image, x, 0)[0] for x in range(256)] == list(range(256))


def test_sixteen_bit_grey_with_a_transparent_value_lies_on_white() -> None:
    image = Image.new("I;16", (3, 1), 1000)
    image.putpixel((1, 0), 257 * 100)
    result = normalise(encoded(image, transparency=1000))
    assert (pixel(result, 0, 0), pixel(result, 1, 0)) == (WHITE, (100, 100, 100))


@pytest.mark.parametrize(
    ("mode", "dark", "bright"),
    [("I", 0, 65535), ("I", 0, 255), ("F", 0.0, 1.0), ("F", 0.0, 255.0), ("F", -3.0, 7.0e6)],
)
def test_wide_greys_use_the_whole_range(mode: str, dark: float, bright: float) -> None:
    image = Image.new(mode, (2, 1), dark)
    image.putpixel((1, 0), bright)
    result = normalise(image)
    assert (pixel(result, 0, 0), pixel(result, 1, 0)) == ((0, 0, 0), WHITE)


@pytest.mark.parametrize("mode", ["1", "L", "P", "HSV", "YCbCr", "RGBX"])
def test_other_modes_become_rgb(mode: str) -> None:
    assert normalise(Image.new("RGB", (5, 5), WHITE).convert(mode)).mode == "RGB"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=50)
    assert near(pixel(normalise(data), 8, 8), RED)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((3, 1), None), ((8000, 1000), (1024, 128)), ((20_000, 200), (1024, 10)), ((300, 1024), None)],
)
def test_longest_side_is_at_most_1024(size: tuple[int, int], expected: Any) -> None:
    for format in ("PNG", "JPEG"):
        image = normalise(encoded(Image.new("RGB", size, GREEN), format))
        assert image.size == (expected or size)
        assert near(pixel(image, image.width // 2, image.height // 2), GREEN)


def test_reduced_jpeg_looks_like_the_full_one() -> None:
    full = Image.radial_gradient("L").resize((3000, 2000)).convert("RGB")
    reduced = normalise(encoded(full, "JPEG", quality=95))
    expected = full.resize((1024, 683), Image.Resampling.LANCZOS)
    assert reduced.size == expected.size
    for x, y in ((10, 10), (500, 300), (1000, 600)):
        assert near(pixel(reduced, x, y), pixel(expected, x, y), 6)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_truncated_file_is_reported_as_truncated(format: str, kept: float) -> None:
    data = encoded(gradient(), format)
    with pytest.raises(ImageTruncated, match="ends before"):
        normalise(data[: int(len(data) * kept)])


@pytest.mark.parametrize("progressive", [False, True])
def test_truncated_jpeg_is_reported_when_it_is_decoded_reduced(progressive: bool) -> None:
    data = encoded(gradient(2500, 2000), "JPEG", progressive=progressive)
    with pytest.raises(ImageTruncated):
        normalise(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
def test_file_cut_inside_its_header_is_truncated(format: str) -> None:
    with pytest.raises(ImageTruncated):
        normalise(encoded(gradient(), format)[:24])


def test_header_of_200_megapixels_is_refused_before_decoding() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        normalise(png_header(20_000, 10_000))
    for part in ("20000x10000", "200.0 megapixels", "limit is 64.0", "max_pixels"):
        assert part in str(caught.value)


def test_pixel_limit_is_the_callers() -> None:
    limits = ImageLimits(max_pixels=100)
    with pytest.raises(ImageTooLarge, match="11x10"):
        normalise(Image.new("RGB", (11, 10)), limits=limits)
    assert normalise(Image.new("RGB", (10, 10)), limits=limits).size == (10, 10)


def test_too_many_bytes_are_refused_for_every_source(tmp_path: Path) -> None:
    data = encoded(gradient())
    (tmp_path / "big.png").write_bytes(data)
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    for source in (data, "big.png", uri):
        with pytest.raises(ImageTooLarge, match="1,000"):
            normalise(source, base=tmp_path, limits=ImageLimits(max_bytes=1000))


def test_path_is_relative_to_the_base(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    place = tmp_path / "photos" / "a photo.png"
    place.write_bytes(encoded(Image.new("RGB", (3, 2), RED)))
    for source in ("photos/a photo.png", Path("photos/a photo.png"), str(place), place.as_uri()):
        assert normalise(source, base=tmp_path).size == (3, 2)


@pytest.mark.parametrize("source", ["missing.jpg", "", "  ", "a\0b.jpg", "x" * 5000, "file:///no"])
def test_missing_file_is_not_found(tmp_path: Path, source: str) -> None:
    with pytest.raises(ImageNotFound) as caught:
        normalise(source, base=tmp_path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("base", [True, False])
def test_a_missing_file_is_named_as_the_user_wrote_it_and_where_paths_start(
    tmp_path: Path, base: bool
) -> None:
    with pytest.raises(ImageNotFound) as caught:
        normalise("./photos/a.jpg", base=tmp_path if base else None)
    start = "the table" if base else "the working directory"
    assert str(caught.value) == (
        "Image './photos/a.jpg' does not exist. Check the name and its capitals; a path that is "
        f"not absolute starts at the folder of {start}."
    )


def test_folder_and_device_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match="folder"):
        normalise(tmp_path)
    with pytest.raises(ImageUnreadable, match="regular file"):
        normalise("/dev/zero")


def test_paths_can_be_forbidden(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", (1, 1))))
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), f"file://{tmp_path}/a.png"):
        with pytest.raises(ImageForbidden):
            normalise(source, limits=ImageLimits(allow_files=False))


def test_data_uri_is_read_in_its_variants() -> None:
    data = encoded(Image.new("RGB", (9, 7), GREEN))
    plain = base64.b64encode(data).decode()
    wrapped = "\n".join(plain[i : i + 40] for i in range(0, len(plain), 40))
    for body in (plain, wrapped, plain.rstrip("="), base64.urlsafe_b64encode(data).decode()):
        assert normalise(f"data:image/png;base64,{body}").size == (9, 7)
    percent = "".join(f"%{byte:02x}" for byte in data)
    assert normalise(f"DATA:image/png,{percent}").size == (9, 7)


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:image/png;base64,@@@@", "data:,hi"])
def test_bad_data_uri_is_unreadable(uri: str) -> None:
    with pytest.raises(ImageUnreadable):
        normalise(uri)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"hello, this is text", "plain text"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg xmlns='x'/>", "SVG"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"%PDF-1.7", "PDF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_is_not_an_image_is_named_with_a_cure(data: bytes, said: str) -> None:
    with pytest.raises(ImageUnreadable, match=said):
        normalise(data)


def test_damaged_pixels_are_unreadable() -> None:
    data = bytearray(encoded(gradient()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageUnreadable, match="damaged"):
        normalise(bytes(data))


def test_postscript_is_never_handed_to_a_decoder() -> None:
    with pytest.raises(ImageUnreadable, match="not a photo"):
        normalise(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")


@pytest.mark.parametrize(
    ("size", "fine", "expected"),
    [
        ((3000, 2000), False, (1024, 683)),
        ((3000, 2000), True, (3000, 2000)),
        ((4000, 3000), True, (3266, 2449)),
        ((20_000, 300), True, (16_383, 246)),
        ((800, 600), True, (800, 600)),
    ],
)
def test_a_fine_photo_keeps_its_pixels_up_to_a_bound(
    size: tuple[int, int], fine: bool, expected: tuple[int, int]
):
    assert fitting(size, ImageLimits(), fine=fine) == expected


def test_a_fine_photo_is_not_made_smaller():
    photo = Image.new("RGB", (1500, 900), "red")
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG")
    assert normalise(buffer.getvalue(), fine=True).size == (1500, 900)
    assert normalise(buffer.getvalue()).size == (1024, 614)
