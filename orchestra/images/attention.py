"""What an attention map is: weights over a photo, tied to the tokens of one answer; knows no model.

A map is a grid over the square that a model saw. A photo that is not square was padded for it, so
the grid reaches beyond the photo; boxes and points are given in the photo's own pixels.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from orchestra.core.files.atomic import atomic_file

Grid = tuple[tuple[float, ...], ...]
Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
HEAT_CELLS = 10  # of a side of the map that travels with a value: coarse, so that it stays small
FINE_STEPS = 4  # a cell is read at so many places a side when a region is outlined
REGION_LEVEL = 0.1  # of the peak: what is less is outside; chosen by IoU on drawn scenes
MOST_OPAQUE = 170  # of 255: the photo shows through the strongest place, too
# The overlay's colours from weak to strong, dark to light, as they also read in grey.
RAMP = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
MARK = (0, 255, 170)


@dataclass(frozen=True, slots=True)
class TokenMap:
    """The part of one token of the answer: its text, its probability, and its weights."""

    text: str
    probability: float
    weights: Grid


@dataclass(frozen=True)
class AttentionMap:
    """Where a model looked for one value of its answer.

    `name` is the answer's key, empty for a free text. `weights` (rows, columns) are not negative
    and sum to 1. `covers` is the square of the grid as fractions of the photo (left, top, right,
    bottom), beyond 0 and 1 where the square was padded. `size` is the photo in pixels; `photo` may
    be a smaller copy of it. `refused` is why the engine does not give what was said as a value.
    """

    method: str
    name: str
    value: Any
    text: str
    confidence: float | None
    weights: Grid
    tokens: tuple[TokenMap, ...]
    covers: Box
    size: tuple[int, int]
    photo: Image.Image = field(repr=False, compare=False)
    refused: str | None = None

    @property
    def rows(self) -> int:
        """Rows of the grid."""
        return len(self.weights)

    @property
    def columns(self) -> int:
        """Columns of the grid."""
        return len(self.weights[0])

    @property
    def on_padding(self) -> float:
        """The share of the weight that lies beside the photo, 0 to 1: much of it is a bad sign."""
        left, top, right, bottom = self.covers
        share = 0.0
        for at, row in enumerate(self.weights):
            high = _inside(top, bottom, at, self.rows)
            for column, weight in enumerate(row):
                share += weight * high * _inside(left, right, column, self.columns)
        return max(0.0, 1.0 - share)

    @cached_property
    def region(self) -> Box:
        """The strongest region as fractions of the photo (left, top, right, bottom)."""
        fine = _fine(self.weights)
        cells = _around_peak(fine, REGION_LEVEL)
        rows, columns = [row for row, _ in cells], [column for _, column in cells]
        high, wide = len(fine), len(fine[0])
        box = (min(columns) / wide, min(rows) / high, (max(columns) + 1) / wide)
        left, top, right, bottom = self._on_photo(*box, (max(rows) + 1) / high)
        clipped = (max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0))
        is_beside = clipped[0] >= clipped[2] or clipped[1] >= clipped[3]
        return WHOLE if is_beside else clipped

    @property
    def heat(self) -> str:
        """The map over the photo, coarse, as text: see `Evidence` of `orchestra.core.job`."""
        across, down = HEAT_CELLS * FINE_STEPS, HEAT_CELLS * FINE_STEPS
        cells = self._over_photo((across, down)).resize(
            (HEAT_CELLS, HEAT_CELLS), Image.Resampling.BOX
        )
        levels = list(cells.tobytes())
        most = max(levels) or 1
        digits = "".join(str(round(9 * level / most)) for level in levels)
        return "/".join(digits[at : at + HEAT_CELLS] for at in range(0, len(digits), HEAT_CELLS))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The strongest region in pixels of the photo (left, top, right, bottom)."""
        left, top, right, bottom = self.region
        wide, high = self.size
        return round(left * wide), round(top * high), round(right * wide), round(bottom * high)

    @property
    def peak(self) -> tuple[int, int]:
        """The strongest point in pixels of the photo (x, y), moved into it from the padding."""
        fine = _fine(self.weights)
        row, column = _strongest(fine)
        x, y = (column + 0.5) / len(fine[0]), (row + 0.5) / len(fine)
        left, top, _, _ = self._on_photo(x, y, x, y)
        wide, high = self.size
        x, y = min(max(left * wide, 0), wide - 1), min(max(top * high, 0), high - 1)
        return int(x), int(y)

    def overlay(self, *, is_boxed: bool = True) -> Image.Image:
        """The photo under its heat, with the strongest region framed."""
        shown = self.photo.convert("RGB")
        wide, high = shown.size
        coloured = glow(self._over_photo(shown.size))
        shown.paste(coloured, mask=coloured.getchannel("A"))
        if is_boxed:
            width = max(2, min(wide, high) // 150)
            ImageDraw.Draw(shown).rectangle(self._framed(shown.size), outline=MARK, width=width)
        return shown

    def save(self, path: str | Path) -> None:
        """Write the overlay as PNG. Raises `DiskFull`."""
        with atomic_file(Path(path), durable=False) as file:
            self.overlay().save(file, "PNG")

    def public(self) -> dict[str, Any]:
        """The map as JSON takes it, without the photo."""
        return {
            "method": self.method,
            "name": self.name,
            "value": self.value,
            "text": self.text,
            "confidence": self.confidence,
            "refused": self.refused,
            "size": list(self.size),
            "box": list(self.box),
            "peak": list(self.peak),
            "on_padding": round(self.on_padding, 4),
            "covers": [round(edge, 6) for edge in self.covers],
            "weights": _rounded(self.weights),
            "tokens": [
                {
                    "text": token.text,
                    "probability": round(token.probability, 6),
                    "weights": _rounded(token.weights),
                }
                for token in self.tokens
            ],
        }

    def _over_photo(self, size: tuple[int, int]) -> Image.Image:
        """The weights over a copy of the photo of `size`, as a grey picture."""
        wide, high = size
        left, top, right, bottom = self.covers
        side = (max(1, round((right - left) * wide)), max(1, round((bottom - top) * high)))
        place = (-round(left * wide), -round(top * high))
        window = (*place, place[0] + wide, place[1] + high)
        return _picture(self.weights).resize(side, Image.Resampling.BICUBIC).crop(window)

    def _on_photo(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Fractions of the grid's square as fractions of the photo."""
        x, y, far_x, far_y = self.covers
        wide, high = far_x - x, far_y - y
        return x + left * wide, y + top * high, x + right * wide, y + bottom * high

    def _framed(self, size: tuple[int, int]) -> Box:
        left, top, right, bottom = self.region
        wide, high = size
        return left * wide, top * high, right * wide - 1, bottom * high - 1


def glow(heat: Image.Image) -> Image.Image:
    """A grey map in the overlay's colours, the less opaque the weaker: mode RGBA."""
    opacity = heat.point([min(level, MOST_OPAQUE) for level in range(256)])
    return Image.merge("RGBA", [*(heat.point(band) for band in _palette()), opacity])


def glow_of(heat: str) -> Image.Image:
    """The overlay of a map that travelled as text (see `AttentionMap.heat`), a pixel a cell."""
    rows = heat.split("/")
    grey = Image.new("L", (len(rows[0]), len(rows)))
    grey.putdata([round(int(digit) * 255 / 9) for row in rows for digit in row])
    return glow(grey)


def _inside(start: float, end: float, at: int, count: int) -> float:
    """The part of cell `at` of `count` cells from `start` to `end` that lies within 0 and 1."""
    step = (end - start) / count
    low, high = start + at * step, start + (at + 1) * step
    return max(0.0, min(high, 1.0) - max(low, 0.0)) / step


def _picture(weights: Grid) -> Image.Image:
    """The grid as a grey picture, the strongest place white."""
    most = max(map(max, weights)) or 1.0
    picture = Image.new("L", (len(weights[0]), len(weights)))
    picture.putdata([round(255 * weight / most) for row in weights for weight in row])
    return picture


def _fine(weights: Grid) -> list[list[float]]:
    """The grid read at `FINE_STEPS` places a cell and side, interpolated in between."""
    grid = Image.new("F", (len(weights[0]), len(weights)))
    grid.putdata([weight for row in weights for weight in row])
    wide, high = grid.width * FINE_STEPS, grid.height * FINE_STEPS
    values = array("f", grid.resize((wide, high), Image.Resampling.BICUBIC).tobytes())
    return [list(values[at * wide : (at + 1) * wide]) for at in range(high)]


def _strongest(fine: Sequence[Sequence[float]]) -> tuple[int, int]:
    places = ((row, column) for row in range(len(fine)) for column in range(len(fine[0])))
    return max(places, key=lambda place: fine[place[0]][place[1]])


def _around_peak(fine: Sequence[Sequence[float]], level: float) -> set[tuple[int, int]]:
    """The places that are joined with the peak by places of at least `level` of it."""
    peak = _strongest(fine)
    least = fine[peak[0]][peak[1]] * level
    found, edge = {peak}, [peak]
    while edge:
        row, column = edge.pop()
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            is_there = 0 <= near[0] < len(fine) and 0 <= near[1] < len(fine[0])
            if is_there and near not in found and fine[near[0]][near[1]] >= least:
                found.add(near)
                edge.append(near)
    return found


@cache
def _palette() -> list[list[int]]:
    """What red, green and blue are at each of 256 levels."""
    bands: list[list[int]] = [[], [], []]
    for level in range(256):
        at = level / 255 * (len(RAMP) - 1)
        low = min(int(at), len(RAMP) - 2)
        for band, (start, end) in zip(
            bands, zip(RAMP[low], RAMP[low + 1], strict=True), strict=True
        ):
            band.append(round(start + (end - start) * (at - low)))
    return bands


def _rounded(weights: Grid) -> list[list[float]]:
    return [[round(weight, 6) for weight in row] for row in weights]
