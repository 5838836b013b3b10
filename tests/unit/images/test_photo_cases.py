"""Photo files of shops and phones: each ends as who made it would expect, whatever its name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from orchestra.core.errors import (
    ImageBlank,
    ImageError,
    ImageTruncated,
    ImageUnreadable,
)
from orchestra.images.intake import read_photo
from orchestra.images.limits import ImageLimits
from tests.photo_files import (
    BLACK,
    GREEN,
    RED,
    WHITE,
    Pixel,
    chunk,
    encoded,
    heic,
    heic_of_exif,
    marked,
    near,
    noisy,
    pixel,
    png,
    turned,
    without_adobe,
)

CORNERS = ((0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.05, 0.95))
# Which corner is red once a photo of a red corner at the top left is upright.
UPRIGHT = {1: 0, 2: 1, 3: 2, 4: 3, 5: 0, 6: 1, 7: 2, 8: 3}


def frames(format: str, *pictures: Image.Image) -> bytes:
    return encoded(pictures[0], format, save_all=True, append_images=list(pictures[1:]))


def mpo() -> bytes:
    return frames("MPO", marked(), marked().transpose(Image.Transpose.ROTATE_180))


def cmyk() -> Image.Image:
    return Image.new("RGB", (64, 64), RED).convert("CMYK")


def deep(red: int, green: int, blue: int, *, alpha: int | None = None) -> bytes:
    samples = (red, green, blue) if alpha is None else (red, green, blue, alpha)
    rows = struct.pack(f">{len(samples)}H", *samples) * 16 * 16
    return png(rows, 16, 16, 2 if alpha is None else 6, 16)


def cut_out(ground: Pixel) -> bytes:
    """A palette picture with a transparent ground, as cut-outs of products are saved."""
    picture = Image.new("P", (32, 32), 0)
    picture.putpalette([*ground, *RED])
    picture.paste(1, (8, 8, 24, 24))
    return encoded(picture, transparency=0)


def white_cut_out(alpha: int = 255) -> bytes:
    """A white product with a soft shadow."""
    picture = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    picture.paste((0, 0, 0, 10), (16, 44, 52, 52))
    picture.paste((250, 250, 250, alpha), (16, 16, 48, 48))
    return encoded(picture)


def icon() -> bytes:
    return encoded(marked(), "ICO", sizes=[(16, 12), (64, 48)])


GREY: Pixel = (156, 156, 156)
READ: dict[str, tuple[bytes, Pixel, Pixel]] = {
    # A file, and its colours at the top left and in the middle.
    "an iPhone's HEIC": (heic(marked()), RED, GREEN),
    "a HEIC that is called MIF": (
        heic(marked()).replace(b"ftypheic", b"ftypmif1", 1),
        RED,
        GREEN,
    ),
    "an iPhone's second picture behind the first (MPO)": (mpo(), RED, GREEN),
    "CMYK with Adobe's marker": (encoded(cmyk(), "JPEG"), RED, RED),
    "CMYK without it": (without_adobe(encoded(cmyk(), "JPEG")), RED, RED),
    "CMYK in TIFF": (encoded(cmyk(), "TIFF", compression="tiff_lzw"), RED, RED),
    "16 bits of colour": (deep(56540, 7710, 7710), RED, RED),
    "16 bits with alpha": (deep(56540, 7710, 7710, alpha=65535), RED, RED),
    "16 bits half there": (deep(0, 0, 0, alpha=32768), (127, 127, 127), (127, 127, 127)),
    "16 bits of grey": (png(struct.pack(">H", 40000) * 256, 16, 16, 0, 16), GREY, GREY),
    "linear samples (gAMA 1.0)": (
        png(bytes((128, 64, 32)) * 256, 16, 16, 2, 8, chunk(b"gAMA", struct.pack(">I", 100_000))),
        (186, 136, 99),
        (186, 136, 99),
    ),
    "sRGB's own gamma": (
        png(bytes((128, 64, 32)) * 256, 16, 16, 2, 8, chunk(b"gAMA", struct.pack(">I", 45_455))),
        (128, 64, 32),
        (128, 64, 32),
    ),
    "a cut-out with a palette": (cut_out(BLACK), WHITE, RED),
    "a white cut-out": (white_cut_out(), (128, 128, 128), (250, 250, 250)),
    "a progressive JPEG": (encoded(marked(640, 480), "JPEG", progressive=True), RED, GREEN),
    "bytes after the end": (encoded(marked(), "JPEG") + b"\0junk" * 800, RED, GREEN),
    "an animated WebP": (frames("WEBP", marked(), noisy(64, 48)), RED, GREEN),
    "an animated PNG": (frames("PNG", marked(), noisy(64, 48)), RED, GREEN),
    "an animated GIF that begins empty": (
        frames("GIF", Image.new("RGB", (64, 48), WHITE), marked()),
        RED,
        GREEN,
    ),
    "a WebP that begins transparent": (
        frames("WEBP", Image.new("RGBA", (64, 48), (0, 0, 0, 0)), marked().convert("RGBA")),
        RED,
        GREEN,
    ),
    "a TIFF of two pages": (frames("TIFF", marked(), noisy(64, 48)), RED, GREEN),
    "a TIFF whose first page is empty": (
        frames("TIFF", Image.new("RGB", (64, 48), WHITE), marked()),
        RED,
        GREEN,
    ),
    "JPEG 2000": (encoded(marked(), "JPEG2000"), RED, GREEN),
    "an icon": (icon(), RED, GREEN),
    "WebP, AVIF or PNG called .jpg": (encoded(marked(), "AVIF"), RED, GREEN),
}


@pytest.mark.parametrize("case", READ)
def test_each_kind_of_photo_shows_what_it_shows_elsewhere(case: str) -> None:
    data, corner, middle = READ[case]
    image = read_photo(data).image
    assert image.mode == "RGB"
    assert near(pixel(image, 0.05, 0.05), corner), pixel(image, 0.05, 0.05)
    assert near(pixel(image, 0.5, 0.5), middle), pixel(image, 0.5, 0.5)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "HEIC", "EXIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_in_every_format(format: str, orientation: int) -> None:
    if format == "HEIC":
        data = heic(marked(), exif=turned(orientation).tobytes())
        assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    elif format == "EXIF":
        data = heic_of_exif(marked(), turned(orientation))
        assert b"irot" not in data and b"imir" not in data
    else:
        data = encoded(marked(), format, exif=turned(orientation))
    image = read_photo(data).image
    assert image.size == ((48, 64) if orientation > 4 else (64, 48))
    red = [pixel(image, *corner)[0] > 180 for corner in CORNERS]
    assert red.index(True) == UPRIGHT[orientation]
    assert sum(red) == 1
    assert read_photo(encoded(image)).image.size == image.size


REFUSED: dict[str, tuple[bytes, type[ImageError], str]] = {
    # A file, and the words that tell its user what it is.
    "a drawing": (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", ImageUnreadable, "SVG"),
    "a drawing without a head": (b"<svg width='4'><path/></svg>", ImageUnreadable, "SVG"),
    "nothing": (b"", ImageUnreadable, "0 bytes"),
    "a web page": (b"<html><body>Not Found</body></html>", ImageUnreadable, "web page"),
    "a web page with a remark": (
        b"\n<!-- x --><!doctype html><title>secret-4711",
        ImageUnreadable,
        "web page",
    ),
    "JSON": (b'{"error":"access denied", "key": "secret-4711"}', ImageUnreadable, "JSON"),
    "a JSON list": (b'[{"message": "secret-4711"}]', ImageUnreadable, "JSON"),
    "a store's error": (
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Id>secret-4711</Id></Error>',
        ImageUnreadable,
        "file store",
    ),
    "XML": (b'<?xml version="1.0"?><feed>secret-4711</feed>', ImageUnreadable, "XML"),
    "text": (b"secret-4711 is not here", ImageUnreadable, "plain text"),
    "UTF-16 text": ("<html>secret-4711</html>".encode("utf-16"), ImageUnreadable, "web page"),
    "Photoshop's own file": (b"8BPS\0\x01secret-4711" + bytes(24), ImageUnreadable, "PSD"),
    "a video": (b"\0\0\0\x18ftypmp42secret-4711", ImageUnreadable, "video"),
    "JPEG XL": (b"\0\0\0\x0cJXL \r\n\x87\nsecret-4711", ImageUnreadable, "JPEG XL"),
    "an archive": (b"PK\x03\x04secret-4711", ImageUnreadable, "ZIP"),
    "zero bytes": (bytes(5000), ImageUnreadable, "zero bytes"),
    "what macOS keeps beside a file": (b"\0\5\x16\7secret-4711", ImageUnreadable, "macOS"),
    "camera raw": (b"II*\0\x10\0\0\0CR\2\0secret-4711", ImageUnreadable, "camera raw"),
    "unknown bytes": (b"\x07\xfe\x99\x01secret-4711", ImageUnreadable, "no image format"),
    "a wholly transparent picture": (
        encoded(Image.new("LA", (32, 32), (0, 0))),
        ImageBlank,
        "transparent",
    ),
    "a white placeholder": (
        encoded(Image.new("RGB", (400, 400), WHITE), "JPEG"),
        ImageBlank,
        "white all over",
    ),
    "a black placeholder": (encoded(Image.new("L", (90, 90), 0)), ImageBlank, "black all over"),
    "a pixel that counts visits": (
        encoded(Image.new("P", (1, 1), 0), "GIF"),
        ImageBlank,
        "1x1 pixels",
    ),
    "a strip": (encoded(marked(9000, 12), "JPEG"), ImageUnreadable, "9000x12 pixels, a strip"),
    "a progressive JPEG that breaks off": (
        encoded(noisy(), "JPEG", progressive=True)[:-4000],
        ImageTruncated,
        "ends before",
    ),
    "a HEIC that breaks off": (heic(noisy())[:-4000], ImageTruncated, "ends before"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_photo_is_told_without_its_bytes(case: str) -> None:
    data, kind, said = REFUSED[case]
    with pytest.raises(kind) as caught:
        read_photo(data)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\\x" not in str(caught.value)


@pytest.mark.parametrize("colour", [RED, (200, 200, 205), (250, 235, 215)])
def test_a_picture_of_one_colour_may_be_a_swatch(colour: Pixel) -> None:
    assert near(
        pixel(read_photo(encoded(Image.new("RGB", (40, 40), colour))).image, 0.5, 0.5), colour
    )


def test_a_white_product_that_is_shaded_stays_on_white() -> None:
    picture = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    picture.paste((200, 200, 205, 255), (16, 16, 48, 48))
    photo = read_photo(encoded(picture))
    assert pixel(photo.image, 0.05, 0.05) == WHITE
    assert photo.notes == ()


NOTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a white cut-out": (white_cut_out, "laid on grey"),
    "a JPEG without its end": (lambda: encoded(noisy(), "JPEG")[:-2], "lacks its end marker"),
    "a PNG without its end": (lambda: encoded(noisy())[:-12], "lacks its end marker"),
    "an animation that begins empty": (
        lambda: frames("GIF", Image.new("RGB", (64, 48), WHITE), marked()),
        "frame 2 of 2 is used",
    ),
    "a JPEG behind a blank line": (
        lambda: b"\r\n" + encoded(marked(), "JPEG"),
        "2 bytes before it were left out",
    ),
    "a white cut-out that is half there": (lambda: white_cut_out(alpha=90), "laid on grey"),
    "a TIFF of two pages": (lambda: frames("TIFF", marked(), noisy(64, 48)), "page 1 of 2 is used"),
    "a profile of no photo": (
        lambda: encoded(marked(), "JPEG", icc_profile=b"junk" * 40),
        "colour profile was not used",
    ),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_was_mended_is_noted(case: str) -> None:
    make, said = NOTED[case]
    photo = read_photo(make())
    assert len(photo.notes) == 1
    assert said in photo.notes[0]


def test_a_page_that_is_too_large_is_not_decoded() -> None:
    data = frames("TIFF", Image.new("RGB", (64, 48), WHITE), marked(400, 300))
    with pytest.raises(ImageBlank):
        read_photo(data, limits=ImageLimits(max_pixels=64 * 48))
    assert read_photo(data, limits=ImageLimits(max_pixels=400 * 300)).image.size == (400, 300)


def test_a_plain_photo_has_no_note() -> None:
    assert read_photo(encoded(marked(), "JPEG")).notes == ()
    assert read_photo(frames("GIF", marked(), noisy(64, 48))).notes == ()


def test_a_file_is_told_by_its_name_and_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(REFUSED["JSON"][0])
    with pytest.raises(ImageUnreadable, match=r"'p.jpg' is not a photo .* JSON"):
        read_photo("p.jpg", base=tmp_path)
