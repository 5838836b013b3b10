"""What the frozen tower sees of photos and drawn scenes, kept in files; knows no language.

Shapes: N pictures, T tokens of a picture, D their width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from workers.lite import LITE0, LiteTower, LiteTowerConfig, fold
from workers.training.imagenet import public_tower
from workers.training.photos import (
    IMAGE_PX,
    PhotoSet,
    Shot,
    augment,
    draw_scenes,
    load,
    read_iconic,
    read_shots,
)

STAGES = 6  # of Lite0's seven: the last one and the head are a third of its weights
BATCH = 32
VIEW_STRENGTH = 0.7
SCENES, VAL_SCENES = 1600, 200
VAL_SCENES_SEED = 500_000


@dataclass(frozen=True, slots=True)
class Seen:
    """Shots and their tokens (N, T, D) in float16."""

    shots: tuple[Shot, ...]
    tokens: Tensor


def cut_tower() -> LiteTower:
    """The public tower without its last stage and head, its norms folded in."""
    whole = fold(public_tower(IMAGE_PX)).state_dict()
    cut = empty_tower(IMAGE_PX)
    cut.load_state_dict({name: whole[name] for name in cut.state_dict()})
    return cut.eval()


def empty_tower(image_size: int) -> LiteTower:
    """A folded tower of `STAGES` stages; a token is the last map beside the finer one."""
    config = LiteTowerConfig(
        image_size=image_size,
        stages=LITE0[:STAGES],
        embedding_size=LITE0[STAGES - 1][3],
        is_folded=True,
    )
    tower = LiteTower(config)
    tower.register_module("head", nn.Identity())
    return tower


def gather(
    data: Path, cache: Path, seed: int, log: Callable[[str], None]
) -> tuple[list[Seen], Seen, Seen, Seen]:
    """Views of the training photos, training scenes, val photos and val scenes."""
    cache.mkdir(parents=True, exist_ok=True)
    tower = cut_tower()
    photos = [*read_shots(data, "train"), *read_iconic(data)]

    def look(name: str, make: Callable[[], PhotoSet], shots: tuple[Shot, ...] | None) -> Seen:
        path = cache / f"{name}-seed{seed}.npy"
        if shots is None or not path.is_file():
            made = make()
            shots = made.shots
            if not path.is_file():
                strength = VIEW_STRENGTH if name.endswith("view") else 0.0
                np.save(path, tokens_of(tower, made.pixels, seed, strength).numpy())
        log(f"{name}: {len(shots)} pictures")
        return Seen(shots, torch.from_numpy(np.load(path)))

    val = read_shots(data, "val")
    train = [
        look(name, lambda: load(photos, IMAGE_PX), tuple(photos)) for name in ("photos", "view")
    ]
    return (
        train,
        look("scenes", lambda: draw_scenes(SCENES, seed, IMAGE_PX), None),
        look("val", lambda: load(val, IMAGE_PX), tuple(val)),
        look("val-scenes", lambda: draw_scenes(VAL_SCENES, VAL_SCENES_SEED, IMAGE_PX), None),
    )


@torch.inference_mode()
def tokens_of(tower: LiteTower, pixels: Tensor, seed: int, strength: float) -> Tensor:
    """(N, T, D) float16 of uint8 pixels (N, 3, H, W), seen in one view of this strength."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for part in pixels.split(BATCH):
        seen = augment(part, generator, strength)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts.append(tower(seen).last_hidden_state.half())
    return torch.cat(parts)
