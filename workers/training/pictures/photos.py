"""Photos and drawn scenes as labelled pixel tensors: read, split, augment; knows no model.

Sizes: `B` images of a batch, `N` images of a set, 3 colours, `H` = `W` pixels.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from workers.synthetic.drawn import KINDS, RESERVED_SEED, draw_nothing, draw_product
from workers.synthetic.fruit import FRUIT
from workers.synthetic.packages import PACKAGES
from workers.synthetic.scenes import FIGURES, Thing, compose, draw_scene
from workers.synthetic.vegetables import VEGETABLES

IMAGE_PX = 224  # what the model sees
STORE_PX = 256  # what augmentation crops from
GREY = (127, 127, 127)  # the processor's padding: image_mean 0.5 of 255
UNKNOWN = -100  # the label that cross_entropy ignores
NOTHING = "nothing"  # the class of a picture that shows no product

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
    "grey", "beige",
)  # fmt: skip
CLOTHING = (
    "dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt",
    "t-shirt",
)  # fmt: skip

# The typical colour of a grocery product, where people would agree; cartons, and fruit of
# several colours, are left out and never counted.
PRODUCT_COLOUR = {
    "Granny Smith": "green", "Red Delicious": "red", "Royal Gala": "red", "Avocado": "green",
    "Banana": "yellow", "Kiwi": "brown", "Lemon": "yellow", "Lime": "green",
    "Watermelon": "green", "Orange": "orange", "Passion Fruit": "purple", "Anjou": "green",
    "Conference": "green", "Kaiser": "brown", "Plum": "purple", "Pomegranate": "red",
    "Satsumas": "orange", "Asparagus": "green", "Aubergine": "purple", "Cabbage": "green",
    "Carrots": "orange", "Cucumber": "green", "Garlic": "white", "Leek": "green",
    "Brown Cap Mushroom": "brown", "Green Bell Pepper": "green", "Orange Bell Pepper": "orange",
    "Red Bell Pepper": "red", "Yellow Bell Pepper": "yellow", "Beef Tomato": "red",
    "Regular Tomato": "red", "Vine Tomato": "red", "Zucchini": "green",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shot:
    """One labelled picture; `None` where its table or its drawer does not say."""

    path: Path | None
    product: str | None
    category: str
    department: str
    colour: str | None
    things: tuple[Thing, ...] = ()  # of a drawn scene: then the other fields say little


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """Shots and their pixels: `pixels` is uint8 (N, 3, H, W) in the order of `shots`."""

    shots: tuple[Shot, ...]
    pixels: Tensor

    def __len__(self) -> int:
        return len(self.shots)

    def pick(self, rows: list[int]) -> PhotoSet:
        """The set of these rows, in this order."""
        return PhotoSet(tuple(self.shots[i] for i in rows), self.pixels[rows])


def read_shots(data: Path, split: str) -> list[Shot]:
    """The labelled photos of both sets under `data`; `split` is train or val."""
    shots = []
    for row in _rows(data / "grocery" / f"{split}.csv"):
        colour = PRODUCT_COLOUR.get(row["name"])
        path = data / "grocery" / row["image"]
        shots.append(Shot(path, row["name"], row["category"], row["department"], colour))
    for row in _rows(data / "clothing" / f"{split}.csv"):
        path = data / "clothing" / row["image"]
        shots.append(Shot(path, None, row["category"], "Clothing", None))
    return shots


def read_iconic(data: Path) -> list[Shot]:
    """The shop photo of each grocery product."""
    return [
        Shot(
            data / "grocery" / row["image"],
            row["name"],
            row["category"],
            row["department"],
            PRODUCT_COLOUR.get(row["name"]),
        )
        for row in _rows(data / "grocery" / "products.csv")
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def square(image: Image.Image, px: int) -> Tensor:
    """`image` as the model's processor sees it: (3, px, px) uint8, padded with grey.

    The longest side becomes `px` (bicubic) and the rest is centred padding, which is what
    `DeepseekVLImageProcessorPil` does with `image_mean` 0.5.
    """
    image = ImageOps.exif_transpose(image).convert("RGB")
    scale = px / max(image.size)
    width, height = (max(round(side * scale), 1) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (px, px), GREY)
    canvas.paste(small, ((px - width) // 2, (px - height) // 2))
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1).contiguous()


def load(shots: list[Shot], px: int) -> PhotoSet:
    """Read the pixels of every shot; raises OSError for a photo that cannot be read."""
    pixels = torch.empty(len(shots), 3, px, px, dtype=torch.uint8)
    for row, shot in enumerate(shots):
        if shot.path is None:
            raise ValueError(f"Shot {row} of {shot.category!r} has no path to read from.")
        with Image.open(shot.path) as image:
            image.draft(
                "RGB", (2 * px, 2 * px)
            )  # a large JPEG is decoded smaller, three times faster
            pixels[row] = square(image, px)
    return PhotoSet(tuple(shots), pixels)


def draw_pool(products: int, empty: int, seed: int, px: int) -> PhotoSet:
    """`products` drawn products, each kind and colour in turn, then `empty` empty scenes.

    Raises ValueError when the pool would reach the seeds reserved for demos and tests.
    """
    last = seed + products + empty
    if last >= RESERVED_SEED:
        raise ValueError(
            f"The pool would draw up to seed {last!r}, and {RESERVED_SEED} on is reserved for "
            "demos and tests. Ask for a lower seed or a smaller pool."
        )
    shots = pool_shots(products, empty)
    pictures = [
        draw_product(shot.category, shot.colour, seed=seed + number, size=px)
        if shot.colour
        else draw_nothing(seed=seed + number, size=px)
        for number, shot in enumerate(shots)
    ]
    return PhotoSet(shots, torch.stack([square(picture, px) for picture in pictures]))


def pool_shots(products: int, empty: int) -> tuple[Shot, ...]:
    """The shots of `draw_pool`, which says what they are."""
    looks = [
        (kind, KINDS[kind][at % len(KINDS[kind])]) for at in range(len(COLOURS)) for kind in KINDS
    ]
    drawn = [looks[number % len(looks)] for number in range(products)]
    return (
        *(Shot(None, None, kind, department_of(kind), colour) for kind, colour in drawn),
        *(Shot(None, None, NOTHING, NOTHING, None) for _ in range(empty)),
    )


def draw_scenes(count: int, seed: int, px: int) -> PhotoSet:
    """`count` drawn scenes of one to six things; see `draw_pool` for the seeds."""
    if seed + count >= RESERVED_SEED:
        raise ValueError(
            f"The scenes would reach seed {seed + count!r}, and {RESERVED_SEED} on is reserved "
            "for demos and tests. Ask for fewer."
        )
    scenes = [compose(seed + number) for number in range(count)]
    pixels = torch.empty(count, 3, px, px, dtype=torch.uint8)
    for number, things in enumerate(scenes):
        pixels[number] = square(draw_scene(things, seed=seed + number, size=px), px)
    return PhotoSet(tuple(scene_shot(things) for things in scenes), pixels)


def scene_shot(things: tuple[Thing, ...]) -> Shot:
    """The labels that all things of a scene share; a plain figure is no product."""
    kinds = {thing.kind for thing in things}
    colours = {thing.colour for thing in things}
    kind = kinds.pop() if len(kinds) == 1 else NOTHING
    category = NOTHING if kind in FIGURES else kind
    department = NOTHING if category == NOTHING else department_of(category)
    colour = colours.pop() if len(colours) == 1 else None
    return Shot(None, None, category, department, colour, things)


def department_of(kind: str) -> str:
    """The department of a drawn kind."""
    shelves = {"Fruit": FRUIT, "Vegetables": VEGETABLES, "Packages": PACKAGES}
    return next((name for name, kinds in shelves.items() if kind in kinds), "Clothing")


def normalise(pixels: Tensor) -> Tensor:
    """uint8 pixels to the model's range: -1 to 1."""
    return pixels.float().div(127.5).sub(1.0)


def augment(pixels: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Random views of (B, 3, H, W) uint8 pixels: normalised (B, 3, IMAGE_PX, IMAGE_PX).

    Crops, turns, mirrors, shears, changes light and saturation, and erases a patch; hue stays
    since colour is a label. `strength` 0 leaves a centred full view.
    """
    views = F.grid_sample(
        normalise(pixels),
        F.affine_grid(
            _poses(len(pixels), generator, strength),
            [len(pixels), 3, IMAGE_PX, IMAGE_PX],
            align_corners=False,
        ),
        mode="bilinear",
        padding_mode="zeros",  # zero is the grey of the padding
        align_corners=False,
    )
    return _erase(_relight(views, generator, strength), generator, strength)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _poses(count: int, generator: torch.Generator, strength: float) -> Tensor:
    size = 1 + (_uniform(count, 0.5, 1.12, generator) - 1) * strength
    aspect = torch.exp(_uniform(count, -0.22, 0.22, generator) * strength)
    angle = _uniform(count, -0.35, 0.35, generator) * strength
    shear = _uniform(count, -0.15, 0.15, generator) * strength
    mirror = torch.sign(torch.rand(count, generator=generator) - 0.5 * min(strength, 1.0))
    mirror[mirror == 0] = 1
    room = (1 - size).abs() + 0.05 * strength
    wide, tall = size * aspect, size / aspect
    poses = torch.zeros(count, 2, 3)
    poses[:, 0, 0] = wide * angle.cos() * mirror
    poses[:, 0, 1] = -tall * angle.sin() + shear * tall
    poses[:, 0, 2] = room * _uniform(count, -1, 1, generator)
    poses[:, 1, 0] = wide * angle.sin() * mirror
    poses[:, 1, 1] = tall * angle.cos()
    poses[:, 1, 2] = room * _uniform(count, -1, 1, generator)
    return poses


def _relight(views: Tensor, generator: torch.Generator, strength: float) -> Tensor:
    count = len(views)
    light, contrast, saturation = (
        torch.exp(_uniform(count, -spread, spread, generator) * strength).view(-1, 1, 1, 1)
        for spread in (0.3, 0.3, 0.35)
    )
    light = ((views + 1) * light - 1).clamp(-1, 1)
    mean = light.mean(dim=(1, 2, 3), keepdim=True)
    contrasted = (light - mean) * contrast + mean
    grey = contrasted.mean(dim=1, keepdim=True)
    return ((contrasted - grey) * saturation + grey).clamp(-1, 1)


def _erase(views: Tensor, generator: torch.Generator, strength: float) -> Tensor:
    chosen = torch.rand(len(views), generator=generator) < 0.25 * strength
    for row in chosen.nonzero().flatten().tolist():
        side = int(torch.randint(IMAGE_PX // 6, IMAGE_PX // 2, (1,), generator=generator))
        top, left = torch.randint(0, IMAGE_PX - side, (2,), generator=generator).tolist()
        fill = math.tanh(float(torch.randn(1, generator=generator)))
        views[row, :, top : top + side, left : left + side] = fill
    return views
