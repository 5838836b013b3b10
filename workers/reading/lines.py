"""Lines of text on a photo: which are one, in what order they are read, which to believe.

Pure geometry and words; it knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from orchestra.core.call import Box
from workers.reading.detector import Quad, ordered

LEAST_SCORE = 0.8  # lines read less surely than this are not believed
LEAST_LETTERS = 3  # fewer letters and digits are a fragment
CLEAR_PX = 16.0  # a line of this height, where it was seen, was seen clearly
LIKE_HEIGHTS = 1.6
COVERED, TOUCHED = 0.5, 0.08  # shares of the smaller quad
SAME_ROW = 0.5  # of a line's height


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a line was seen: its quad in pixels of the photo, and its height where it was seen.

    `scale` is the pixels of that picture to one of the photo.
    """

    quad: Quad
    scale: float

    @property
    def height_px(self) -> float:
        """How high the line is on the photo."""
        return _sides(self.quad)[1]

    @property
    def is_clear(self) -> bool:
        """Whether it was large enough to be seen as it is."""
        return self.height_px * self.scale >= CLEAR_PX


@dataclass(frozen=True, eq=False, slots=True)
class PrintedLine:
    """A line as it was read: `score` is its characters' mean probability, `quad` in pixels."""

    text: str
    score: float
    quad: Quad

    @property
    def height_px(self) -> float:
        """How high its letters are on the photo, ascenders and all."""
        return _sides(self.quad)[1]

    @property
    def is_believed(self) -> bool:
        """Whether it is sure and long enough to be more than a pattern that looks like letters."""
        return self.score >= LEAST_SCORE and letters(self.text) >= LEAST_LETTERS

    def box(self, size: tuple[int, int]) -> Box:
        """The upright rectangle around it as fractions of a photo of `size`."""
        wide, high = size
        left, top = self.quad.min(axis=0)
        right, bottom = self.quad.max(axis=0)
        edges = left / wide, top / high, right / wide, bottom / high
        left, top, right, bottom = (round(min(1.0, max(0.0, float(edge))), 4) for edge in edges)
        return left, top, right, bottom


def letters(text: str) -> int:
    """Letters and digits of `text`; a Chinese character, which is a word or half of one, is two."""
    return sum(2 if "\u4e00" <= char <= "\u9fff" else 1 for char in text if char.isalnum())


def joined(coarse: Sequence[Spot], fine: Sequence[Spot]) -> list[Spot]:
    """The lines of an overview and of its tiles, each once.

    What an overview saw clearly stands, and hides what tiles made of its parts; what it saw only
    faintly gives way to them. Parts of one line, which tiles cut, become that line.
    """
    clear = [spot for spot in coarse if spot.is_clear]
    parts = [spot for spot in fine if all(_shared(spot, large) < COVERED for large in clear)]
    whole = _united(parts)
    faint = [
        spot
        for spot in coarse
        if not spot.is_clear and all(_shared(spot, other) < COVERED / 2 for other in whole)
    ]
    return [*clear, *whole, *faint]


def _united(parts: Sequence[Spot]) -> list[Spot]:
    """Overlapping pieces of a line as the one line that they are."""
    found: list[Spot] = []
    for part in sorted(parts, key=lambda spot: float(spot.quad[:, 0].min())):
        for at, other in enumerate(found):
            if _is_same_line(part, other):
                found[at] = Spot(_around(part.quad, other.quad), other.scale)
                break
        else:
            found.append(part)
    return found


def _is_same_line(one: Spot, other: Spot) -> bool:
    low, high = sorted((one.height_px, other.height_px))
    if high > LIKE_HEIGHTS * max(low, 1.0) or _shared(one, other) < TOUCHED:
        return False
    merged = _sides(_around(one.quad, other.quad))[1]
    return merged <= LIKE_HEIGHTS * high  # else they stand beside or above each other


def _around(one: Quad, other: Quad) -> Quad:
    rectangle = cv2.minAreaRect(np.concatenate([one, other]).astype(np.float32))
    return ordered(np.asarray(cv2.boxPoints(rectangle), dtype=np.float32))


def _shared(one: Spot, other: Spot) -> float:
    """The part of the smaller quad that lies in the other."""
    if (one.quad.max(axis=0) < other.quad.min(axis=0)).any():
        return 0.0
    if (other.quad.max(axis=0) < one.quad.min(axis=0)).any():
        return 0.0
    area, _ = cv2.intersectConvexConvex(one.quad, other.quad)
    smaller = min(cv2.contourArea(one.quad), cv2.contourArea(other.quad))
    return float(area / smaller) if smaller > 0 else 0.0


def in_reading_order(lines: Sequence[PrintedLine]) -> list[PrintedLine]:
    """Lines from the top, those of one row from the left."""
    rows: list[list[PrintedLine]] = []
    for line in sorted(lines, key=lambda line: float(line.quad[:, 1].mean())):
        middle = float(line.quad[:, 1].mean())
        if rows:
            last = rows[-1][-1]
            near = SAME_ROW * min(line.height_px, last.height_px)
            if abs(middle - float(last.quad[:, 1].mean())) < near:
                rows[-1].append(line)
                continue
        rows.append([line])
    return [line for row in rows for line in sorted(row, key=_left)]


def _left(line: PrintedLine) -> float:
    return float(line.quad[:, 0].min())


def _sides(quad: Quad) -> tuple[float, float]:
    """A quad's longer and shorter side; a line's letters are as high as the shorter."""
    across = float(np.hypot(*(quad[1] - quad[0])))
    down = float(np.hypot(*(quad[3] - quad[0])))
    return max(across, down), min(across, down)
