"""Pictures as the tower sees them, in several views; knows no labels' meaning.

The tower's trunk is never trained, so each view goes once through it, which is most of the tower's
work; the maps may be kept in files. Shapes: V views, N pictures, C channels, H = W places of the
finer map, B pictures of a batch, E embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from workers.training.pictures.photos import Shot, augment
from workers.vision.lite import LiteTower

BATCH = 32


@dataclass(frozen=True, slots=True)
class Views:
    """Maps of every picture in float16, (V, N, C, H, W); view 0 is the whole picture as it is."""

    shots: tuple[Shot, ...]
    maps: Tensor

    def __len__(self) -> int:
        return len(self.shots)

    def pick(self, rows: list[int]) -> Views:
        """These pictures, in this order."""
        return Views(tuple(self.shots[i] for i in rows), self.maps[:, rows])

    def plain(self, rows: slice) -> Tensor:
        """The whole pictures of `rows`, (B, C, H, W)."""
        return self.maps[0, rows].float()

    def random(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """One view of each of `rows`, (B, C, H, W)."""
        views = torch.randint(len(self.maps), (len(rows),), generator=generator)
        return self.maps[views, rows].float()


class Sampler:
    """Draws the rows of a batch; rare classes come up more often than their share."""

    def __init__(self, shots: Sequence[Shot], generator: torch.Generator) -> None:
        names = [shot.product or shot.category for shot in shots]
        counts = {name: names.count(name) for name in set(names)}
        self.weights = torch.tensor([counts[name] ** -0.5 for name in names])
        self.generator = generator

    def rows(self, count: int) -> Tensor:
        """`count` row numbers, with replacement."""
        return torch.multinomial(self.weights, count, replacement=True, generator=self.generator)


@dataclass(frozen=True, slots=True)
class Eye:
    """A tower that looks at sets of pictures; its maps are kept in `cache`, if there is one."""

    tower: LiteTower
    seed: int
    log: Callable[[str], None]
    cache: Path | None = None

    def look(
        self, name: str, shots: Sequence[Shot], pixels: Callable[[], Tensor], count: int
    ) -> Views:
        """`count` views of `shots`: the whole picture, then random ones.

        A kept file is taken for the same `name`, view, seed and number of pictures; `pixels`,
        uint8 (N, 3, H, W), is asked for only where one is missing.
        """
        made: list[Tensor] = []
        views = [self._view(name, shots, pixels, made, view) for view in range(count)]
        return Views(tuple(shots), torch.stack(views))

    def _view(
        self,
        name: str,
        shots: Sequence[Shot],
        pixels: Callable[[], Tensor],
        made: list[Tensor],
        view: int,
    ) -> Tensor:
        file = f"{name}-{len(shots)}-seed{self.seed}-view{view}.npy"
        path = None if self.cache is None else self.cache / file
        if path is not None and path.is_file():
            self.log(f"{name}: view {view} of {len(shots)} pictures from the cache")
            return torch.from_numpy(np.load(path))
        if not made:
            made.append(pixels())
        maps = trunk_maps(self.tower, made[0], self.seed + view, 1.0 if view else 0.0)
        self.log(f"{name}: view {view} of {len(shots)} pictures")
        if path is not None:
            np.save(path, maps.numpy())
        return maps


@torch.inference_mode()
def trunk_maps(tower: LiteTower, pixels: Tensor, seed: int, strength: float) -> Tensor:
    """(N, C, H, W) float16 maps of views of this strength.

    The trunk runs in bfloat16, which is twice as fast where the CPU has it.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, len(pixels), BATCH):
        seen = augment(pixels[start : start + BATCH], generator, strength)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts.append(tower.trunk(seen).half().contiguous())
    return torch.cat(parts)


@torch.inference_mode()
def embeddings(tower: LiteTower, maps: Tensor) -> Tensor:
    """(N, E) embeddings from (N, C, H, W) maps."""
    parts = [tower.top(part.float()) for part in maps.split(2 * BATCH)]
    return torch.cat([cast(Tensor, part.pooler_output) for part in parts])
