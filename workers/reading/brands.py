"""Joins what is printed of a brand with what the pack looks like; pure.

Looks know few brands, and a pack of another brand may look like theirs. So print that is clear
stands, whatever the pack looks like; looks make it surer where both agree, say so where they do
not, and alone are a guess that is told as one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from workers.reading.lines import PrintedLine
from workers.reading.match import folded
from workers.reading.printed import READABLE, Print

# How sure a look alone is: logistic in the log odds of the brand's share, fitted to held-out photos
# of known packs and as much weight of packs whose brand was left out (`training/vision/looks.py`).
SLOPE, TURN = 3.12, 2.04
LEAST, MOST = 0.5, 0.8  # by looks alone; what is less sure says nothing
CLEAR = 0.8  # print so sure of a brand stands against any look
HINT_LETTERS, HINT = 3, 0.6  # letters of a name, and their share of it, that hint at it
HINTED = 0.9  # how sure a brand is that the pack looks like and of which a part is read surely
GUESS = "a guess: "
BY_LOOKS = f"{GUESS}the brand was not read, but the pack looks like {{!r}}"
AGAINST = "by its looks the pack may be {!r}"


@dataclass(frozen=True, slots=True)
class Looks:
    """The brand that a pack looks like, and the kind of it that it looks like most.

    `share` is the brand's part of all known kinds.
    """

    brand: str
    kind: str
    share: float

    @property
    def sure(self) -> float:
        """How likely the pack is of the brand, at most `MOST`."""
        held = min(max(self.share, 1e-4), 1 - 1e-4)
        odds = SLOPE * math.log(held / (1 - held)) + TURN
        return min(MOST, 1 / (1 + math.exp(-odds)))


def joined(
    printed: Print | None, looks: Looks | None, lines: Sequence[PrintedLine]
) -> Print | None:
    """The brand by print and looks, with a note where they do not both say it.

    `printed` is a known brand that was read, `lines` are all that were.
    """
    if looks is None or looks.sure < LEAST:
        return printed
    if printed is not None and printed.value == looks.brand:
        return replace(printed, sure=1 - (1 - printed.sure) * (1 - looks.sure))
    hint = hinting(lines, looks.brand)
    if printed is not None and (printed.sure >= CLEAR or printed.sure >= looks.sure):
        sure = printed.sure * (1 - looks.sure / 2)
        return replace(printed, sure=sure, note=AGAINST.format(looks.kind))
    if hint is not None:
        return Print(looks.brand, max(looks.sure, HINTED * hint.score), (hint,))
    return Print(looks.brand, looks.sure, (), BY_LOOKS.format(looks.kind))


def hinting(lines: Sequence[PrintedLine], brand: str) -> PrintedLine | None:
    """A line that has a word of a name, or its beginning or end, and no more."""
    whole = folded(brand)
    own = {folded(word) for word in brand.split()}
    for line in lines:
        if line.score < READABLE:
            continue
        for seen in {folded(line.text), *map(folded, line.text.split())}:
            is_part = len(seen) >= max(HINT_LETTERS, HINT * len(whole)) and (
                whole.startswith(seen) or whole.endswith(seen)
            )
            if is_part or (len(seen) >= HINT_LETTERS and seen in own):
                return line
    return None
