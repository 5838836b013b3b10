"""Draw products and empty scenes for training and demos; knows no model and reads no file.

The same kind, colour and seed give the same picture. Training uses seeds below
`RESERVED_SEED`; demos and tests use seeds from it on, so that what they show is unseen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from workers.synthetic.fruit import FRUIT
from workers.synthetic.garments import GARMENTS
from workers.synthetic.packages import PACKAGES
from workers.synthetic.strokes import RGB, Outline, Pen, shift
from workers.synthetic.vegetables import VEGETABLES

RESERVED_SEED = 1_000_000
FAR = 110  # how much a background differs from a paint, all channels added
PALETTE: dict[str, RGB] = {
    "red": (202, 34, 38),
    "orange": (241, 134, 28),
    "yellow": (246, 210, 56),
    "green": (74, 152, 62),
    "blue": (44, 92, 192),
    "purple": (104, 44, 130),
    "pink": (242, 142, 178),
    "brown": (122, 76, 46),
    "black": (34, 34, 38),
    "white": (243, 241, 236),
    "grey": (140, 143, 147),
    "beige": (222, 200, 164),
}
ANY = tuple(PALETTE)
KINDS: dict[str, tuple[str, ...]] = {
    "Apple": ("red", "green", "yellow"),
    "Aubergine": ("purple",),
    "Banana": ("yellow",),
    "Carrots": ("orange",),
    "Cucumber": ("green",),
    "Garlic": ("white",),
    "Juice": ("orange", "red", "yellow", "green"),
    "Lemon": ("yellow",),
    "Lime": ("green",),
    "Melon": ("green", "yellow"),
    "Milk": ("white", "blue", "green", "red"),
    "Mushroom": ("brown", "white"),
    "Onion": ("brown", "purple", "white"),
    "Orange": ("orange",),
    "Pear": ("green", "yellow"),
    "Pepper": ("red", "green", "yellow", "orange"),
    "Pineapple": ("yellow",),
    "Plum": ("purple",),
    "Potato": ("beige", "brown"),
    "Tomato": ("red",),
    "Yoghurt": ("white", "pink", "blue"),
    **{kind: ANY for kind in GARMENTS},
}
DEEP = ("Plum", "Aubergine")  # darker than the palette's purple
SHAPES: dict[str, Outline] = {**FRUIT, **VEGETABLES, **PACKAGES, **GARMENTS}
BACKGROUNDS: tuple[RGB, ...] = (
    (246, 246, 244),
    (228, 230, 233),
    (206, 214, 220),
    (236, 226, 210),
    (198, 178, 150),
    (150, 118, 84),
    (182, 204, 216),
    (206, 222, 200),
    (240, 214, 214),
    (96, 104, 112),
    (62, 66, 74),
    (212, 204, 228),
    (255, 255, 255),
    (12, 12, 14),
)


def draw_product(kind: str, colour: str, *, seed: int, size: int = 256) -> Image.Image:
    """A `size` x `size` RGB picture of one product, or of a few of a kind.

    Background, pose, scale and shade vary with `seed`. Raises ValueError for a kind that is
    not in `KINDS` or a colour that it does not come in.
    """
    if kind not in KINDS:
        raise ValueError(f"No drawing of kind {kind!r}. Choose one of: {', '.join(KINDS)}.")
    if colour not in KINDS[kind]:
        raise ValueError(
            f"{kind} is not drawn in {colour!r}. Choose one of: {', '.join(KINDS[kind])}."
        )
    rng = random.Random(f"{kind}/{colour}/{seed}")
    paint = paint_of(kind, colour, rng)
    scene = background(size, rng, avoid=[paint])
    if kind in GARMENTS or rng.random() < 0.65:
        places = [(rng.uniform(0.45, 0.55), rng.uniform(0.45, 0.55), rng.uniform(0.7, 0.95))]
    else:
        places = _heap(rng)
    spread = 9 if kind in GARMENTS or kind in PACKAGES else 40
    for x, y, scale in places:
        layer = pose(SHAPES[kind], paint, size, scale, spread, rng)
        put(scene, layer, (round(x * size), round(y * size)))
    return scene


def draw_nothing(*, seed: int, size: int = 256) -> Image.Image:
    """A `size` x `size` RGB picture that shows no product: noise, plain, lines or spots."""
    rng = random.Random(f"nothing/{seed}")
    painters: tuple[Callable[[int, random.Random], Image.Image], ...] = (
        _noise,
        background,
        _flat,
        _abstract,
        _abstract,
        _blur,
    )
    return rng.choice(painters)(size, rng)


def paint_of(kind: str, colour: str, rng: random.Random) -> RGB:
    """A shade of the palette's `colour` for a thing of this kind."""
    base = PALETTE[colour]
    if kind in DEEP:
        base = shift(base, -0.35)
    wobble = [max(0, min(255, c + rng.randint(-7, 7))) for c in base]
    return shift((wobble[0], wobble[1], wobble[2]), rng.uniform(-0.12, 0.08))


def background(
    size: int, rng: random.Random, avoid: Sequence[RGB] = (), *, is_flat: bool = False
) -> Image.Image:
    """A plain wall, some with a table, that differs from the paints of `avoid`."""
    tone = rng.choice(_unlike(avoid))
    scene = Image.new("RGB", (size, size), tone)
    if is_flat:
        return scene
    if rng.random() < 0.5:  # a wall behind a table
        line = round(size * rng.uniform(0.5, 0.75))
        table = shift(tone, rng.choice((-0.22, -0.12, 0.35)))
        ImageDraw.Draw(scene).rectangle([0, line, size, size], fill=table)
        scene = scene.filter(ImageFilter.GaussianBlur(rng.uniform(0, size * 0.01)))
    light = Image.linear_gradient("L").resize((size, size)).rotate(rng.choice((0, 90, 180, 270)))
    shade = Image.new("RGB", (size, size), shift(tone, rng.uniform(-0.4, -0.05)))
    scene = Image.composite(shade, scene, light.point([round(v * 0.55) for v in range(256)]))
    if rng.random() < 0.3:
        scene = Image.blend(scene, _noise(size, rng), 0.06)
    return scene


def _unlike(avoid: Sequence[RGB]) -> list[RGB]:
    """The backgrounds far from every paint; the farthest one where none is."""

    def apart(tone: RGB) -> int:
        return min(
            (sum(abs(a - b) for a, b in zip(tone, paint, strict=True)) for paint in avoid),
            default=FAR + 1,
        )

    return [tone for tone in BACKGROUNDS if apart(tone) > FAR] or [max(BACKGROUNDS, key=apart)]


def _noise(size: int, rng: random.Random) -> Image.Image:
    coarse = rng.choice((size, size // 2, size // 8))
    pixels = rng.randbytes(coarse * coarse * 3)
    noise = Image.frombytes("RGB", (coarse, coarse), pixels)
    return noise.resize((size, size), Image.Resampling.BICUBIC)


def _flat(size: int, rng: random.Random) -> Image.Image:
    return Image.new(
        "RGB", (size, size), (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    )


def _blur(size: int, rng: random.Random) -> Image.Image:
    pixels = rng.randbytes(rng.choice((4, 9, 16)) * 3)
    side = {12: 2, 27: 3, 48: 4}[len(pixels)]
    tiny = Image.frombytes("RGB", (side, side), pixels)
    return tiny.resize((size, size), Image.Resampling.BICUBIC)


def _abstract(size: int, rng: random.Random) -> Image.Image:
    scene = background(size, rng) if rng.random() < 0.5 else _flat(size, rng)
    draw = ImageDraw.Draw(scene)
    for _ in range(rng.randint(3, 30)):
        fill = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        x, y = rng.randrange(size), rng.randrange(size)
        reach = rng.randrange(2, size // 4)
        corner = (x + rng.randint(-reach, reach), y + rng.randint(-reach, reach))
        if rng.random() < 0.5:
            draw.line([(x, y), corner], fill=fill, width=rng.randint(1, 9))
        else:
            box = (min(x, corner[0]), min(y, corner[1]), max(x, corner[0]), max(y, corner[1]))
            draw.rectangle(box, fill=fill)
    return scene


def _heap(rng: random.Random) -> list[tuple[float, float, float]]:
    """Places of two to four pieces: centre and scale, the far ones first."""
    spots = rng.sample([(0.32, 0.4), (0.67, 0.38), (0.36, 0.68), (0.66, 0.66)], rng.randint(2, 4))
    scale = rng.uniform(0.5, 0.6)
    return sorted(
        ((x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.05, 0.05), scale) for x, y in spots),
        key=lambda place: place[1],
    )


def pose(
    shape: Outline, paint: RGB, size: int, scale: float, spread: float, rng: random.Random
) -> Image.Image:
    """A layer `scale` times `size` pixels wide, turned by up to `spread` degrees."""
    pen = Pen(size * 2, rng)  # twice as large, so that edges are smooth when it shrinks
    shape(pen, paint)
    layer = pen.layer
    if rng.random() < 0.5:
        layer = layer.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    side = max(8, round(size * scale))
    tall = max(8, round(side * rng.uniform(0.92, 1.08)))
    turned = layer.rotate(rng.uniform(-spread, spread), Image.Resampling.BICUBIC, expand=True)
    grown = turned.width / layer.width
    return turned.resize((round(side * grown), round(tall * grown)), Image.Resampling.LANCZOS)


def put(
    scene: Image.Image, layer: Image.Image, centre: tuple[int, int], *, has_shadow: bool = True
) -> None:
    """Paste `layer` centred, with its soft shadow or without."""
    left, top = centre[0] - layer.width // 2, centre[1] - layer.height // 2
    if has_shadow:
        _shadow(scene, layer, left, top)
    scene.paste(layer.convert("RGB"), (left, top), layer.getchannel("A"))


def _shadow(scene: Image.Image, layer: Image.Image, left: int, top: int) -> None:
    drop = max(2, layer.width // 28)
    shadow = Image.new("L", scene.size, 0)
    shadow.paste(layer.getchannel("A"), (left + drop, top + drop))
    shadow = shadow.filter(ImageFilter.GaussianBlur(drop * 1.2))
    dark = ImageChops.multiply(scene, Image.new("RGB", scene.size, (120, 120, 125)))
    scene.paste(dark, mask=shadow.point([round(v * 0.75) for v in range(256)]))
