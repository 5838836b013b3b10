"""Reads a line of text that was cut out: the recogniser of PP-OCR, run by ONNX Runtime.

A line becomes a strip of 48 pixels height; the network gives each of its columns the probabilities
of all characters, and the likeliest ones, without repeats and blanks, are the text
(connectionist temporal classification, Graves et al., ICML 2006).

Shapes: B lines, W pixels of the widest, T columns, C characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.reading.detector import Network, Pixels, Quad, batch_of

HEIGHT_PX = 48
LEAST_WIDTH_PX, MOST_WIDTH_PX = 64, 2400
BATCH = 8
UPRIGHT = 1.5  # a quad so much higher than wide is a line that runs up or down
SURE = 0.9  # a line read surer than this is not read again upside down


@dataclass(frozen=True, slots=True)
class Reading:
    """A line's text; `score` is the mean probability of its characters, 0 to 1."""

    text: str
    score: float


NOTHING = Reading("", 0.0)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Reads lines with `network`, which maps (B, 3, 48, W) to probabilities (B, T, C).

    `characters` are those of C after the blank.
    """

    network: Network
    characters: tuple[str, ...]

    def read(self, strips: Sequence[Pixels]) -> list[Reading]:
        """Each strip's text, in their order; strips of like width share a pass."""
        found = [NOTHING] * len(strips)
        resized = [_of_height(strip) for strip in strips]
        for places in _alike([strip.shape[1] for strip in resized]):
            widest = max(resized[place].shape[1] for place in places)
            batch = np.zeros((len(places), 3, HEIGHT_PX, widest), np.float32)
            for row, place in enumerate(places):
                strip = resized[place]
                batch[row, :, :, : strip.shape[1]] = batch_of(strip)[0]
            for place, chances_TC in zip(places, self.network(batch), strict=True):
                found[place] = self._decoded(chances_TC)
        return found

    def read_quads(self, pixels: Pixels, quads: Sequence[Quad]) -> list[Reading]:
        """The text in each quad of `pixels`; an unsure line is tried upside down as well."""
        strips = [cut(pixels, quad) for quad in quads]
        found = self.read(strips)
        unsure = [
            at for at, reading in enumerate(found) if reading.score < SURE and _is_long(strips[at])
        ]
        turned = self.read([np.ascontiguousarray(strips[at][::-1, ::-1]) for at in unsure])
        for at, reading in zip(unsure, turned, strict=True):
            if reading.score > found[at].score:
                found[at] = reading
        return found

    def _decoded(self, chances_TC: NDArray[np.float32]) -> Reading:
        best_T = chances_TC.argmax(axis=1)
        is_new_T = np.concatenate([[True], best_T[1:] != best_T[:-1]]) & (best_T > 0)
        places = np.flatnonzero(is_new_T)
        if not len(places):
            return NOTHING
        text = "".join(self.characters[best_T[place] - 1] for place in places)
        score = float(chances_TC[places, best_T[places]].mean())
        return Reading(text.strip(), score) if text.strip() else NOTHING


def cut(pixels: Pixels, quad: Quad) -> Pixels:
    """The line in `quad`, straightened; one that runs upwards or downwards is laid flat."""
    across = max(_length(quad[0], quad[1]), _length(quad[3], quad[2]))
    down = max(_length(quad[0], quad[3]), _length(quad[1], quad[2]))
    wide, high = max(1, round(across)), max(1, round(down))
    flat = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], dtype=np.float32)
    strip = cv2.warpPerspective(
        pixels,
        cv2.getPerspectiveTransform(quad.astype(np.float32), flat),
        (wide, high),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if high >= UPRIGHT * wide:
        strip = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return np.asarray(strip, dtype=np.uint8)


def _length(start: NDArray[np.float32], end: NDArray[np.float32]) -> float:
    return float(np.hypot(*(end - start)))


def _is_long(strip: Pixels) -> bool:
    return strip.shape[1] >= 2 * strip.shape[0]


def _of_height(strip: Pixels) -> Pixels:
    height, width = strip.shape[:2]
    wide = min(MOST_WIDTH_PX, max(16, int(np.ceil(width * HEIGHT_PX / height))))
    resized = cv2.resize(strip, (wide, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def _alike(widths: Sequence[int]) -> Iterator[list[int]]:
    """Places of strips in groups of like width, so that little of a batch is padding."""
    group: list[int] = []
    for place in sorted(range(len(widths)), key=lambda at: widths[at]):
        if group and (len(group) == BATCH or widths[place] > 1.3 * widths[group[0]] + 32):
            yield group
            group = []
        group.append(place)
    if group:
        yield group
