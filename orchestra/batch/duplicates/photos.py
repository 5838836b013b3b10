"""Which photos are the same but for scale and compression; it knows no row and no store.

A photo is looked at as 16 by 16 pixels in colour: a red shirt and a blue one differ. Each is
compared with those that lie near it along the direction in which photos differ most, so that no
pair is missed and few are tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
MOST_RMS = 5.0  # of 255, over all pixels: what JPEG and scaling change
MOST_PATCH = 26.0  # of 255, of one pixel: another label, badge or print
MOST_RATIO = 0.04  # of width by height, by which two may differ
TILES = 4  # a side: photos that differ there are not looked at pixel by pixel
BLOCK = 512
MOST_NEAR = 64  # earlier photos that one is tried against

Looks = NDArray[np.uint8]


class Photos:
    """Photos by number, 768 bytes each."""

    def __init__(self) -> None:
        self._looks: list[bytes] = []
        self._ratios: list[float] = []

    def add(self, content: bytes) -> int | None:
        """The number of a photo, by its picture's bytes; None where they are no picture."""
        try:
            with Image.open(BytesIO(content)) as picture:
                ratio = picture.width / picture.height
                small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
        except (OSError, ValueError):
            return None
        self._looks.append(small.tobytes())
        self._ratios.append(ratio)
        return len(self._looks) - 1

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """Photos that are nearly the same: an earlier one, a later one, and how alike (0 to 1)."""
        if len(self._looks) < 2:
            return
        looks = np.frombuffer(b"".join(self._looks), np.uint8).reshape(len(self._looks), -1)
        along = _along(looks)
        order = np.argsort(along[:, 0], kind="stable")
        along, first = along[order], along[order, 0]
        reach = MOST_RMS * looks.shape[1] ** 0.5
        for start in range(0, len(order), BLOCK):
            block = along[start : start + BLOCK]
            end = int(
                np.searchsorted(first, first[min(start + BLOCK, len(order)) - 1] + reach, "right")
            )
            near = _near(block, along[start:end], reach)
            for place, others in enumerate(near):
                for other in others[others > place][:MOST_NEAR]:
                    one, two = sorted((int(order[start + place]), int(order[start + other])))
                    alike = self._alike(looks, one, two)
                    if alike is not None:
                        yield one, two, alike

    def _alike(self, looks: Looks, one: int, two: int) -> float | None:
        """How alike two photos are; None where they are not the same."""
        if abs(np.log(self._ratios[one] / self._ratios[two])) > MOST_RATIO:
            return None
        apart = looks[one].astype(np.float32) - looks[two]
        rms = float(np.sqrt(np.mean(apart * apart)))
        if rms > MOST_RMS or float(np.abs(apart).max()) > MOST_PATCH:
            return None
        return 1 - rms / 255


def _along(looks: Looks) -> NDArray[np.float32]:
    """Photos by what lies in each of 16 squares of them, along the directions in which that
    differs most, the first one most.

    It is a turn of a part of the space, so photos are at most as far apart here as they are.
    """
    tiles = SIDE // TILES
    squares = np.concatenate(
        [
            looks[at : at + BLOCK]
            .reshape(-1, TILES, tiles, TILES, tiles, 3)
            .sum(axis=(2, 4), dtype=np.float32)
            .reshape(-1, TILES * TILES * 3)
            for at in range(0, len(looks), BLOCK)
        ]
    )
    squares = (squares - squares.mean(axis=0)) / tiles
    _, directions = np.linalg.eigh(squares.T @ squares)
    return squares @ directions[:, ::-1].astype(np.float32)


def _near(
    block: NDArray[np.float32], others: NDArray[np.float32], reach: float
) -> list[NDArray[np.intp]]:
    """Of each photo of a block, the places of those within reach."""
    squares = (block**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None]
    within = squares - 2 * block @ others.T <= reach * reach * 1.001
    return [np.flatnonzero(row) for row in within]
