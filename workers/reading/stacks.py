"""Parts what the detector took for one line and is two or three: small logos stand in stacks.

A stack that is read as a line makes no sense and is read unsurely; its bands are read surely.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workers.reading.detector import Pixels, Quad
from workers.reading.lines import LEAST_SCORE, PrintedLine, letters
from workers.reading.recogniser import Reading, Recogniser

BANDS = (2, 3)
LEAST_HEIGHT_PX = 16.0  # of two lines that can be read
WIDEST = 2.2  # widths to a height: a longer line is one
LEAST_BAND_SCORE, LEAST_BAND_LETTERS = 0.65, 2
MARGIN = 0.08  # of a band, which its neighbour's letters may reach into


def parted(
    recogniser: Recogniser, pixels: Pixels, lines: Sequence[PrintedLine]
) -> list[PrintedLine]:
    """`lines`, each unsure one that reads better as several in their place."""
    return [part for line in lines for part in _parts(recogniser, pixels, line)]


def _parts(recogniser: Recogniser, pixels: Pixels, line: PrintedLine) -> list[PrintedLine]:
    if line.score >= LEAST_SCORE or not _may_be_stack(line.quad):
        return [line]
    best, most = [line], LEAST_SCORE
    for count in BANDS:
        quads = _bands(line.quad, count)
        found = recogniser.read_quads(pixels, quads)
        mean = sum(reading.score for reading in found) / count
        if mean >= most and all(map(_is_line, found)):
            best, most = [PrintedLine(*pair) for pair in _paired(found, quads)], mean
    return best


def _paired(found: Sequence[Reading], quads: Sequence[Quad]) -> list[tuple[str, float, Quad]]:
    return [(read.text, read.score, quad) for read, quad in zip(found, quads, strict=True)]


def _is_line(reading: Reading) -> bool:
    return reading.score >= LEAST_BAND_SCORE and letters(reading.text) >= LEAST_BAND_LETTERS


def _may_be_stack(quad: Quad) -> bool:
    across = float(np.hypot(*(quad[1] - quad[0])))
    down = float(np.hypot(*(quad[3] - quad[0])))
    return down >= LEAST_HEIGHT_PX and 0.7 * down <= across <= WIDEST * down


def _bands(quad: Quad, count: int) -> list[Quad]:
    """`quad` in so many bands from the top, each a little higher than its share."""
    left, right = quad[3] - quad[0], quad[2] - quad[1]
    bands: list[Quad] = []
    for number in range(count):
        top = max(0.0, (number - MARGIN) / count)
        bottom = min(1.0, (number + 1 + MARGIN) / count)
        corners = (
            quad[0] + top * left,
            quad[1] + top * right,
            quad[1] + bottom * right,
            quad[0] + bottom * left,
        )
        bands.append(np.array(corners, dtype=np.float32))
    return bands
