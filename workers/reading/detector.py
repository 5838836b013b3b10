"""Finds where text stands in pixels: the detector of PP-OCR, run by ONNX Runtime; it reads none.

The network gives each pixel the probability that it lies in the core of a line of text. Connected
cores become rectangles, turned as the line is, and grow by what the training shrank them by
(Differentiable Binarization, Liao et al., AAAI 2020).

Shapes: H, W pixels of the input, multiples of 32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB
Quad = NDArray[np.float32]  # (4, 2): x, y of top left, top right, bottom right, bottom left
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]

STRIDE = 32
CORE = 0.3  # a pixel of at least this probability lies in a line's core
LEAST_MEAN = 0.5  # of a core's rectangle: less is no line
GROWTH = 1.6  # area over perimeter, times this, is what a core grows by on each side
LEAST_SIDE = 3.0  # pixels of a core
MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """What the detector saw in one picture: lines as quads in its own pixels, with scores.

    `peak` is the highest probability of all pixels: a picture without text has a low one.
    """

    quads: tuple[Quad, ...]
    scores: tuple[float, ...]
    peak: float


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds lines with `network`, which maps (1, 3, H, W) to probabilities (1, 1, H, W)."""

    network: Network

    def map_of(self, pixels: Pixels, side_px: int) -> NDArray[np.float32]:
        """Probabilities (H, W) over `pixels`, resized so that their longer side is `side_px`."""
        height, width = pixels.shape[:2]
        scale = side_px / max(height, width)
        size = _whole(width * scale), _whole(height * scale)
        if size != (width, height):
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=way), dtype=np.uint8)
        return self.network(batch_of(pixels))[0, 0]

    def find(self, pixels: Pixels, side_px: int) -> Seen:
        """The lines of `pixels` as they show when the longer side is `side_px`."""
        chances_HW = self.map_of(pixels, side_px)
        height, width = pixels.shape[:2]
        factor = np.array(
            [width / chances_HW.shape[1], height / chances_HW.shape[0]], dtype=np.float32
        )
        quads, scores = _lines(chances_HW)
        return Seen(
            tuple(_clipped(quad * factor, width, height) for quad in quads),
            tuple(scores),
            float(chances_HW.max()),
        )


def batch_of(pixels: Pixels) -> NDArray[np.float32]:
    """RGB pixels as PP-OCR's networks take them: (1, 3, H, W), blue first, from -1 to 1."""
    scaled = pixels[:, :, ::-1].astype(np.float32) / 127.5 - 1.0
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _whole(length: float) -> int:
    """`length` as a multiple of the network's stride, at least one."""
    return max(STRIDE, round(length / STRIDE) * STRIDE)


def _lines(chances_HW: NDArray[np.float32]) -> tuple[list[Quad], list[float]]:
    cores = (chances_HW > CORE).astype(np.uint8)
    cores = cv2.dilate(cores, np.ones((2, 2), np.uint8))
    outlines, _ = cv2.findContours(cores, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    quads: list[Quad] = []
    scores: list[float] = []
    for outline in outlines[:MOST_LINES]:
        centre, (wide, high), angle = cv2.minAreaRect(outline)
        if min(wide, high) < LEAST_SIDE:
            continue
        corners = cv2.boxPoints((centre, (wide, high), angle))
        score = _mean_within(chances_HW, np.asarray(corners, dtype=np.float32))
        if score < LEAST_MEAN:
            continue
        grown = 2 * GROWTH * wide * high / (2 * (wide + high))
        corners = cv2.boxPoints((centre, (wide + grown, high + grown), angle))
        quads.append(ordered(np.asarray(corners, dtype=np.float32)))
        scores.append(score)
    return quads, scores


def _mean_within(chances_HW: NDArray[np.float32], corners: Quad) -> float:
    """The mean probability inside a quad."""
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    part = np.ascontiguousarray(chances_HW[top : bottom + 1, left : right + 1])
    if not part.size:
        return 0.0
    inside = np.zeros(part.shape, np.uint8)
    shape = np.round(corners - (left, top)).astype(np.int32)
    cv2.fillPoly(inside, [shape], (1,))
    return float(cv2.mean(part, inside)[0])


def ordered(corners: Quad) -> Quad:
    """Corners from the top left, clockwise."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.array([left[0], right[0], right[1], left[1]], dtype=np.float32)


def _clipped(quad: Quad, width: int, height: int) -> Quad:
    return np.clip(quad, 0, np.array([width - 1, height - 1], dtype=np.float32))
