"""Which brand a pack looks like: its kind by the tower and the head of a checkpoint that sees.

It reads nothing; what its words are worth beside print, `brands` says.

Shapes: V views of a photo, K kinds, E embedding.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import RESTORE, read_config
from workers.onnx.tower import OnnxTower
from workers.reading.brands import Looks
from workers.vision.domain import Domain
from workers.vision.kinds import KindHead, ShownKind, closer
from workers.vision.pixels import SquarePixels

PACKED = "Packages"  # the department of kinds that have a brand
PHOTOS = 0  # the world of a domain that holds photos, not drawings
LEAST_SHARE = 1e-6  # of a kind in one view, which the other multiplies
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PackTower:
    """What sees packs: a tower, the kinds that its head knows, the domain that they stand in."""

    tower: OnnxTower
    pixels: SquarePixels
    kinds: KindHead
    domain: Domain

    @classmethod
    def load(cls, folder: Path, threads: int) -> PackTower:
        """Of a checkpoint that sees.

        Raises `CheckpointInvalid` for a damaged one, and for one without kinds or domain.
        """
        read_config(folder)
        kinds, domain = KindHead.load(folder), Domain.load(folder)
        if kinds is None or domain is None:
            raise CheckpointInvalid(
                f"{str(folder)!r} has no kinds or no domain, so it cannot say what a pack looks "
                f"like. Take it out of reading.json, or name another. {RESTORE}"
            )
        return cls(OnnxTower.load(folder, threads), SquarePixels.load(folder), kinds, domain)

    def embeddings(self, photo: Image.Image) -> Array:
        """Of an upright RGB photo as a whole and of its middle, (V, E)."""
        views = [self.pixels.of(view) for view in (photo, closer(photo))]
        _, seen_VE = self.tower.look([np.stack(views)])
        if seen_VE is None:
            raise CheckpointInvalid(f"The tower of reading.json gives no embeddings. {RESTORE}")
        return seen_VE


@dataclass(eq=False)
class BrandEye:
    """Looks at packs for `brands`, by the tower that `load` makes at the first photo."""

    load: Callable[[], PackTower]
    brands: Sequence[str]
    _tower: PackTower | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def look(self, photo: Image.Image) -> Looks | None:
        """What an upright RGB photo looks like; None where it shows no pack of a known brand.

        Raises what loading raises.
        """
        tower = self._loaded()
        seen_VE = tower.embeddings(photo)
        (standing,) = tower.domain.standings(seen_VE[:1])
        if standing.reason is not None or standing.world != PHOTOS:
            return None
        kinds = tower.kinds
        return most_like(kinds.kinds, kinds.shares(seen_VE), self.brands)

    def _loaded(self) -> PackTower:
        with self._turn:
            if self._tower is None:
                self._tower = self.load()
            return self._tower


def most_like(kinds: Sequence[ShownKind], share_VK: Array, brands: Sequence[str]) -> Looks | None:
    """The brand whose kinds have the largest part of all, by the views' geometric mean.

    None where no kind has one.
    """
    logs_K = np.log(share_VK + LEAST_SHARE).mean(axis=0)
    share_K = np.exp(logs_K - logs_K.max())
    share_K /= share_K.sum()
    part: dict[str, float] = {}
    likest: dict[str, tuple[float, str]] = {}
    for kind, share in zip(kinds, share_K.tolist(), strict=True):
        brand = brand_of(kind, brands)
        if brand is not None:
            part[brand] = part.get(brand, 0.0) + share
            likest[brand] = max(likest.get(brand, (0.0, "")), (share, kind.name))
    best = max(part, key=lambda brand: part[brand], default=None)
    return None if best is None else Looks(best, likest[best][1], part[best])


def brand_of(kind: ShownKind, brands: Sequence[str]) -> str | None:
    """The longest of `brands` that the name of a packed kind begins with."""
    if kind.department != PACKED:
        return None
    begun = [brand for brand in brands if f"{kind.name} ".startswith(f"{brand} ")]
    return max(begun, key=len, default=None)
