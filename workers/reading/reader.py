"""Reads all text of a photo: a glance, then the whole, then tiles at the photo's own resolution.

Many photos have no text, and a glance at a small copy tells. A photo larger than the detector's
picture is looked at whole and, where that shows text, in tiles that overlap, so that small print is
found; what several of them saw is one line (`lines`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from workers.reading.detector import Detector, Pixels
from workers.reading.lines import PrintedLine, Spot, in_reading_order, joined, letters
from workers.reading.recogniser import Recogniser
from workers.reading.stacks import parted

GLANCE_PX = 384  # the longer side of what a glance sees
LEAST_PEAK = 0.3  # a view that is less sure of every pixel has seen no text
GLANCE_SCORE, GLANCE_LETTERS = 0.5, 2  # of a line that tells that there is text
GLANCE_LINES = 6  # the largest, which are read until one tells so
# The detector finds letters of 5 pixels, the recogniser reads those of 8: it looks at two thirds.
VIEW_SCALE = 2 / 3
LEAST_VIEW_PX, VIEW_PX = 512, 960  # the longer side of what the detector is given at once
TILE_PX = round(VIEW_PX / VIEW_SCALE)
OVERLAP_PX = 240  # of neighbouring tiles
THIN = 6  # a photo so much longer than high shows nothing when it is seen whole
MOST_PIXELS = 8_000_000  # of a photo that is read; a larger one is made smaller
FLAT = 6.0  # grey levels: a tile that varies less holds no print

IsWanted = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Page:
    """What was read of a photo of `size` pixels; `passes` of the detector were made.

    `shrunk` is the size that a photo of too many pixels was read at.
    """

    lines: tuple[PrintedLine, ...]
    size: tuple[int, int]
    passes: int
    peak: float
    shrunk: tuple[int, int] | None = None

    @property
    def believed(self) -> tuple[PrintedLine, ...]:
        """The lines that are sure and long enough."""
        return tuple(line for line in self.lines if line.is_believed)


class NotWanted(Exception):
    """Nobody waits for the page any more."""


@dataclass(frozen=True, slots=True)
class PhotoReader:
    """Reads photos with PP-OCR's networks; see the module. Not thread-safe."""

    detector: Detector
    recogniser: Recogniser

    def read(self, photo: Image.Image, is_wanted: IsWanted = lambda: True) -> Page:
        """All text of an RGB photo. Raises `NotWanted` where `is_wanted` says so between passes."""
        fitted = within(photo, MOST_PIXELS)
        shrunk = None if fitted is photo else fitted.size
        pixels = np.asarray(fitted.convert("RGB"), dtype=np.uint8)
        view = _View(self, pixels, is_wanted)
        spots = view.spots()
        quads = [spot.quad for spot in spots]
        found = self.recogniser.read_quads(pixels, quads) if view.wanted() else []
        lines = [
            PrintedLine(reading.text, reading.score, spot.quad)
            for reading, spot in zip(found, spots, strict=True)
            if reading.text
        ]
        lines = parted(self.recogniser, pixels, lines)
        return Page(tuple(in_reading_order(lines)), fitted.size, view.passes, view.peak, shrunk)


@dataclass(slots=True)
class _View:
    """The passes of the detector over one photo."""

    reader: PhotoReader
    pixels: Pixels
    is_wanted: IsWanted
    passes: int = 0
    peak: float = 0.0

    def wanted(self) -> bool:
        if not self.is_wanted():
            raise NotWanted
        return True

    def spots(self) -> list[Spot]:
        """Where lines are."""
        low, longest = sorted(self.pixels.shape[:2])
        is_one_view = longest <= TILE_PX
        if is_one_view and not self._has_text():
            return []
        if longest > THIN * low and not is_one_view:
            return joined([], self._in_tiles())
        side = VIEW_PX if not is_one_view else max(LEAST_VIEW_PX, round(longest * VIEW_SCALE))
        whole = self._seen(self.pixels, side)
        if is_one_view or self.peak < LEAST_PEAK:
            return whole
        return joined(whole, self._in_tiles())

    def _in_tiles(self) -> list[Spot]:
        return [
            Spot(spot.quad + np.array(place, dtype=np.float32), spot.scale)
            for place, tile in _tiles(self.pixels)
            for spot in self._seen(tile, round(max(tile.shape[:2]) * VIEW_SCALE))
        ]

    def _has_text(self) -> bool:
        """Whether a glance finds a line that can be read: patterns look like lines, too."""
        spots = self._seen(self.pixels, GLANCE_PX)
        largest = sorted(spots, key=lambda spot: -spot.height_px)[:GLANCE_LINES]
        found = (self.reader.recogniser.read_quads(self.pixels, [spot.quad]) for spot in largest)
        return any(
            line.score >= GLANCE_SCORE and letters(line.text) >= GLANCE_LETTERS for (line,) in found
        )

    def _seen(self, pixels: Pixels, side_px: int) -> list[Spot]:
        self.wanted()
        self.passes += 1
        seen = self.reader.detector.find(pixels, side_px)
        self.peak = max(self.peak, seen.peak)
        scale = side_px / max(pixels.shape[:2])
        return [Spot(quad, scale) for quad in seen.quads]


def within(photo: Image.Image, most_pixels: int) -> Image.Image:
    """`photo`, or a copy of at most so many pixels."""
    wide, high = photo.size
    if wide * high <= most_pixels:
        return photo
    scale = (most_pixels / (wide * high)) ** 0.5
    return photo.resize(
        (max(1, int(wide * scale)), max(1, int(high * scale))), Image.Resampling.LANCZOS
    )


def _tiles(pixels: Pixels) -> Iterator[tuple[tuple[int, int], Pixels]]:
    """Parts of at most `TILE_PX` a side that are not plain, with where they begin: x, y."""
    height, width = pixels.shape[:2]
    for top in _starts(height):
        for left in _starts(width):
            tile = pixels[top : top + TILE_PX, left : left + TILE_PX]
            if float(tile[::4, ::4].std()) >= FLAT:
                yield (left, top), tile


def _starts(length: int) -> list[int]:
    """Where tiles begin along a side, evenly, the last one ending with it."""
    if length <= TILE_PX:
        return [0]
    steps = -(-(length - OVERLAP_PX) // (TILE_PX - OVERLAP_PX))
    return [round(step * (length - TILE_PX) / (steps - 1)) for step in range(steps)]
