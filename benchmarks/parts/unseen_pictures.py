"""Pictures of kinds that mini was never shown; knows no model.

Some are drawn here, by code that shares nothing with training's. Others are read from a folder, or
from an installed package that ships photos; nothing of theirs is copied.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from orchestra.core.errors import ImageError, UsageError
from orchestra.images.intake import normalise

SIZE = (320, 240)
SUFFIXES = (".jpg", ".jpeg", ".png")
LEAST_PX = 64  # a smaller picture in a package is an icon
# Folders of picture collections that show what mini knows, or no photos.
SKIPPED = ("food", "clothes", "people", "seasonal", "mushrooms", "symbols", "cartoon")
# Of scikit-image: test patterns of a few pixels, and copies of one photo.
NOT_PHOTOS = ("chessboard", "motorcycle_right", "multipage", "no_time", "microaneurysms")
# Chinese and Latin words would need a font; blocks of this many pixels look like print from afar.
WORD_PX = (6, 38)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and the kind of thing it shows."""

    kind: str
    image: Image.Image


def drawn(count: int, seed: int = 0) -> list[Picture]:
    """`count` pictures of each kind that can be drawn here."""
    return [
        Picture(name, draw(random.Random(f"{name}-{seed}-{number}")))
        for name, draw in DRAWERS.items()
        for number in range(count)
    ]


def in_folder(folder: Path, skipped: Sequence[str] = SKIPPED) -> list[Picture]:
    """The pictures under `folder`; the first folder in it is a picture's kind.

    Raises UsageError where there is none.
    """
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and not set(path.relative_to(folder).parts[:-1]) & set(skipped)
    ]
    pictures = [
        Picture(path.relative_to(folder).parts[0] if path.parent != folder else folder.name, image)
        for path, image in _read(found)
    ]
    if not pictures:
        raise UsageError(f"There is no photo under {str(folder)!r}. Name a folder of JPEG or PNG.")
    return pictures


def in_package(name: str) -> list[Picture]:
    """The pictures that an installed package ships. Raises UsageError without it."""
    try:
        listed = files(name) or []
    except PackageNotFoundError as error:
        raise UsageError(
            f"The package {name!r} is not installed: pip install 'orchestra-fleet[bench]'."
        ) from error
    paths = [
        Path(str(file.locate()))
        for file in listed
        if file.suffix.lower() in SUFFIXES and not any(word in file.name for word in NOT_PHOTOS)
    ]
    return [Picture(path.stem, image) for path, image in _read(sorted(paths))]


def _read(paths: Sequence[Path]) -> Iterator[tuple[Path, Image.Image]]:
    """Those that can be read, on white where they are cut out, as in a shop's photo."""
    for path in paths:
        try:
            image = normalise(path)
        except ImageError:
            continue
        if min(image.size) >= LEAST_PX:
            yield path, image


def _colour(rng: random.Random, low: int = 0, high: int = 255) -> tuple[int, int, int]:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def _noise(rng: random.Random) -> Image.Image:
    draws = np.random.default_rng(rng.getrandbits(32))
    image = Image.fromarray(draws.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
    return image.filter(ImageFilter.GaussianBlur(rng.choice((0, 1, 3, 8))))


def _gradient(rng: random.Random) -> Image.Image:
    ramp = Image.linear_gradient("L") if rng.random() < 0.5 else Image.radial_gradient("L")
    ramp = ramp.rotate(rng.uniform(0, 360)).resize(SIZE)
    first, second = Image.new("RGB", SIZE, _colour(rng)), Image.new("RGB", SIZE, _colour(rng))
    return Image.composite(first, second, ramp)


def _texture(rng: random.Random) -> Image.Image:
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(float)
    angle, step = rng.uniform(0, np.pi), rng.uniform(0.1, 0.9)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * step)
    if rng.random() < 0.5:
        wave = wave * np.sin((x * np.sin(angle) - y * np.cos(angle)) * step * rng.uniform(0.5, 2))
    share = (np.sign(wave) + 1) / 2 if rng.random() < 0.5 else (wave + 1) / 2
    first, second = np.array(_colour(rng)), np.array(_colour(rng))
    mixed = share[:, :, None] * first + (1 - share[:, :, None]) * second
    return Image.fromarray(mixed.astype(np.uint8))


def _page(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", (240, 320), _colour(rng, 225, 255))
    pen, ink, y = ImageDraw.Draw(image), _colour(rng, 0, 90), rng.randint(14, 40)
    high = rng.randint(4, 9)
    while y < 300:
        x, end = 20, rng.choice((220, 220, 220, rng.randint(60, 220)))
        while x < end:
            wide = min(rng.randint(*WORD_PX), end - x)
            pen.rectangle((x, y, x + wide, y + high), fill=ink)
            x += wide + rng.randint(3, 7)
        y += high + rng.choice((5, 5, 6, 18))
    return image.filter(ImageFilter.GaussianBlur(0.6))


def _chart(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    pen.line((36, 14, 36, 214, 306, 214), fill="black", width=2)
    for at in range(5):
        pen.line((36, 14 + 40 * at, 306, 14 + 40 * at), fill=(222, 222, 222))
    kind = rng.choice(("lines", "bars", "points"))
    for _ in range(rng.randint(1, 4) if kind != "bars" else 1):
        ink, level = _colour(rng, 0, 210), rng.randint(60, 180)
        dots = []
        for x in range(48, 300, rng.choice((8, 16, 24))):
            level = min(max(level + rng.randint(-28, 28), 20), 205)
            dots.append((x, level))
        if kind == "lines":
            pen.line(dots, fill=ink, width=2)
        for x, y in dots if kind != "lines" else ():
            box = (x, y, x + 7, 213) if kind == "bars" else (x - 2, y - 2, x + 2, y + 2)
            pen.rectangle(box, fill=ink)
    return image


def _pie(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", SIZE, _colour(rng, 235, 255))
    pen, start = ImageDraw.Draw(image), rng.randint(0, 360)
    cuts = sorted(rng.sample(range(10, 350), rng.randint(2, 6)))
    for low, high in zip([0, *cuts], [*cuts, 360], strict=True):
        box = (60, 30, 240, 210)
        pen.pieslice(box, start + low, start + high, fill=_colour(rng), outline="white")
    return image


def _screen(rng: random.Random) -> Image.Image:
    paper, accent = _colour(rng, 215, 255), _colour(rng, 20, 200)
    image = Image.new("RGB", SIZE, paper)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, SIZE[0], 22), fill=accent)
    side = rng.choice((0, 60, 90))
    pen.rectangle((0, 22, side, SIZE[1]), fill=_colour(rng, 180, 240))
    for row in range(rng.randint(3, 6)):
        y = 34 + row * 34
        pen.rounded_rectangle((side + 12, y, 308, y + 26), 4, outline=(190, 190, 190), fill="white")
        end = side + 12 + rng.randint(30, 120)
        pen.rectangle((side + 20, y + 9, end, y + 15), fill=(90, 90, 90))
        if rng.random() < 0.5:
            pen.rounded_rectangle((262, y + 5, 302, y + 21), 6, fill=accent)
    return image


def _face(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", (240, 320), _colour(rng))
    pen = ImageDraw.Draw(image)
    skin, hair = rng.choice(((244, 208, 177), (141, 85, 36), (224, 172, 105))), _colour(rng, 0, 120)
    wide, high = rng.randint(60, 85), rng.randint(85, 110)
    pen.ellipse((120 - wide - 8, 150 - high - 18, 128 + wide, 150 + high // 2), fill=hair)
    pen.ellipse((120 - wide, 150 - high, 120 + wide, 150 + high), fill=skin)
    for x in (120 - wide // 2, 120 + wide // 2):
        pen.ellipse((x - 13, 122, x + 13, 138), fill="white", outline="black")
        pen.ellipse((x - 5, 124, x + 5, 136), fill=_colour(rng, 0, 110))
        pen.line((x - 16, 108, x + 16, 106), fill=hair, width=4)
    pen.line((120, 135, 112, 170, 124, 172), fill=tuple(c * 3 // 4 for c in skin), width=3)
    pen.chord((92, 178, 148, 178 + rng.randint(14, 36)), 0, 180, fill=(176, 52, 60))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _landscape(rng: random.Random) -> Image.Image:
    sky = Image.new("RGB", SIZE, (rng.randint(90, 190), rng.randint(150, 210), 240))
    pale = Image.new("RGB", SIZE, (240, 235, 225))
    image = Image.composite(pale, sky, Image.linear_gradient("L").resize(SIZE))
    pen = ImageDraw.Draw(image)
    for layer in range(3):
        level, ink = 90 + 45 * layer, _colour(rng, 30, 150 - 30 * layer)
        ridge, y = [(0, SIZE[1])], level
        for x in range(0, SIZE[0] + 20, 20):
            y = min(max(y + rng.randint(-18, 18), level - 40), level + 40)
            ridge.append((x, y))
        pen.polygon([*ridge, (SIZE[0], SIZE[1])], fill=ink)
    x, y = rng.randint(30, 290), rng.randint(20, 60)
    pen.ellipse((x - 14, y - 14, x + 14, y + 14), fill=(255, 240, 190))
    return image.filter(ImageFilter.GaussianBlur(rng.choice((0.5, 1.5))))


def _street_map(rng: random.Random) -> Image.Image:
    image = Image.new("RGB", SIZE, _colour(rng, 225, 245))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(2, 4)):
        x, y = rng.randint(0, 260), rng.randint(0, 190)
        park = rng.choice(((200, 230, 190), (170, 210, 240)))
        pen.rectangle((x, y, x + rng.randint(30, 110), y + rng.randint(30, 90)), fill=park)
    for _ in range(rng.randint(8, 16)):
        ends = [(rng.randint(-20, 340), rng.randint(-20, 260)) for _ in range(2)]
        pen.line(ends, fill=(190, 190, 190), width=9)
        pen.line(ends, fill=rng.choice(("white", (250, 215, 130))), width=6)
    return image


Drawer = Callable[[random.Random], Image.Image]
DRAWERS: dict[str, Drawer] = {
    "noise": _noise,
    "gradient": _gradient,
    "texture": _texture,
    "page": _page,
    "chart": _chart,
    "pie": _pie,
    "screen": _screen,
    "face": _face,
    "landscape": _landscape,
    "map": _street_map,
}
